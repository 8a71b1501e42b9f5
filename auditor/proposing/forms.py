"""How a chat server wants to be asked. The recipe has one request in mind; real servers take it in several forms.

One refuses a keyword of the schema, one the name of the token limit, one the system role, one more than one picture. A
form is weakened a step at a time, by what the server says of a request that is known to be good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from auditor.common.pictures import Pictures
from auditor.proposing.images import contact_sheet, png_data_url
from auditor.proposing.rounds import VlmQuestion
from auditor.proposing.schema import REPLY_SCHEMA
from auditor.proposing.template import Message, Part, PromptTemplate

Level = Literal["strict", "plain", "json_object", "none"]
LEVELS: Final[tuple[Level, ...]] = ("strict", "plain", "json_object", "none")
"""How much of the reply's schema is sent: all, its types alone, that it is JSON, nothing."""

ROOM: Final = 16
"""How many times the reply's tokens a model gets that thinks before it answers."""
_PLAIN_SCHEMA: Final[dict[str, object]] = {
    "type": "object",
    "properties": {"concepts": {"type": "array", "items": {"type": "string"}}},
    "required": ["concepts"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Form:
    """One way to put the same question.

    Attributes:
        level: Of the reply's schema.
        token_field: Name of the token limit.
        temperature: Whether it may be sent; reasoning models have their own.
        seed: Whether it may be sent.
        system: Whether there is a system role; else its words open the user's message.
        sheet: Whether all pictures go as one, labelled.
        room: Whether there is room for thoughts, `ROOM` times the reply's tokens: some models spend them all before the
            first word of an answer.
    """

    level: Level = "strict"
    token_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: bool = True
    seed: bool = True
    system: bool = True
    sheet: bool = False
    room: bool = False

    @property
    def name(self) -> str:
        """What differs from the request of the recipe; empty when nothing does."""
        parts = [f"schema {self.level}"] if self.level != "strict" else []
        parts += [self.token_field] if self.token_field != "max_tokens" else []
        parts += ["no temperature"] if not self.temperature else []
        parts += ["no seed"] if not self.seed else []
        parts += ["no system role"] if not self.system else []
        parts += ["one sheet"] if self.sheet else []
        parts += ["room for thoughts"] if self.room else []
        return ", ".join(parts)

    def request(self, model: str, template: PromptTemplate, question: VlmQuestion, max_tokens: int) -> dict[str, Any]:
        """The body of a chat completion request."""
        body: dict[str, Any] = {"model": model, "messages": self._messages(template, question)}
        body[self.token_field] = max_tokens * (ROOM if self.room else 1)
        if self.level != "none":
            body["response_format"] = _response_format(self.level)
        if self.seed:
            body["seed"] = question.seed
        if self.temperature:
            body["temperature"] = question.temperature
        return body

    def _messages(self, template: PromptTemplate, question: VlmQuestion) -> list[Message]:
        if self.sheet:
            sheet = image_part(contact_sheet(question.base, question.adapted))
            messages = template.sheet_messages(sheet)
        else:
            messages = template.messages(
                [image_part(i) for i in question.base], [image_part(i) for i in question.adapted]
            )
        if self.system:
            return messages
        system, user = messages
        content: list[Part] = [*system["content"], *user["content"]]  # type: ignore[misc]  # both are lists of parts
        return [{"role": "user", "content": content}]


def image_part(image: Pictures) -> Part:
    """One (H, W, 3) picture as a chat message part."""
    return {"type": "image_url", "image_url": {"url": png_data_url(image)}}


def weaker(form: Form, said: str) -> Form | None:
    """The next form to try after a refusal of a good request; None when there is none left.

    Args:
        form: The one that was refused.
        said: The server's words.
    """
    for pattern, step in _STEPS:
        if pattern.search(said) and (following := step(form)) is not None and following != form:
            return following
    # No word to go by: what servers differ in most comes first.
    return next((following for step in _UNTOLD if (following := step(form)) not in (None, form)), None)


def about_pictures(said: str) -> bool:
    """Whether a server complains of the number of pictures; some do so with a 5xx."""
    return _ONE_PICTURE.search(said) is not None


def _less_schema(form: Form) -> Form | None:
    place = LEVELS.index(form.level) + 1
    return replace(form, level=LEVELS[place]) if place < len(LEVELS) else None


def _response_format(level: Level) -> dict[str, object]:
    if level == "json_object":
        return {"type": "json_object"}
    schema = REPLY_SCHEMA if level == "strict" else _PLAIN_SCHEMA
    return {"type": "json_schema", "json_schema": {"name": "concepts", "strict": True, "schema": schema}}


_ONE_PICTURE = re.compile(
    r"(?:at most|maximum of|up to|only|single|more than|one) ?(?:\w+ ){0,5}(?:images?|pictures?)\b"
    r"|(?:multiple|too many|number of|multi-) ?images?|limit.mm.per.prompt|image (?:count|limit)",
    re.IGNORECASE,
)
_STEPS: Final[Sequence[tuple[re.Pattern[str], Callable[[Form], Form | None]]]] = (
    (
        re.compile("max_completion_tokens|max_tokens", re.IGNORECASE),
        lambda form: replace(form, token_field="max_completion_tokens"),
    ),
    (re.compile("temperature", re.IGNORECASE), lambda form: replace(form, temperature=False)),
    (re.compile(r"\bseed\b", re.IGNORECASE), lambda form: replace(form, seed=False)),
    (re.compile(r"\bsystem\b|\broles?\b", re.IGNORECASE), lambda form: replace(form, system=False)),
    (_ONE_PICTURE, lambda form: replace(form, sheet=True)),
    (re.compile("response_format|schema|json|grammar|guided|structured", re.IGNORECASE), _less_schema),
)
_UNTOLD: Final[Sequence[Callable[[Form], Form | None]]] = (
    _less_schema,
    lambda form: replace(form, seed=False),
    lambda form: replace(form, system=False),
    lambda form: replace(form, temperature=False),
    lambda form: replace(form, token_field="max_completion_tokens"),
    lambda form: replace(form, sheet=True),
)
"""What is tried, in this order, where a server does not say what it minds."""
