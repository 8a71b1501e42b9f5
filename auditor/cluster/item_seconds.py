"""How long one item will take, and so how many fit into a task."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, stdev

from auditor.cluster.completion import Completion
from auditor.planning.audit_cost import Arms, Span, pictures, seconds_each
from auditor.probes.subjects import find_subject, known_contexts
from auditor.records.result import WorkItem
from auditor.settings import Settings

LOAD_SECONDS = 60.0
"""Per task, for loading a base; assumed where it was not measured."""
_EARLIER_S = 60
"""Slurm may tell a task of its time limit so much earlier than it was asked to."""
_ACTED = ("scored", "scored_partial", "no_effect")


def timed_seconds(completion: Completion) -> dict[str | None, Span]:
    """By base, the mean of audits that were timed with these settings, and its scatter."""
    timed: dict[str | None, list[float]] = {}
    for item, stored in completion.done.items():
        if stored.outcome in _ACTED and stored.seconds > 0:
            timed.setdefault(item.base_name, []).append(stored.seconds)
    return {name: _scatter(seconds) for name, seconds in timed.items()}


def item_seconds(settings: Settings, item: WorkItem, timed: Mapping[str | None, Span]) -> Span:
    """Of one item: as its base was timed, else by the rate of the base."""
    return timed[item.base_name] if item.base_name in timed else assumed_seconds(settings, item)


def load_seconds(settings: Settings, base_name: str | None) -> float:
    """Loading a base and the encoder."""
    known = settings.measured.get(base_name or "")
    return LOAD_SECONDS if known is None else known.load_s


def task_seconds(settings: Settings, base_name: str | None) -> float:
    """What a task has for its items: the time limit without loading and the warning before its end; at least a second.

    The reference of a base is made by all its tasks together; one whose time runs out meanwhile is requeued.
    """
    days, _, clock = settings.cluster.time_limit.rpartition("-")
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    limit = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    return max(1.0, limit - settings.cluster.warning_s - _EARLIER_S - load_seconds(settings, base_name))


def _scatter(seconds: list[float]) -> Span:
    """The mean of timed audits and its scatter, about 95 %; of a single one half and double."""
    mean = fmean(seconds)
    if len(seconds) < 2:
        return Span(mean / 2, 2 * mean)
    spread = 2 * stdev(seconds) / len(seconds) ** 0.5
    return Span(max(0.0, mean - spread), mean + spread)


def assumed_seconds(settings: Settings, item: WorkItem) -> Span:
    """By the rate of the item's base; of the dearest one when its base is open yet.

    Where files of the base were looked at, those that end when they are read count for nothing.
    """
    bases, arms = settings.recipe.active_bases, arms_of(settings, item)

    def of(name: str) -> Span:
        known = settings.measured.get(name)
        each = seconds_each(bases[name], pictures(settings.recipe, arms, known), known)
        return each if known is None else Span(each.least * known.drawn[0], each.most * known.drawn[1])

    if item.base_name in bases:
        return of(item.base_name)
    return max(map(of, bases), key=lambda span: span.most)


def arms_of(settings: Settings, item: WorkItem) -> Arms:
    """What will be measured of an item, as far as its card says."""
    if not item.trigger:
        return "plain"
    contexts = settings.recipe.subject_contexts
    if contexts == "none" or find_subject([item.trigger], known_contexts(str(contexts))) is None:
        return "trigger"
    return "subject"
