"""Work folders as crawl, plan and audit leave them, without an audit: for merges at scale and for faults.

Item i is drawn from its own seed, so that the same call writes the same bytes and a work folder can grow. Sizes are
those of production (`PRODUCTION`) or small enough for a test (`SMALL`): differences of every probe, a score with
interval for every concept of the lexicon (most of them 0, as a non-negative fit leaves them), pictures, phrases,
replies and explanations. Of 20 items 16 are scored, one only in part, one does nothing, one is refused and one was
gone; every 25th repo holds the bytes of the one before it.

    world = SyntheticWorld(folder)            # matches the pocket profile
    world.write(200)                          # then: auditor --profile pocket --work-dir FOLDER merge
    world.write(250)                          # grows by 50; what is there already stays untouched
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditor.hub.crawler import listing_path
from auditor.hub.listing_file import write_listing
from auditor.lexicons import Lexicon, load_lexicon
from auditor.planning.manifest import Manifest, write_manifest
from auditor.probes import load_probes
from auditor.records.adapter import AdapterFacts, ApplicationProof, MetadataClaims
from auditor.records.listing import ListedRepo, SettledItem
from auditor.records.proposals import ProposedPhrase, RawReply
from auditor.records.recipe import Recipe
from auditor.records.result import (
    ANY_RECIPE,
    AuditRecord,
    DosePoint,
    Effect,
    ExplainedConcept,
    Explanation,
    TriggerArms,
    WorkItem,
)
from auditor.results.result_file import PackedResult, ScoreTable, result_bytes, result_path, thumbnail_bytes
from auditor.results.workspace import Workspace, basis_path


@dataclass(frozen=True)
class Shape:
    """Sizes of one result."""

    dimension: int
    probes: int
    picture_side: int
    pairs: int
    groups: int


PRODUCTION = Shape(dimension=768, probes=50, picture_side=512, pairs=3, groups=8)
SMALL = Shape(dimension=16, probes=4, picture_side=8, pairs=1, groups=1)

COMMIT = "c" * 40
_LICENSES = ("creativeml-openrail-m", "mit", "apache-2.0", None)
_OUTSIDE = ("risograph print", "dust and scratches", "faded ink", "oversaturated sky", "thick brush strokes")


@dataclass
class SyntheticWorld:
    """A work folder that grows by `write`."""

    folder: Path
    shape: Shape = SMALL
    lexicon_name: str = "pocket-1"
    base_name: str = "pocket"
    seed: int = 0
    _pictures: list[NDArray[np.uint8]] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder)

    @cached_property
    def lexicon(self) -> Lexicon:
        return load_lexicon(self.lexicon_name)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Shared basis (k, D)."""
        random = np.random.default_rng(self.seed)
        made = random.normal(size=(len(self.lexicon.names), self.shape.dimension)).astype(np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True) * np.float32(0.2)

    @cached_property
    def alignment(self) -> NDArray[np.float64]:
        """Cosine of text and image side: one per concept and base, the same for every adapter."""
        return np.random.default_rng(self.seed + 1).uniform(0.2, 0.95, len(self.lexicon.names))

    @cached_property
    def recipe(self) -> Recipe:
        probes = load_probes("pocket-1")
        return Recipe(
            base_name=self.base_name,
            base_repo=f"{self.base_name}/base",
            base_fingerprint="0" * 16,
            family=f"{self.base_name}-family",
            generation={"steps": 8},
            probe_set=probes.name,
            probe_set_hash=probes.content_hash,
            probe_count=self.shape.probes,
            looks=(),
            cosine_error_target=0.05,
            seed=0,
            lora_scale=1.0,
            dose_scales=(0.5, 1.0),
            dose_probes=4,
            trigger_arms=True,
            encoder=f"synthetic-{self.shape.dimension}",
            concept_template=self.lexicon.template,
            lexicon=self.lexicon.identifier,
            lexicon_hash=self.lexicon.content_hash,
            proposer="synthetic",
            solver={"variant": "robust", "common": "none"},
        )

    def item(self, number: int) -> WorkItem:
        """Work item `number`; every 25th has the bytes of its predecessor."""
        content = number - 1 if number % 25 == 24 else number
        return WorkItem(
            repo_id=f"owner{number % 997:03d}/adapter-{number:06d}",
            commit_sha=COMMIT,
            path="lora.safetensors",
            file_sha256=hashlib.sha256(f"{self.seed}:{content}".encode()).hexdigest(),
            size_bytes=20_000_000 + content,
            base_name=self.base_name,
            base_claim=self.recipe.base_repo,
            trigger="sks style" if number % 4 == 0 else None,
            trigger_source="instance_prompt" if number % 4 == 0 else None,
        )

    def write(self, count: int, *, results: int | None = None) -> None:
        """Listing, plan, recipe and basis of `count` items, and the results of the first `results` (default: all)."""
        items = tuple(self.item(number) for number in range(count))
        settled = tuple(
            SettledItem(f"empty/{n:06d}", COMMIT, None, "skipped", "no_weights", "No adapter in it.")
            for n in range(count // 50)
        )
        write_listing(listing_path(self.workspace.crawl), self._repos(count))
        write_manifest(self.workspace.manifest, Manifest(items, settled))
        self._write_recipe()
        for number in range(count if results is None else results):
            self.write_result(number)

    def path(self, number: int) -> Path | None:
        """Where result `number` lies; None for a copy, which shares its predecessor's."""
        if number % 25 == 24:
            return None
        recipe_id = ANY_RECIPE if number % 20 in (18, 19) else self.recipe.recipe_id
        return result_path(self.workspace.results, self.item(number).file_sha256 or "", recipe_id)

    def write_result(self, number: int, *, again: bool = False) -> Path | None:
        """Publish result `number` unless it is there."""
        path = self.path(number)
        if path is not None and (again or not path.exists()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(result_bytes(self.result(number, self.item(number))))
        return path

    def result(self, number: int, item: WorkItem) -> PackedResult:
        """What an audit of the item would leave behind."""
        kind = number % 20
        common = {
            "item": item,
            "file_sha256": item.file_sha256,
            "finished_at": "2030-01-02T03:04:05+00:00",
            "versions": {"auditor": "0.1.0"},
            "timings_s": {"generate": 7.5, "encode": 0.6, "explain": 0.2},
        }
        if kind in (18, 19):
            outcome, reason = (("quarantined", "nonfinite_weights"), ("gone", "file_gone"))[kind - 18]
            refused = AuditRecord(
                recipe_id=ANY_RECIPE, outcome=outcome, reason=reason, message="No.", base_name=None, **common
            )
            return PackedResult(refused, {}, None, None)
        random = np.random.default_rng((self.seed, number))
        table, weights = self._scores(random)
        shape = self.shape
        vector = (weights @ self.vectors).astype(np.float32)
        noise = random.normal(scale=0.02, size=(shape.probes, shape.dimension)).astype(np.float32)
        shown = [int(p) for p in np.linspace(0, shape.probes - 1, shape.pairs)]
        prompts = load_probes("pocket-1").prompts
        partial, nothing = kind == 16, kind == 17
        arms = self._arms(item) if item.trigger and not nothing else None
        record = AuditRecord(
            recipe_id=self.recipe.recipe_id,
            outcome="no_effect" if nothing else "scored_partial" if partial else "scored",
            reason="inside_noise_floor" if nothing else "modules_unmatched" if partial else None,
            message=f"Scored on {shape.probes} probes.",
            base_name=self.base_name,
            facts=self._facts(item),
            proof=ApplicationProof(256, 256, 0, 11.5, 0.2, "0" * 16),
            effect=Effect(
                probes=shape.probes,
                norm=float(np.linalg.norm(vector)),
                floor=0.01,
                p_value=0.001,
                cosine_error=0.03,
                explained_share=0.6,
                status="no_effect" if nothing else "explained",
            ),
            phrases=self._phrases(random),
            replies=self._replies(random),
            explanations=self._explanations(random),
            arms=arms,
            dose=tuple(
                DosePoint(scale=s, norm=s * 0.4, projections={n: s for n in self.lexicon.names[:3]})
                for s in self.recipe.dose_scales
            ),
            dose_rises=True,
            thumbnails=tuple((p, prompts[p % len(prompts)]) for p in shown),
            **common,
        )
        arrays: dict[str, NDArray[np.generic]] = {
            "differences": (vector + noise).astype(np.float16),
            "divergence": vector,
        }
        for position, probe in enumerate(shown):
            arrays[f"thumb_{probe}_base"] = self._picture(position)
            own = np.frombuffer(hashlib.sha256(f"{number}:{probe}".encode()).digest(), np.uint8)
            # Decoders ignore what follows the picture; it makes the picture this adapter's own.
            arrays[f"thumb_{probe}_adapter"] = np.concatenate([self._picture(number % 64), own])
        return PackedResult(record, arrays, None if nothing else table, table if arms else None)

    def _repos(self, count: int) -> Iterator[ListedRepo]:
        for number in range(count):
            yield ListedRepo(
                self.item(number).repo_id,
                COMMIT,
                license=_LICENSES[number % 4],
                tags=("lora", "text-to-image"),
                base_models=(self.recipe.base_repo,),
                downloads=number * 7919 % 100_003,
                likes=number % 50,
                created_at="2029-05-01T00:00:00+00:00",
                last_modified="2029-06-01T00:00:00+00:00",
            )
        for number in range(count // 50):
            yield ListedRepo(f"empty/{number:06d}", COMMIT)

    def _write_recipe(self) -> None:
        from safetensors.numpy import save_file

        folder = self.workspace.recipes
        folder.mkdir(parents=True, exist_ok=True)
        for name in (self.recipe.recipe_id, f"current-{self.base_name}"):
            (folder / f"{name}.json").write_text(self.recipe.model_dump_json())
        common = np.zeros((0, self.shape.dimension), np.float32)
        save_file({"vectors": self.vectors, "common": common}, basis_path(self.workspace, self.recipe.recipe_id))

    def _scores(self, random: np.random.Generator) -> tuple[ScoreTable, NDArray[np.float64]]:
        """A few concepts are surely there, some more sometimes, the rest never."""
        count = len(self.lexicon.names)
        weights = np.zeros(count)
        sure = random.choice(count, size=min(count, max(3, count // 30)), replace=False)
        weights[sure] = random.gamma(1.5, 0.2, len(sure))
        width = np.zeros(count)
        touched = random.random(count) < 0.15
        width[touched] = random.gamma(1.5, 0.05, int(touched.sum()))
        width[sure] = weights[sure] * random.uniform(0.2, 1.2, len(sure))
        values = np.stack(
            [
                weights,
                np.maximum(weights - width, 0),
                weights + width,
                weights + random.normal(0, 0.1, count),
                self.alignment,
                weights + random.normal(0, 0.1, count),
                weights - 0.2,
                weights + 0.2,
                np.full(count, 0.05),
            ],
            axis=1,
        )
        return ScoreTable(self.lexicon.names, values), weights

    def _arms(self, item: WorkItem) -> TriggerArms:
        return TriggerArms(
            trigger=item.trigger or "",
            source="instance_prompt",
            weights_norm=0.4,
            trigger_on_base_norm=0.1,
            trigger_on_adapter_norm=0.2,
            interaction_norm=0.1,
            scores=(),
        )

    def _facts(self, item: WorkItem) -> AdapterFacts:
        return AdapterFacts(
            convention="kohya",
            family=f"{self.base_name}-family",
            family_evidence=("names",),
            size_bytes=item.size_bytes or 0,
            dtypes=("F16",),
            pairs=256,
            matched={"unet": 256},
            unmatched={},
            rank_min=16,
            rank_max=16,
            alpha_source="file_keys",
            scale_min=1.0,
            scale_max=1.0,
            delta_norm=11.5,
            tensors_digest=f"t{item.file_sha256}",
            content_digest=f"c{item.file_sha256}",
            claims=MetadataClaims(base_model="base"),
        )

    def _phrases(self, random: np.random.Generator) -> tuple[ProposedPhrase, ...]:
        known = [str(name) for name in random.choice(self.lexicon.names, 4, replace=False)]
        words = [*known, str(random.choice(_OUTSIDE))]
        return tuple(ProposedPhrase(word, 1 / (place + 1), float(place)) for place, word in enumerate(words))

    def _replies(self, random: np.random.Generator) -> tuple[RawReply, ...]:
        replies = []
        for group in range(self.shape.groups):
            words = tuple(str(name) for name in random.choice(self.lexicon.names, 5, replace=False))
            text = json.dumps({"concepts": words})
            replies.append(RawReply(group, 0, 0, text, words, (), None, False, 1.5))
        return tuple(replies)

    def _explanations(self, random: np.random.Generator) -> tuple[Explanation, ...]:
        names = [str(name) for name in random.choice(self.lexicon.names, 8, replace=False)]
        concepts = tuple(
            ExplainedConcept(concept=n, weight=1.0 / (p + 1), support=0.25, in_lexicon=True)
            for p, n in enumerate(names)
        )
        return tuple(Explanation(variant=v, concepts=concepts, explained_share=0.5) for v in ("robust", "paper"))

    def _picture(self, number: int) -> NDArray[np.uint8]:
        """One of 64 pictures with the smooth areas and edges of a photograph."""
        if not self._pictures:
            random = np.random.default_rng(self.seed + 2)
            side = self.shape.picture_side
            for _ in range(64):
                coarse = random.integers(0, 256, size=(8, 8, 3)).astype(np.float32)
                fine = np.kron(coarse, np.ones((-(-side // 8), -(-side // 8), 1)))[:side, :side]
                fine += random.normal(0, 12, size=fine.shape)
                self._pictures.append(thumbnail_bytes(np.clip(fine, 0, 255).astype(np.uint8)))
        return self._pictures[number]
