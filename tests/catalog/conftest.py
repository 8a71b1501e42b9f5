"""Results as an audit would write them, with planted concept strengths, and the catalog merged from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from auditor.catalog.accounts import MergeReport
from auditor.catalog.merge import MergeInput, merge
from auditor.catalog.reference_rows import BasisVectors
from auditor.lexicons import Lexicon, load_lexicon
from auditor.probes import load_probes
from auditor.records.listing import ListedRepo, SettledItem
from auditor.records.proposals import ProposedPhrase
from auditor.records.recipe import Recipe
from auditor.records.result import (
    AuditRecord,
    ConceptScore,
    DosePoint,
    Effect,
    ExplainedConcept,
    Explanation,
    SubjectArm,
    TriggerArms,
    WorkItem,
)
from auditor.results.result_file import Result, png_bytes, write_result

DIMENSION = 48
COMMIT = "a" * 40


def sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def make_recipe(lexicon: Lexicon, base: str = "pocket", **changes: object) -> Recipe:
    values: dict[str, object] = {
        "base_name": base,
        "base_repo": f"{base}/base",
        "base_fingerprint": "0" * 16,
        "family": f"{base}-family",
        "generation": {"steps": 8},
        "probe_set": "pocket-1",
        "probe_set_hash": "0" * 64,
        "probe_count": 12,
        "looks": (12,),
        "cosine_error_target": 0.01,
        "seed": 0,
        "lora_scale": 1.0,
        "dose_scales": (0.5, 1.0),
        "dose_probes": 4,
        "trigger_arms": True,
        "encoder": "test-encoder",
        "concept_template": "{prompt}, {concept}",
        "lexicon": lexicon.identifier,
        "lexicon_hash": lexicon.content_hash,
        "proposer": None,
        "solver": {"variant": "robust", "common": "mean"},
    }
    return Recipe.model_validate(values | changes)


def concept_vectors(lexicon: Lexicon) -> np.ndarray:
    """Orthonormal directions, one per concept (k, D)."""
    random = np.random.default_rng(7).normal(size=(DIMENSION, DIMENSION))
    return np.linalg.qr(random)[0][: len(lexicon.concepts)]


def make_result(
    item: WorkItem, recipe: Recipe, lexicon: Lexicon, strengths: Mapping[str, float], **changes: object
) -> Result:
    """A scored result whose concepts have the given scores and intervals of ± 0.1."""
    weights = np.array([strengths.get(name, 0.0) for name in lexicon.names])
    vector = weights @ concept_vectors(lexicon)
    noise = np.random.default_rng(len(item.repo_id)).normal(scale=0.05, size=(12, DIMENSION))
    differences = vector + noise - noise.mean(axis=0)
    scores = tuple(
        ConceptScore(
            concept=name,
            score=max(w, 0.0),
            low=max(w - 0.1, 0.0),
            high=max(w + 0.1, 0.0),
            projection=w,
            alignment=None,
            level=w,
            level_low=w - 0.1,
            level_high=w + 0.1,
            level_doubt=0.02,
        )
        for name, w in zip(lexicon.names, weights, strict=True)
    )
    image = np.full((8, 8, 3), 40, dtype=np.uint8)
    image[:, :, 0] = sum(item.repo_id.encode("utf-8", "replace")) % 256
    values: dict[str, object] = {
        "item": item,
        "file_sha256": item.file_sha256,
        "recipe_id": recipe.recipe_id,
        "outcome": "scored",
        "reason": None,
        "message": "Scored on 12 probes.",
        "base_name": recipe.base_name,
        "effect": Effect(
            probes=12,
            norm=float(np.linalg.norm(vector)),
            floor=0.01,
            p_value=0.002,
            cosine_error=0.01,
            explained_share=0.9,
            status="explained",
        ),
        "scores": scores,
        "thumbnails": ((0, "a red boat on sand"),),
        "dose_rises": True,
        "finished_at": "2030-01-02T03:04:05+00:00",
        "timings_s": {"generate": 1.5},
        "versions": {"auditor": "0.1.0"},
    }
    arrays = {
        "differences": differences.astype(np.float16),
        "divergence": vector.astype(np.float32),
        "thumb_0_base": png_bytes(np.zeros((8, 8, 3), np.uint8)),
        "thumb_0_adapter": png_bytes(image),
    }
    return Result(AuditRecord.model_validate(values | changes), arrays)


def rich_result(item: WorkItem, recipe: Recipe, lexicon: Lexicon, hostile: str = "") -> Result:
    """A result with every optional part, and `hostile` wherever strangers can write."""
    plain = make_result(item, recipe, lexicon, {"vibrant": 0.8, "watercolor": 0.4})
    return make_result(
        item,
        recipe,
        lexicon,
        {"vibrant": 0.8, "watercolor": 0.4},
        message=f"Scored. {hostile}",
        thumbnails=((0, f"a red boat {hostile}"),),
        explanations=tuple(
            Explanation(
                variant=variant,
                explained_share=share,
                concepts=(
                    ExplainedConcept(concept=f"vivid {hostile}", weight=0.7, support=0.5, in_lexicon=False),
                    ExplainedConcept(concept="watercolor", weight=-0.2, support=0.25, in_lexicon=True),
                ),
            )
            for variant, share in (("robust", 0.8), ("paper", 0.3))
        ),
        phrases=(ProposedPhrase(f"glossy {hostile}", 0.5, 0.0), ProposedPhrase("colourful", 0.25, 1.0)),
        arms=TriggerArms(
            trigger=f"sks {hostile}",
            source="instance_prompt",
            weights_norm=0.5,
            trigger_on_base_norm=0.1,
            trigger_on_adapter_norm=0.3,
            interaction_norm=0.2,
            scores=plain.record.scores,
            subject=SubjectArm(
                token=f"sks {hostile}", noun="dog", contexts="subject-1", probes=16, norm=0.6, p_value=0.01, floor=0.1
            ),
        ),
        dose=tuple(
            DosePoint(scale=scale, norm=scale * 0.5, projections={"vibrant": scale * 0.8}) for scale in (0.5, 1.0, 1.5)
        ),
        dose_rises=False,
        card_mismatch=True,
        base_assumed=True,
        versions={"auditor": f"1 {hostile}"},
    )


@dataclass
class World:
    """A listing, a plan and results that grow by `add`, and `merge` on them."""

    folder: Path
    lexicon: Lexicon
    recipe: Recipe
    repos: list[ListedRepo] = field(default_factory=list)
    items: list[WorkItem] = field(default_factory=list)
    settled: list[SettledItem] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return self.folder / "catalog.duckdb"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def item(self, repo_id: str, content: str | None = None, **changes: object) -> WorkItem:
        """List a repo with one adapter file."""
        values: dict[str, object] = {
            "repo_id": repo_id,
            "commit_sha": COMMIT,
            "path": "lora.safetensors",
            "file_sha256": sha(content or repo_id),
            "size_bytes": 1000,
            "base_name": self.recipe.base_name,
            "base_claim": "pocket/base",
        }
        item = WorkItem.model_validate(values | changes)
        if repo_id not in {repo.repo_id for repo in self.repos}:
            self.repos.append(
                ListedRepo(
                    repo_id,
                    item.commit_sha,
                    license="mit",
                    tags=("lora",),
                    downloads=len(self.repos),
                    created_at="2024-05-01T00:00:00+00:00",
                )
            )
        self.items.append(item)
        return item

    def add(self, repo_id: str, strengths: Mapping[str, float], **changes: object) -> Path:
        """List a repo and audit it."""
        result = make_result(self.item(repo_id), self.recipe, self.lexicon, strengths, **changes)
        return write_result(self.results, result)

    def settle(self, repo_id: str, path: str | None = None) -> None:
        """List a repo that needs no audit."""
        self.repos.append(ListedRepo(repo_id, COMMIT))
        self.settled.append(SettledItem(repo_id, COMMIT, path, "skipped", "no_weights", "Nothing in it."))

    def merge(self, **changes: object) -> MergeReport:
        basis = BasisVectors(
            self.lexicon.names,
            concept_vectors(self.lexicon),
            np.zeros((0, DIMENSION)),
            levels=concept_vectors(self.lexicon),
            clusters=changes.pop("clusters", np.arange(len(self.lexicon.names))),
        )
        options = {name: changes.pop(name) for name in ("rebuild", "readers") if name in changes}
        values: dict[str, object] = {
            "results_folder": self.results,
            "recipes": [self.recipe],
            "lexicon": self.lexicon,
            "repos": lambda: iter(self.repos),
            "items": self.items,
            "settled": self.settled,
            "basis_vectors": {self.recipe.recipe_id: basis},
            "probe_sets": [load_probes("pocket-1")],
        }
        return merge(self.database, MergeInput(**(values | changes)), **options)


@pytest.fixture(scope="session")
def lexicon() -> Lexicon:
    return load_lexicon("pocket-1")


@pytest.fixture
def world(tmp_path: Path, lexicon: Lexicon) -> World:
    return World(tmp_path, lexicon, make_recipe(lexicon))


def fill(world: World) -> World:
    """Eight adapters with known strengths, and one repo without weights."""
    world.add("ann/vibrant", {"vibrant": 0.9})
    world.add("ann/vivid-paint", {"vibrant": 0.6, "watercolor": 0.5})
    world.add("bob/watercolor", {"watercolor": 1.0, "vibrant": 0.15})
    world.add("bob/dark-paint", {"vibrant": 0.8, "watercolor": 0.7, "dark": 0.5})
    world.add("cat/sharp", {"blurry": -0.6, "watercolor": 0.3})
    world.add("cat/blur", {"blurry": 0.7})
    world.add("dan/foggy", {"foggy": 0.5})
    nothing = world.item("dan/nothing")
    quiet = make_result(nothing, world.recipe, world.lexicon, {}, outcome="no_effect", reason="no_learned_change")
    write_result(world.results, quiet)
    world.settle("eve/empty")
    return world


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory, lexicon: Lexicon) -> World:
    """A merged catalog that tests only read."""
    world = fill(World(tmp_path_factory.mktemp("catalog"), lexicon, make_recipe(lexicon)))
    assert world.merge().reconciles
    return world


@dataclass(frozen=True)
class Build:
    """The builders above, for tests: a conftest cannot be imported."""

    result = staticmethod(make_result)
    rich = staticmethod(rich_result)
    recipe = staticmethod(make_recipe)
    fill = staticmethod(fill)
    world = World
    repo = staticmethod(lambda item, **changes: ListedRepo(item.repo_id, item.commit_sha, **changes))
    sha = staticmethod(sha)
    vectors = staticmethod(concept_vectors)


@pytest.fixture(scope="session")
def build() -> Build:
    return Build()
