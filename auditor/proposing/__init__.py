"""Concept proposers: a vision-language model names what an adapter changed.

One prompt (`template`), one reply schema (`schema`) and one retry policy (`rounds`) serve both proposers:
`openai_proposer` talks to an OpenAI-compatible server, `transformers_proposer` runs Qwen2-VL in process.
"""
