"""Does a two-style question put a right adapter first? Asked of the catalog that `auditor nightly` built."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from auditor.catalog.search import search
from auditor.errors import PrerequisiteMissing
from auditor.evaluation.naming import Share, share
from auditor.paths import package_path
from auditor.pocket.training.lessons import STACKED


@dataclass(frozen=True)
class SearchQuality:
    """Every question with its first answer, and the share that was right."""

    answers: tuple[tuple[str, str, bool], ...]
    right: Share
    chance: float


def evaluate_search(database: Path) -> SearchQuality:
    """Ask for every style pair of the zoo.

    Raises:
        PrerequisiteMissing: There is no catalog, or no list of what the zoo was trained on.
    """
    answers_path = package_path("pocket/zoo_answers.json")
    if not database.exists() or not answers_path.exists():
        raise PrerequisiteMissing(f"the pocket zoo's catalog is needed in {database}; run: auditor nightly")
    taught = {repo: set(answer.get("styles", ())) for repo, answer in json.loads(answers_path.read_text()).items()}
    answers = []
    for first, second in STACKED:
        question = f"most {first} {second} LoRA"
        hits = search(database, question, 1).hits
        found = hits[0].repo_id if hits else "nothing"
        answers.append((question, found, taught.get(found) == {first, second}))
    right = sum(ok for _, _, ok in answers)
    return SearchQuality(tuple(answers), share(right, len(answers)), 1 / len(taught))
