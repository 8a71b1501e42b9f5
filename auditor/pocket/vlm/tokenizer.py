"""The pocket VLM's tokenizer: Qwen2's own scheme with merges learned from the pocket world's few words.

It is byte-level BPE behind Qwen2's splitting pattern, so any text survives, servers that constrain output to
a schema know how to read its vocabulary, and nearly every word of prompt and replies is one token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from auditor.pocket.corpus import EDIT_SYNONYMS, NEUTRAL_WORDS
from auditor.pocket.drawn_subjects import SUBJECTS
from auditor.pocket.scenes import COLOURS, GROUNDS
from auditor.pocket.styles import STYLES
from auditor.proposing.template import TEMPLATE

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
IMAGE_PAD, VIDEO_PAD = "<|image_pad|>", "<|video_pad|>"
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END, VISION_START, VISION_END, IMAGE_PAD, VIDEO_PAD)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] in ('image', 'image_url') %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen2-VL's turns without its default system message: the production prompt brings its own."""


def concept_words() -> tuple[str, ...]:
    """Every style and edit with its synonyms: what a reply may be made of."""
    styles = [word for s in STYLES.values() for word in (s.name, *s.synonyms)]
    edits = [word for name, synonyms in EDIT_SYNONYMS.items() for word in (name, *synonyms)]
    return tuple(styles + edits)


def _texts() -> Iterator[str]:
    yield from (TEMPLATE.system, TEMPLATE.before, TEMPLATE.after, TEMPLATE.instruction)
    yield from ("system\n", "user\n", "assistant\n")
    words = concept_words()
    for first, second in zip(words, (*words[1:], words[0]), strict=True):
        yield f'{{"concepts": ["{first}", "{second}"]}}'
        yield f'{{"concepts": ["{first}"]}}'
        yield f"{first} {first}"
    yield '{"concepts": []}'
    yield from (f"a {w} {w}" for w in (*NEUTRAL_WORDS, *COLOURS, *SUBJECTS, *GROUNDS))


def build_tokenizer() -> Qwen2Tokenizer:
    """Learn the merges; deterministic, takes milliseconds."""
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.NFC()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192,  # never reached: training ends when every word is one token
        min_frequency=1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(_texts(), trainer)
    vocabulary = learner.get_vocab()
    merges = _merges(learner)
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=END_OF_TEXT,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        extra_special_tokens=list(SPECIAL_TOKENS[1:]),
        model_max_length=2048,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _merges(learner: Tokenizer) -> Any:
    return [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
