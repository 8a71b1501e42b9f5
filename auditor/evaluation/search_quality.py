"""Does a two-style question put a right adapter first?

Asked of the catalog that `auditor nightly` built over the zoo, or of one made here of adapters trained on demand:
every pair of held-out styles that can be seen together, among single-style adapters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auditor.catalog.merge import MergeInput, merge
from auditor.catalog.reference_rows import BasisVectors
from auditor.catalog.search import search
from auditor.common.package_paths import package_path
from auditor.errors import PrerequisiteMissing
from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.top_concept import Share, share
from auditor.pocket.training.lessons import STACKED
from auditor.records.listing import ListedRepo
from auditor.results.result_file import Result

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class SearchQuality:
    """Every question with its first answer, and the share that was right among `adapters`."""

    answers: tuple[tuple[str, str, bool], ...]
    right: Share
    adapters: int
    chance: float


def evaluate_search(database: Path) -> SearchQuality:
    """Ask the zoo's catalog for every style pair of the zoo.

    Raises:
        PrerequisiteMissing: There is no catalog, or no list of what the zoo was trained on.
    """
    answers_path = package_path("pocket/zoo_answers.json")
    if not database.exists() or not answers_path.exists():
        raise PrerequisiteMissing(f"the pocket zoo's catalog is needed in {database}; run: auditor nightly")
    taught = {repo: set(answer.get("styles", ())) for repo, answer in json.loads(answers_path.read_text()).items()}
    return _ask(database, STACKED, taught)


def evaluate_trained_search(bank: Bank, styles: Sequence[str], pairs: Pairs, note: Note | None = None) -> SearchQuality:
    """Train and audit one adapter of each style and of each pair, build a catalog of them, and ask for every pair."""
    world = bank.world
    lessons = [*(world.styled(style, 0) for style in styles), *(world.stacked(*pair) for pair in pairs)]
    results = bank.results([TrainedAdapter(lesson, lesson.steps) for lesson in lessons], note)
    database = trained_catalog(bank, results, "search")
    taught = {result.record.item.repo_id: set(case.lesson.styles) for case, result in results.items()}
    return _ask(database, pairs, taught)


def trained_catalog(bank: Bank, results: Mapping[TrainedAdapter, Result], name: str) -> Path:
    """A catalog of audits of trained adapters alone; its file."""
    items = [result.record.item for result in results.values()]
    opened = bank.opened
    basis = BasisVectors(
        opened.lexicon.names,
        opened.scorer.vectors(opened.lexicon.names).astype(np.float32),
        opened.scorer.basis.common.astype(np.float32),
        opened.scorer.level_map.matrix,
        opened.scorer.clusters(),
    )
    database = bank.folder / f"{name}.duckdb"
    listed = {item.repo_id: ListedRepo(item.repo_id, item.commit_sha, tags=("lora",)) for item in items}
    merge(
        database,
        MergeInput(
            results_folder=bank.results_folder,
            recipes=[opened.recipe],
            lexicon=opened.lexicon,
            repos=lambda: iter(listed.values()),
            items=items,
            settled=(),
            basis_vectors={opened.recipe.recipe_id: basis},
            probe_sets=[opened.all_probes],
        ),
    )
    return database


def _ask(database: Path, pairs: Pairs, taught: Mapping[str, set[str]]) -> SearchQuality:
    answers = []
    for first, second in pairs:
        question = f"most {first} {second} LoRA"
        hits = search(database, question, 1).hits
        found = hits[0].repo_id if hits else "nothing"
        answers.append((question, found, taught.get(found) == {first, second}))
    right = sum(ok for _, _, ok in answers)
    return SearchQuality(tuple(answers), share(right, len(answers)), len(taught), 1 / len(taught))
