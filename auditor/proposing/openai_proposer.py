"""Concepts from an OpenAI-compatible server, such as vLLM serving Qwen2-VL.

Requests of one adapter are in flight together and each has a deadline on its whole duration, so that a server
that hangs, or drips, costs a known time. A server that refuses a request is asked about pictures that are known to be
good: does it take those, the refusal is about this adapter alone; does it not, it is asked in another form.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import openai
import structlog

from auditor.common.pictures import Pictures
from auditor.proposing import server_errors
from auditor.proposing.endpoint import Endpoint
from auditor.proposing.forms import Form, about_pictures, weaker
from auditor.proposing.proposer import ProposerOptions, VlmUnavailable
from auditor.proposing.reply_cache import ReplyCache
from auditor.proposing.rounds import Answer, VlmQuestion, propose_in_rounds
from auditor.proposing.schema import printable, without_thoughts
from auditor.records.proposals import Proposals

log = structlog.get_logger(__name__)


def client_for(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """A client without retries of its own: retries are counted and recorded here."""
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url, api_key=endpoint.api_key, max_retries=0, timeout=endpoint.deadline_s
    )


class OpenAIProposer:
    """Asks a server. Safe to keep for many adapters; holds no connection between calls, but remembers the form."""

    def __init__(
        self, endpoint: Endpoint, settings: ProposerOptions | None = None, cache: ReplyCache | None = None
    ) -> None:
        self.endpoint = endpoint
        self.settings = settings or ProposerOptions()
        self.cache = cache
        self.model = f"{endpoint.model}@{endpoint.revision}"
        self.form = Form()

    @property
    def identity(self) -> str:
        """Hash over model revision, prompt, schema and sampling."""
        return self.settings.identity(self.model)

    def propose(self, base_images: Pictures, adapted_images: Pictures) -> Proposals:
        """See `Proposer.propose`.

        Raises:
            VlmUnavailable: Connection trouble, 5xx or 429 replies, a used-up quota, or a missed deadline.
            UserError: The server refuses any request of this kind; the message says why.
        """
        return propose_in_rounds(
            base_images,
            adapted_images,
            settings=self.settings,
            model=self.model,
            cache=self.cache,
            ask=self._ask,
        )

    def check(self, side: int = 64) -> None:
        """Ask about pictures known to be good, as many as a real question shows, and settle the form.

        Raises:
            VlmUnavailable: No answer.
            UserError: It refuses them in every form.
        """
        shape = (self.settings.pairs_per_group, side, side, 3)

        async def settle() -> None:
            async with client_for(self.endpoint) as client:
                await _Session(self, client).settle(_known_good(np.zeros(shape, dtype=np.uint8)))

        asyncio.run(settle())

    def _ask(self, questions: Sequence[VlmQuestion]) -> list[Answer | VlmUnavailable]:
        return asyncio.run(self._ask_all(questions))

    async def _ask_all(self, questions: Sequence[VlmQuestion]) -> list[Answer | VlmUnavailable]:
        gate = asyncio.Semaphore(self.endpoint.parallel)
        async with client_for(self.endpoint) as client:
            session = _Session(self, client)

            async def one(question: VlmQuestion) -> Answer | VlmUnavailable:
                async with gate:
                    try:
                        return await session.answer(question)
                    except VlmUnavailable as outage:
                        return outage

            return list(await asyncio.gather(*(one(q) for q in questions)))


class _Session:
    """The requests of one round: they share what the server said about waiting, and about the form."""

    def __init__(self, proposer: OpenAIProposer, client: openai.AsyncOpenAI) -> None:
        self.proposer, self.client, self.endpoint = proposer, client, proposer.endpoint
        self._settling = asyncio.Lock()
        self._not_before = 0.0

    async def answer(self, question: VlmQuestion) -> Answer:
        """One question, in whatever form the server takes it.

        Raises:
            VlmUnavailable: No answer could be had now.
            UserError: The server refuses every question.
        """
        while True:
            form, started = self.proposer.form, time.monotonic()
            try:
                reply = await self._patiently(form, question)
            except openai.APIStatusError as error:
                words = server_errors.said(error)
                refused = Answer(words, False, time.monotonic() - started, refused=True, form=form.name)
                if server_errors.refuses_pictures(error):
                    return refused
                if not await self._another_form(form, question):
                    return refused
            else:
                answer = _answer(reply, time.monotonic() - started, form)
                if form.room or not _cut_off_thinking(answer):
                    return answer
                self._make_room(form)

    def _make_room(self, form: Form) -> None:
        """From now on with room for thoughts: a reply was cut off before its first word."""
        if self.proposer.form == form:
            self.proposer.form = replace(form, room=True)
            log.warning("vlm server is asked in another form", form=self.proposer.form.name)

    async def settle(self, good: VlmQuestion) -> None:
        """Find the strongest form in which a good question is answered.

        Raises:
            UserError: There is none.
        """
        form = self.proposer.form
        while True:
            try:
                reply = await self._patiently(form, good)
            except openai.APIStatusError as error:
                following = None if error.status_code in (401, 403, 404) else weaker(form, server_errors.said(error))
                if following is None:
                    raise server_errors.explain_refusal(error, self.endpoint.base_url, self.endpoint.model) from error
                form = following
            else:
                if _cut_off_thinking(_answer(reply, 0.0, form)) and not form.room:
                    form = replace(form, room=True)
                    continue
                if form != self.proposer.form:
                    log.warning("vlm server is asked in another form", form=form.name)
                self.proposer.form = form
                return

    async def _another_form(self, form: Form, question: VlmQuestion) -> bool:
        """Whether the form was the trouble, and another one is in force now. False: it is the question's own."""
        async with self._settling:
            if self.proposer.form == form:  # raises where a good question is refused in every form, or for its key
                await self.settle(_known_good(np.stack(question.base)))
            return self.proposer.form != form

    async def _patiently(self, form: Form, question: VlmQuestion) -> Any:
        """One reply, through outages and rate limits; a refusal is raised as the client raises it."""
        request = form.request(
            self.endpoint.model, self.proposer.settings.template, question, self.proposer.settings.sampling.max_tokens
        )
        trouble, patience_s, outages = "", self.endpoint.deadline_s, 0
        while outages < self.endpoint.outage_attempts:
            if trouble:
                await asyncio.sleep(max(self.endpoint.pause_s, self._not_before - time.monotonic()))
            try:
                async with asyncio.timeout(self.endpoint.deadline_s):
                    reply = await self.client.chat.completions.create(**request)
            except (TimeoutError, openai.APITimeoutError):
                trouble = f"gave no answer within {self.endpoint.deadline_s:g} s"
            except openai.APIStatusError as error:
                wait = self._wait_for(error)
                if wait is not None and wait <= patience_s:
                    trouble, patience_s = "asks to wait", patience_s - max(wait, self.endpoint.pause_s)
                    self._not_before = max(self._not_before, time.monotonic() + wait)
                    continue
                trouble = f"answered {error.status_code}" + (f" and asks to wait {wait:.0f} s" if wait else "")
            except (openai.APIError, ValueError) as error:  # ValueError: a 200 whose body is not JSON
                trouble = f"failed: {printable(str(error), 200)}"
            else:
                wrapped = getattr(reply, "error", None)
                if getattr(reply, "choices", None) is None and not wrapped:
                    trouble = "answered with something that is no chat completion (a proxy's page, perhaps)"
                elif not wrapped or server_errors.wrapped_refusal(wrapped):
                    return reply
                else:
                    trouble = f"answered with an error: {printable(str(wrapped), 200)}"
            outages += 1
        raise self._away(f"{trouble}; look at the server's log, then run again")

    def _wait_for(self, error: openai.APIStatusError) -> float | None:
        """Seconds that a passing refusal asks for. One that will not pass is raised."""
        if server_errors.quota_used_up(error):
            words = printable(server_errors.said(error), 200)
            raise self._away(f"has no quota left for this key ({words}); add credit, then run: auditor propose")
        if not server_errors.may_pass(error) or about_pictures(server_errors.said(error)):
            raise error
        return server_errors.asked_wait_s(error)

    def _away(self, trouble: str) -> VlmUnavailable:
        return VlmUnavailable(f"{self.endpoint.base_url} {trouble}")


def _known_good(like: Pictures) -> VlmQuestion:
    """A question that no filter minds: grey ramps in number and size of `like`, (k, H, W, 3)."""
    count, height, width, _ = like.shape
    ramp = np.linspace(60, 200, width, dtype=np.uint8)
    base = np.broadcast_to(ramp[None, :, None], (height, width, 3)).copy()
    adapted = base[:, ::-1].copy()
    return VlmQuestion(0, 0, (base,) * count, (adapted,) * count, 0, 0.0)


def _answer(reply: Any, duration_s: float, form: Form) -> Answer:
    """Take the text out of a reply; one without choices or text becomes an empty, hence invalid, answer."""
    if wrapped := getattr(reply, "error", None):
        return Answer(printable(str(wrapped), 300), False, duration_s, refused=True, form=form.name)
    choices = getattr(reply, "choices", None) or []
    message = getattr(choices[0], "message", None) if choices else None
    ended = getattr(choices[0], "finish_reason", None) if choices else None
    plain = Answer(_text(getattr(message, "content", None)), ended == "length", duration_s, form=form.name)
    refusal = getattr(message, "refusal", None)
    if isinstance(refusal, str) and refusal and not plain.text:
        return replace(plain, text=refusal, refused=True)
    if server_errors.stopped_by_filter(ended):
        return replace(plain, text=plain.text or "the reply was stopped by the server's content filter", refused=True)
    return plain


def _cut_off_thinking(answer: Answer) -> bool:
    """Whether the reply's tokens were used up before its first word."""
    return answer.truncated and not answer.refused and not without_thoughts(answer.text).strip()


def _text(content: object) -> str:
    """The text of a message: as it is, joined from its parts, or written again where the server has read it already."""
    if isinstance(content, dict) or (isinstance(content, list) and all(isinstance(part, str) for part in content)):
        return json.dumps(content)
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else getattr(part, "text", None) for part in content]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
