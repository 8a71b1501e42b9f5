"""Concepts from an OpenAI-compatible server, such as vLLM serving Qwen2-VL.

Requests of one adapter are in flight together and each has a deadline on its whole duration, so that a server
that hangs, or drips, costs a known time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import openai

from auditor.errors import PrerequisiteMissing, UserError
from auditor.proposing.cache import ReplyCache
from auditor.proposing.images import Pictures, png_data_url
from auditor.proposing.proposer import ProposerSettings, VlmUnavailable
from auditor.proposing.rounds import Answer, Question, propose_in_rounds
from auditor.proposing.schema import REPLY_SCHEMA, printable
from auditor.proposing.template import Part
from auditor.records.proposals import Proposals

RESPONSE_FORMAT: dict[str, object] = {
    "type": "json_schema",
    "json_schema": {"name": "concepts", "strict": True, "schema": REPLY_SCHEMA},
}


@dataclass(frozen=True)
class Endpoint:
    """Where the server is and how patient to be with it.

    `revision` names the served weights, since a server cannot be asked for it. `deadline_s` bounds one
    request; one that meets an outage is sent `outage_attempts` times in all, `pause_s` apart.
    """

    base_url: str
    model: str
    revision: str
    api_key: str = "none"
    deadline_s: float = 120.0
    outage_attempts: int = 2
    pause_s: float = 1.0
    parallel: int = 8


def image_part(image: Pictures) -> Part:
    """One (H, W, 3) picture as a chat message part."""
    return {"type": "image_url", "image_url": {"url": png_data_url(image)}}


def client_for(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """A client without retries of its own: retries are counted and recorded here."""
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url, api_key=endpoint.api_key, max_retries=0, timeout=endpoint.deadline_s
    )


def explain_refusal(error: openai.APIStatusError, endpoint: Endpoint) -> UserError:
    """A 4xx reply as an error that names its cause and the next step."""
    said = printable(error.message, 300)
    if error.status_code in (401, 403):
        return PrerequisiteMissing(f"{endpoint.base_url} refused the API key ({said}); set the proposer's api_key")
    if error.status_code == 404:
        return PrerequisiteMissing(
            f"{endpoint.base_url} does not serve {endpoint.model!r} ({said}); "
            "compare the proposer's model with what the server lists under /models"
        )
    return UserError(
        f"{endpoint.base_url} refused the request ({error.status_code}: {said}); check the server's limits "
        "on images per prompt and context length"
    )


class OpenAIProposer:
    """Asks a server. Safe to keep for many adapters; holds no connection between calls."""

    def __init__(
        self, endpoint: Endpoint, settings: ProposerSettings | None = None, cache: ReplyCache | None = None
    ) -> None:
        self.endpoint = endpoint
        self.settings = settings or ProposerSettings()
        self.cache = cache
        self.model = f"{endpoint.model}@{endpoint.revision}"

    @property
    def identity(self) -> str:
        """Hash over model revision, prompt, schema and sampling."""
        return self.settings.identity(self.model)

    def propose(self, base_images: Pictures, adapted_images: Pictures) -> Proposals:
        """See `Proposer.propose`.

        Raises:
            VlmUnavailable: Connection trouble, 5xx or 429 replies, or a missed deadline.
            UserError: The server refuses the request itself; the message says why.
        """
        return propose_in_rounds(
            base_images,
            adapted_images,
            settings=self.settings,
            model=self.model,
            cache=self.cache,
            ask=self._ask,
        )

    def _ask(self, questions: Sequence[Question]) -> list[Answer | VlmUnavailable]:
        return asyncio.run(self._ask_all(questions))

    async def _ask_all(self, questions: Sequence[Question]) -> list[Answer | VlmUnavailable]:
        gate = asyncio.Semaphore(self.endpoint.parallel)
        async with client_for(self.endpoint) as client:

            async def one(question: Question) -> Answer | VlmUnavailable:
                async with gate:
                    return await self._ask_patiently(client, question)

            return list(await asyncio.gather(*(one(q) for q in questions)))

    async def _ask_patiently(self, client: openai.AsyncOpenAI, question: Question) -> Answer | VlmUnavailable:
        request = self._request(question)
        trouble = ""
        for attempt in range(self.endpoint.outage_attempts):
            if attempt:
                await asyncio.sleep(self.endpoint.pause_s)
            started = time.monotonic()
            try:
                async with asyncio.timeout(self.endpoint.deadline_s):
                    reply = await client.chat.completions.create(**request)
            except (TimeoutError, openai.APITimeoutError):
                trouble = f"gave no answer within {self.endpoint.deadline_s:g} s"
            except openai.APIStatusError as error:
                if error.status_code < 500 and error.status_code not in (408, 409, 429):
                    raise explain_refusal(error, self.endpoint) from error
                trouble = f"answered {error.status_code}"
            except (openai.APIError, ValueError) as error:  # ValueError: a 200 whose body is not JSON
                trouble = f"failed: {printable(str(error), 200)}"
            else:
                return _answer(reply, time.monotonic() - started)
        return VlmUnavailable(f"{self.endpoint.base_url} {trouble}; look at the server's log, then run again")

    def _request(self, question: Question) -> dict[str, Any]:
        messages = self.settings.template.messages(
            [image_part(i) for i in question.base], [image_part(i) for i in question.adapted]
        )
        return {
            "model": self.endpoint.model,
            "messages": messages,
            "response_format": RESPONSE_FORMAT,
            "seed": question.seed,
            "temperature": question.temperature,
            "max_tokens": self.settings.sampling.max_tokens,
        }


def _answer(reply: Any, duration_s: float) -> Answer:
    """Take the text out of a reply; one without choices or text becomes an empty, hence invalid, answer."""
    choices = getattr(reply, "choices", None) or []
    message = getattr(choices[0], "message", None) if choices else None
    text = getattr(message, "content", None)
    truncated = bool(choices) and getattr(choices[0], "finish_reason", None) == "length"
    return Answer(text if isinstance(text, str) else "", truncated, duration_s)
