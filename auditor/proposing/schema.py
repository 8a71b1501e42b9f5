"""The reply schema, and the only way from a model's raw text to phrases.

A reply is untrusted: pictures can show text that asks the model for anything. Whatever comes back, only short
lowercase Latin phrases leave this module, and every other case has a name.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, StrictStr, ValidationError

from auditor.records.proposals import DropKind, DroppedPhrase, InvalidKind

MAX_CONCEPTS: Final = 12
MAX_WORDS: Final = 5
MAX_PHRASE_CHARS: Final = 48
MAX_REPLY_CHARS: Final = 8_000
PHRASE_PATTERN: Final = r"^[a-z]+(-[a-z]+)*( [a-z]+(-[a-z]+)*){0,4}$"

REPLY_SCHEMA: Final[dict[str, object]] = {
    "type": "object",
    "properties": {
        "concepts": {
            "type": "array",
            "minItems": 0,
            "maxItems": MAX_CONCEPTS,
            "items": {"type": "string", "pattern": PHRASE_PATTERN},
        }
    },
    "required": ["concepts"],
    "additionalProperties": False,
}
"""JSON Schema given to servers that can constrain their output. An empty list means: nothing changed."""

SCHEMA_HASH: Final = hashlib.sha256(json.dumps(REPLY_SCHEMA, sort_keys=True).encode()).hexdigest()

_THOUGHTS: Final = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<reasoning>": "</reasoning>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|channel|>analysis": "<|channel|>final<|message|>",
}
"""How models mark what they think before they answer: beginning → end."""
_PHRASE = re.compile(PHRASE_PATTERN)
_NUMBERING = re.compile(r"^[ \t*_-]*\(?\d{1,2}[.):] ?")
_EDGE_PUNCTUATION = " \t.,;:!?'\"`*_-()[]\u2018\u2019\u201c\u201d\u2026"


class InvalidReply(ValueError):
    """The reply as a whole is unusable; another attempt may do better."""

    def __init__(self, kind: InvalidKind, message: str, dropped: tuple[DroppedPhrase, ...] = ()) -> None:
        super().__init__(message)
        self.kind: InvalidKind = kind
        self.dropped = dropped


class DroppedItem(ValueError):
    """One phrase is unusable."""

    def __init__(self, kind: DropKind) -> None:
        super().__init__(kind)
        self.kind: DropKind = kind


@dataclass(frozen=True)
class ParsedReply:
    """The usable phrases of one reply in its own order, and what was left out."""

    concepts: tuple[str, ...]
    dropped: tuple[DroppedPhrase, ...]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")

    concepts: list[StrictStr]


def printable(text: str, limit: int = 80) -> str:
    """Escape everything but printable ASCII and shorten: safe for terminals, logs and files."""
    escaped = text[:limit].encode("ascii", "backslashreplace").decode()
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in escaped)


def clean_phrase(text: str) -> str:
    """Bring one phrase to canonical form: casefolded, single-spaced, without accents or edge punctuation.

    Raises:
        DroppedItem: The phrase is not a lowercase Latin phrase of one to five words.
    """
    if len(text) > 20 * MAX_PHRASE_CHARS:
        raise DroppedItem("too_long")
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") for c in text):
        raise DroppedItem("control_characters")
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    phrase = " ".join(_NUMBERING.sub("", plain).replace("_", " ").split()).strip(_EDGE_PUNCTUATION)
    if not phrase:
        raise DroppedItem("empty")
    if any(c.isalpha() and not c.isascii() for c in phrase):
        raise DroppedItem("non_latin")
    if len(phrase.split(" ")) > MAX_WORDS:
        raise DroppedItem("sentence")
    if len(phrase) > MAX_PHRASE_CHARS:
        raise DroppedItem("too_long")
    if _PHRASE.fullmatch(phrase) is None:
        raise DroppedItem("not_words")
    return phrase


def _load(text: str, truncated: bool) -> object:
    answer = without_thoughts(text)
    stripped = answer.strip()
    if not stripped:
        raise InvalidReply("truncated" if truncated else "empty", "the reply is empty")
    if len(answer) > MAX_REPLY_CHARS:
        raise InvalidReply("too_long", f"the reply has {len(stripped)} characters, more than {MAX_REPLY_CHARS}")
    for candidate in (stripped, _fenced(stripped), _between(stripped, "{", "}"), _between(stripped, "[", "]")):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    if truncated:
        raise InvalidReply("truncated", "the reply was cut off at its token limit")
    raise InvalidReply("not_json", f"the reply is not JSON: {printable(stripped)}")


def without_thoughts(text: str) -> str:
    """What follows the reasoning that some models write first; nothing when it never came to an end."""
    ends = [(text.rfind(end), end) for end in _THOUGHTS.values()]
    place, end = max(ends)
    if place >= 0:
        return text[place + len(end) :]
    return "" if text.lstrip().startswith(tuple(_THOUGHTS)) else text


def _fenced(text: str) -> str:
    """The first block of code in prose, without the name of its language; empty where there is none."""
    _, opened, rest = text.partition("```")
    block, closed, _ = rest.partition("```")
    return block.strip().removeprefix("json") if opened and closed else ""


def _between(text: str, first: str, last: str) -> str:
    """From the first of one character to the last of the other."""
    return text[text.find(first) : text.rfind(last) + 1] if first in text else ""


def parse_reply(text: str, *, truncated: bool = False) -> ParsedReply:
    """Turn a raw reply into phrases.

    Args:
        text: What the model wrote.
        truncated: The server said that it stopped at its token limit.

    Raises:
        InvalidReply: Not JSON, not the schema's shape, too many phrases, or not one usable phrase in a
            list that was not empty.
    """
    loaded = _load(text, truncated)
    if isinstance(loaded, list):  # unconstrained models leave out the object around the list
        loaded = {"concepts": loaded}
    try:
        reply = _Reply.model_validate(loaded)
    except ValidationError as error:
        raise InvalidReply("wrong_shape", f"the reply does not fit the schema: {printable(text)}") from error
    if len(reply.concepts) > MAX_CONCEPTS:
        raise InvalidReply("too_many", f"the reply lists {len(reply.concepts)} phrases, more than {MAX_CONCEPTS}")
    kept: dict[str, None] = {}
    dropped: list[DroppedPhrase] = []
    for item in reply.concepts:
        try:
            kept[clean_phrase(item)] = None
        except DroppedItem as error:
            dropped.append(DroppedPhrase(printable(item), error.kind))
    if dropped and not kept:
        raise InvalidReply("no_usable_phrase", "none of the listed phrases is usable", tuple(dropped))
    return ParsedReply(tuple(kept), tuple(dropped))
