"""The shared course of a proposal: look in the cache, ask, validate, ask the failed groups again.

All groups of a round are handed over together, so that a proposer can batch them or send them in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auditor.common.pictures import Pictures, bound_side
from auditor.proposing.grouping import join_groups, split_pairs
from auditor.proposing.images import check_pairs, image_hash
from auditor.proposing.proposer import ProposerOptions, VlmUnavailable
from auditor.proposing.reply_cache import ReplyCache, ReplyKey
from auditor.proposing.schema import MAX_REPLY_CHARS, SCHEMA_HASH, InvalidReply, parse_reply, without_thoughts
from auditor.records.proposals import DroppedPhrase, InvalidKind, Proposals, RawReply


@dataclass(frozen=True)
class VlmQuestion:
    """One request: the pictures of one group and how to sample the reply."""

    group: int
    attempt: int
    base: tuple[Pictures, ...]
    adapted: tuple[Pictures, ...]
    seed: int
    temperature: float


@dataclass(frozen=True)
class Answer:
    """One raw reply.

    Attributes:
        truncated: It stopped at the token limit.
        refused: The text is no reply but the reason for which these pictures were not looked at.
        form: How the server was asked; see `Form.name`.
    """

    text: str
    truncated: bool
    duration_s: float
    refused: bool = False
    form: str = ""


Ask = Callable[[Sequence[VlmQuestion]], Sequence[Answer | VlmUnavailable]]
"""Answers every question in order; an outage is returned in its place, so that the others are not lost."""


@dataclass(frozen=True)
class _Group:
    base: tuple[Pictures, ...]
    adapted: tuple[Pictures, ...]
    hashes: tuple[str, ...]


def _groups(base_images: Pictures, adapted_images: Pictures, settings: ProposerOptions) -> list[_Group]:
    check_pairs(base_images, adapted_images)
    groups = []
    for rows in split_pairs(len(base_images), settings.pairs_per_group):
        base = tuple(bound_side(base_images[i], settings.max_side) for i in rows)
        adapted = tuple(bound_side(adapted_images[i], settings.max_side) for i in rows)
        groups.append(_Group(base, adapted, tuple(image_hash(i) for i in (*base, *adapted))))
    return groups


def judge_reply(question: VlmQuestion, answer: Answer, cached: bool) -> RawReply:
    """Validate one reply and write down everything about it."""
    concepts: tuple[str, ...] = ()
    dropped: tuple[DroppedPhrase, ...] = ()
    invalid: InvalidKind | None = None
    try:
        if answer.refused:
            raise InvalidReply("refused", answer.text)
        parsed = parse_reply(answer.text, truncated=answer.truncated)
        concepts, dropped = parsed.concepts, parsed.dropped
    except InvalidReply as error:
        invalid, dropped = error.kind, error.dropped
    # The answer stands after the thoughts, which may be long.
    text = answer.text if len(answer.text) <= MAX_REPLY_CHARS else without_thoughts(answer.text)
    # A lone surrogate from a JSON escape could not be written to any file later on.
    text = text[:MAX_REPLY_CHARS].encode("utf-8", "backslashreplace").decode("utf-8")
    return RawReply(
        group=question.group,
        attempt=question.attempt,
        seed=question.seed,
        text=text,
        concepts=concepts,
        dropped=dropped,
        invalid=invalid,
        cached=cached,
        duration_s=None if cached else answer.duration_s,
        form=answer.form,
    )


class _Course:
    """The rounds of one adapter."""

    def __init__(self, settings: ProposerOptions, model: str, cache: ReplyCache | None, ask: Ask) -> None:
        self.settings, self.model, self.cache, self.ask = settings, model, cache, ask

    def key(self, question: VlmQuestion, group: _Group) -> ReplyKey:
        return ReplyKey(
            model=self.model,
            template=self.settings.template.hash,
            schema=SCHEMA_HASH,
            images=group.hashes,
            seed=question.seed,
            temperature=question.temperature,
            max_tokens=self.settings.sampling.max_tokens,
        )

    def round(self, attempt: int, open_groups: dict[int, _Group]) -> list[RawReply]:
        seed, temperature = self.settings.sampling.attempt(attempt)
        replies: list[RawReply] = []
        asked: list[VlmQuestion] = []
        for number, group in open_groups.items():
            question = VlmQuestion(number, attempt, group.base, group.adapted, seed, temperature)
            kept = self.cache.get(self.key(question, group)) if self.cache else None
            if kept is None:
                asked.append(question)
            else:
                replies.append(judge_reply(question, Answer(kept.text, False, 0.0, form=kept.form), cached=True))
        outage: VlmUnavailable | None = None
        for question, answer in zip(asked, self.ask(asked) if asked else (), strict=True):
            if isinstance(answer, VlmUnavailable):
                outage = outage or answer
                continue
            reply = judge_reply(question, answer, cached=False)
            # Only usable replies are kept: an invalid one deserves another chance on the next run.
            if self.cache and reply.invalid is None:
                self.cache.put(self.key(question, open_groups[question.group]), reply.text, reply.form)
            replies.append(reply)
        if outage is not None:
            raise outage
        return replies


def propose_in_rounds(
    base_images: Pictures,
    adapted_images: Pictures,
    *,
    settings: ProposerOptions,
    model: str,
    cache: ReplyCache | None,
    ask: Ask,
) -> Proposals:
    """Ask about every group, again with another seed where the reply was invalid, and join the answers.

    Args:
        base_images: uint8 (n, H, W, 3).
        adapted_images: uint8 (n, H, W, 3).
        settings: Sampling, grouping and prompt.
        model: Model name with revision, for the cache key.
        cache: Where replies are kept, or None.
        ask: Sends one round of questions.

    Raises:
        VlmUnavailable: A question found no answer. The usable replies of the round are cached before.
    """
    groups = _groups(base_images, adapted_images, settings)
    course = _Course(settings, model, cache, ask)
    replies: list[RawReply] = []
    open_groups = dict(enumerate(groups))
    for attempt in range(settings.sampling.attempts):
        if not open_groups:
            break
        for reply in course.round(attempt, open_groups):
            replies.append(reply)
            if reply.invalid in (None, "refused"):  # a filter that struck once would strike again, and may count
                del open_groups[reply.group]
    replies.sort(key=lambda r: (r.group, r.attempt))
    answered = [r.concepts for r in replies if r.invalid is None]
    return Proposals(
        phrases=join_groups(answered),
        replies=tuple(replies),
        groups=len(groups),
        groups_answered=len(answered),
        reason=None if answered else "vlm_invalid",
    )
