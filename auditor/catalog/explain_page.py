"""One adapter as one self-contained HTML page: no script, no network, nothing beside the file.

Everything that uploaders or models wrote is escaped by the template and stripped of control characters; a content
security policy in the page forbids whatever should slip through.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from auditor.catalog.charts import dose_lines, score_bars, share_bar
from auditor.catalog.cluster_words import ClusterWords, label
from auditor.catalog.questions.question_wording import licence_kind
from auditor.catalog.result_rows import picture_type, thumbnail
from auditor.catalog.sql_texts import literal
from auditor.catalog.strength import best_strength, measured_with_word
from auditor.common.text_safety import clean
from auditor.records.listing import ListedRepo
from auditor.records.recipe import Recipe
from auditor.records.result import AuditRecord, ConceptScore
from auditor.results.result_file import Result

TABLE_COLUMNS = ("concept", "score", "low", "high", "alone", "alignment")
"""Headings of `explain_table`."""

_SHOWN = 12
_LOW_ALIGNMENT = 0.5
_HALF = 0.5
_HIGH_ERROR = 0.05


@dataclass(frozen=True)
class Pair:
    """Pictures of base and adapter for one prompt, as data: addresses."""

    probe: int
    prompt: str
    base: Markup
    adapter: Markup


def explain_table(result: Result, limit: int = _SHOWN) -> list[tuple[str, float, float, float, float, float | None]]:
    """Strongest concepts with `TABLE_COLUMNS`, highest score first."""
    return [(s.concept, s.score, s.low, s.high, s.projection, s.alignment) for s in _leading(result.record, limit)]


def render_page(
    result: Result,
    repo: ListedRepo | None = None,
    *,
    recipe: Recipe | None = None,
    index_href: str | None = None,
    words: ClusterWords | None = None,
) -> str:
    """The page.

    Args:
        result: Of the audit.
        repo: What the listing says about the repo, when it is at hand.
        recipe: Recipe of the result, when it is at hand.
        index_href: Where a link to all adapters leads; no link when None.
        words: Which concepts the recipe cannot tell apart.
    """
    record = result.record
    clusters = words or ClusterWords()
    leading = clusters.shown((record.recipe_id, record.scores), _SHOWN)
    scores = {s.concept: (s.score, s.low, s.high) for s in record.scores}
    return _template().render(
        record=record,
        item=record.item,
        repo=repo,
        recipe=recipe,
        index_href=index_href,
        title=f"{record.item.repo_id} · {record.item.path}",
        leading=leading,
        use=_use(record, repo),
        bars=score_bars(leading),
        label=lambda concept: label(concept, clusters.named(record.recipe_id, concept, scores)),
        grouped=any(" (or: " in s.concept for s in leading),
        dose=dose_lines(record.dose),
        share=share_bar(record.effect.explained_share) if record.effect else Markup(""),
        pairs=_pairs(result),
        pairs_worded=_drawn_with_the_trigger(record),
        worded=score_bars(_strongest(record.arms.scores, _SHOWN)) if record.arms else Markup(""),
        warnings=warnings(record, repo),
        command=_command(record),
        queries=_queries(record),
    )


def _use(record: AuditRecord, repo: ListedRepo | None) -> list[tuple[str, str]]:
    """What somebody who wants to use it looks for first."""
    if record.outcome not in ("scored", "scored_partial"):
        return []
    facts = []
    if repo is not None:
        kind = licence_kind(repo.license) if repo.license else None
        said = repo.license or "not stated, so nothing is allowed"
        facts.append(("licence", clean(said, limit=80) + (f" ({kind})" if kind else "")))
    plain, worded = (
        [(s.concept, s.score, s.low) for s in scores]
        for scores in (record.scores, record.arms.scores if record.arms else ())
    )
    word = record.arms.trigger if record.arms else record.item.trigger
    needs = measured_with_word((low for _, _, low in plain), (low for _, _, low in worded))
    needed = " (needed: put it into the prompt)" if needs else ""
    facts.append(("trigger", clean(word, limit=80) + needed if word else "none declared: no word is needed"))
    found = best_strength(plain, worded, [point.model_dump() for point in record.dose])
    if found is not None:
        facts.append(("strength", f"{found[1].low:g} to {found[1].high:g} (measured ones that suit {found[0]})"))
    return facts


def warnings(record: AuditRecord, repo: ListedRepo | None = None) -> list[str]:
    """What a reader should know before believing the scores, one sentence each."""
    effect, proof, arms = record.effect, record.proof, record.arms
    weak = [s.concept for s in _leading(record, 5) if s.alignment is not None and s.alignment < _LOW_ALIGNMENT]
    found = [
        (
            record.outcome == "scored_partial",
            f"Scored with a reservation: {record.message}",
        ),
        (
            effect is not None and effect.status == "unexplained",
            "The concepts of the lexicon explain only a small part of what this adapter does.",
        ),
        (
            effect is not None
            and effect.status == "explained"
            and effect.named_share is not None
            and effect.named_share < _HALF,
            "No concept alone accounts for half of the change: it does several things, or something that none names.",
        ),
        (
            effect is not None and effect.status != "no_effect" and effect.cosine_error > _HIGH_ERROR,
            "The direction of the change is uncertain: more probes would help.",
        ),
        (
            record.proposals == "pending",
            "The vision-language model has not been asked yet: the scores are final, its words are still to come.",
        ),
        (record.base_assumed, _assumed(record)),
        (bool(record.contradictions), f"The evidence is divided: {'; '.join(record.contradictions)}."),
        (record.card_mismatch, "The card names another base than the weights fit."),
        (
            record.dose_rises is False,
            "The effect does not grow with the strength of the adapter, so the scores may not mean much.",
        ),
        (
            proof is not None and proof.pairs_unmatched > 0,
            f"{proof.pairs_unmatched if proof else 0} of the file's parts found no place in the base.",
        ),
        (
            arms is not None and (arms.interaction_norm or 0.0) > arms.weights_norm,
            "Most of the effect needs the trigger words; the scores are of the weights without them.",
        ),
        (bool(weak), f"Encoder and base disagree about what these words look like: {', '.join(weak)}."),
        (repo is not None and repo.license is None, "The repo names no licence."),
        (repo is not None and repo.gated is not None, "The repo asks for its terms to be accepted."),
        (repo is not None and repo.nsfw, "The repo, or one with the same file, is tagged as not for all audiences."),
    ]
    return [text for applies, text in found if applies]


def _assumed(record: AuditRecord) -> str:
    if record.base_distance is None:
        return "Neither file nor card names a base of ours; the first one of its family was used."
    steps = "one step" if record.base_distance == 1 else f"{record.base_distance} steps"
    return f"The base is an ancestor of the model that the card names, {steps} of training away."


def _leading(record: AuditRecord, limit: int) -> list[ConceptScore]:
    return _strongest(record.scores, limit)


def _strongest(scores: Sequence[ConceptScore], limit: int) -> list[ConceptScore]:
    return sorted((s for s in scores if s.score > 0), key=lambda s: s.naming_key)[:limit]


def _drawn_with_the_trigger(record: AuditRecord) -> bool:
    """Whether the kept pictures are those of prompts with the trigger, or with the taught word of a subject."""
    if record.arms is None or not record.thumbnails:
        return False
    word = record.arms.subject.token if record.arms.subject else record.arms.trigger
    return all(word in prompt for _, prompt in record.thumbnails)


def _pairs(result: Result) -> list[Pair]:
    pairs = []
    for probe, prompt in result.record.thumbnails:
        base, adapter = (thumbnail(result.arrays, probe, side) for side in ("base", "adapter"))
        if base is not None and adapter is not None:
            pairs.append(Pair(probe, prompt, _data_address(base), _data_address(adapter)))
    return pairs


def _data_address(picture: bytes) -> Markup:
    return Markup(f"data:{picture_type(picture)};base64,{base64.b64encode(picture).decode('ascii')}")


def _command(record: AuditRecord) -> str:
    """What to type to get this page again. Names are uploads, so the shell gets them quoted."""
    local = record.item.repo_id.startswith("local/")
    return f"auditor explain {shlex.quote(clean(record.item.path if local else record.item.repo_id))}"


def _queries(record: AuditRecord) -> list[str]:
    repo = literal(clean(record.item.repo_id))
    queries = [f"FROM lora_card WHERE repo_id = {repo};"]
    if record.outcome in ("scored", "scored_partial"):
        best = ", ".join(literal(s.concept) for s in _leading(record, 2))
        queries += [f"FROM similar_to({repo}, k := 10);"]
        queries += [f"FROM most({best}, k := 10);"] if best else []
    return queries


def _finalize(value: object) -> object:
    """Last step before text enters the page; what is Markup already came from us."""
    if isinstance(value, Markup):
        return value
    return clean(value) if isinstance(value, str) else value


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("explain.html")
