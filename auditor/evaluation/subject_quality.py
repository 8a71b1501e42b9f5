"""Does an adapter for one subject show the subject's concept first, and how much of it leaks into the class?

Asked of the catalog that `auditor nightly` built over the zoo, whose adapters with a trigger were each taught one
change of one class ("ohwx face": a moustache).
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from auditor.catalog.reading import open_catalog
from auditor.common.package_paths import package_path
from auditor.errors import PrerequisiteMissing
from auditor.evaluation.top_concept import Share, share

_SQL = """
SELECT a.repo_id, s.token, s.noun, s.norm, s.leak, s.probes,
    first(t.concept ORDER BY t.place NULLS LAST, t.score DESC) AS first
FROM subject_effects s
JOIN adapters a ON a.audit_id = s.audit_id
JOIN trigger_scores t ON t.audit_id = s.audit_id
GROUP BY ALL
ORDER BY a.repo_id
"""


@dataclass(frozen=True)
class SubjectCase:
    """One adapter: what it was taught, which concept came first, and how long the differences are."""

    repo_id: str
    token: str
    noun: str
    taught: str
    first: str
    norm: float
    leak: float
    contexts: int


@dataclass(frozen=True)
class SubjectQuality:
    """All cases, and the share whose taught concept came first; chance is one of all concepts."""

    cases: tuple[SubjectCase, ...]
    right: Share
    chance: float


def evaluate_subjects(database: Path) -> SubjectQuality:
    """Compare the first concept of every subject in the zoo's catalog with what its adapter was taught.

    Raises:
        PrerequisiteMissing: There is no catalog of the zoo, or no subject in it.
    """
    answers_path = package_path("pocket/zoo_answers.json")
    missing = f"the pocket zoo's catalog is needed in {database}; run: auditor nightly"
    if not database.exists() or not answers_path.exists():
        raise PrerequisiteMissing(missing)
    taught = {repo: answer.get("edit") for repo, answer in json.loads(answers_path.read_text("utf-8")).items()}
    with closing(open_catalog(database)) as connection:
        rows = connection.execute(_SQL).fetchall()
        concepts = connection.execute("SELECT count(*) FROM concepts").fetchone()
    cases = tuple(
        SubjectCase(repo, token, noun, str(taught[repo]), first, norm, leak, probes)
        for repo, token, noun, norm, leak, probes, first in rows
        if taught.get(repo)
    )
    if not cases or concepts is None:
        raise PrerequisiteMissing(missing)
    right = sum(case.first == case.taught for case in cases)
    return SubjectQuality(cases, share(right, len(cases)), 1 / int(concepts[0]))
