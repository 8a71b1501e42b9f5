"""Small matters of English in the messages that people read."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 tensor`, `2 tensors`. Only for nouns whose plural ends in a plain s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def with_article(noun: str) -> str:
    """`a` or `an` before a noun, by its first letter: `a vae`, `an ip adapter`."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
