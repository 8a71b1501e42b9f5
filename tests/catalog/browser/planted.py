"""Sixty adapters on two bases whose concepts are drawn; V, scores and projections fit together as in an audit."""

from __future__ import annotations

import numpy as np

from auditor.catalog.reference_rows import BasisVectors
from auditor.records.result import ConceptScore, DosePoint, TriggerArms
from auditor.results.result_file import Result, png_bytes, write_result

DIMENSION = 48
COUNT = 60
NAMES = ("meadow", "moss", "fern", "cedar", "elm", "birch", "alder", "dahlia", "clover", "heath")
OWNERS = ("ana-k", "mkr", "ivy_lab", "tomo")
LICENCES = ("mit", "creativeml-openrail-m", "cc-by-nc-4.0", None)
PROMPTS = {0: "a red boat on sand", 3: "a house by a lake"}
WORD_ALONE = 18
"""This one does nothing surely without its trigger."""
COMPARED = ("ana-k/meadow-lora", "mkr/moss-lora")


def directions(count: int, base: str) -> np.ndarray:
    """f of each concept (k, D), different in each base, none orthogonal to another."""
    random = np.random.default_rng(len(base))
    made = random.normal(size=(count, DIMENSION)) + random.normal(size=DIMENSION)
    return made * random.uniform(0.02, 0.05, size=(count, 1))


def painted(number: int, hue: int) -> np.ndarray:
    """A picture (48, 48, 3) with smooth areas and one shape."""
    rows, columns = np.mgrid[0:48, 0:48]
    inside = (rows - 14 - number % 20) ** 2 + (columns - 20) ** 2 < 120
    picture = np.stack([80 + rows * 2, 120 + columns, 200 - rows * 2], axis=2)
    picture[inside] = (40 + hue * 37 % 200, 30 + hue * 61 % 200, 60 + hue * 89 % 180)
    return picture.astype(np.uint8)


class Planted:
    """Fills a world of `tests/catalog/conftest.py`."""

    def __init__(self, world, build) -> None:
        self.world, self.build = world, build
        self.names = world.lexicon.names
        self.recipes = [build.recipe(world.lexicon), build.recipe(world.lexicon, base="sdxl")]
        self.directions = {r.base_name: directions(len(self.names), r.base_name) for r in self.recipes}

    def fill(self) -> None:
        """Add everything and merge."""
        for number in range(COUNT):
            self.add(number)
        for number in range(12):
            self.world.settle(f"eve/empty-{number}")
        assert self.world.merge(recipes=self.recipes, basis_vectors=self._basis()).reconciles

    def add(self, number: int) -> None:
        """List adapter `number` and audit it, unless it has the bytes of the one before it."""
        base = self.recipes[number % 3 == 2].base_name
        copy, words = number % 13 == 12, "qmxt style" if number % 5 == 3 else None
        name = f"{OWNERS[number % 4]}/{NAMES[number % 10]}{'' if number < 10 else number}-lora"
        said = {"trigger": words, "trigger_source": "instance_prompt"} if words else {}
        content = f"content {number - copy}"
        item = self.world.item(COMPARED[number] if number < 2 else name, content, base_name=base, **said)
        random = np.random.default_rng(number)
        self.world.repos[-1] = self.build.repo(
            item,
            license=LICENCES[number % 4],
            tags=("lora",),
            downloads=int(random.integers(2000)),
            likes=number % 30,
            created_at=f"20{24 + number % 3}-0{1 + number % 9}-01T00:00:00+00:00",
            nsfw=number % 17 == 9,
        )
        if not copy:
            write_result(self.world.results, self._result(number, item, words, random))

    def _result(self, number: int, item, words: str | None, random: np.random.Generator) -> Result:
        plain, vector = self._scores(random, item.base_name, number)
        worded, _ = self._scores(random, item.base_name, number + 1)
        if number == WORD_ALONE:
            plain = tuple(score.model_copy(update={"low": 0.0}) for score in plain)
        leading = [score.concept for score in sorted(plain, key=lambda score: -score.score)[:3]]
        arms = TriggerArms(
            trigger=words or "",
            source="instance_prompt",
            weights_norm=0.3,
            trigger_on_base_norm=0.1,
            trigger_on_adapter_norm=0.4,
            interaction_norm=0.2,
            scores=worded,
        )
        made = self.build.result(
            item,
            self.recipes[number % 3 == 2],
            self.world.lexicon,
            {},
            scores=plain,
            thumbnails=tuple((probe, f"{words}, {text}" if words else text) for probe, text in PROMPTS.items()),
            dose=tuple(DosePoint(scale=s, norm=s, projections={n: 0.3 * s for n in leading}) for s in (0.5, 1.0, 1.5)),
            arms=arms if words else None,
        )
        effect = made.record.effect.model_copy(update={"norm": float(np.linalg.norm(vector))})
        pictures = {
            f"thumb_{probe}_{side}": png_bytes(painted(probe, hue))
            for probe in PROMPTS
            for side, hue in (("base", 0), ("adapter", number + 1))
        }
        arrays = {**made.arrays, **pictures, "divergence": vector.astype(np.float32)}
        return Result(made.record.model_copy(update={"effect": effect}), arrays)

    def _scores(
        self, random: np.random.Generator, base: str, number: int
    ) -> tuple[tuple[ConceptScore, ...], np.ndarray]:
        """Five concepts or more, and V (D,)."""
        basis = self.directions[base]
        weights = np.zeros(len(self.names))
        weights[random.choice(len(self.names), size=5, replace=False)] = random.gamma(2.0, 0.25, size=5)
        if number % 4 == 0:
            for name in ("vibrant", "watercolor"):
                weights[self.names.index(name)] = random.uniform(0.2, 0.9)
        vector = weights @ basis + random.normal(scale=0.004, size=basis.shape[1])
        along = basis @ vector / np.sum(basis**2, axis=1)
        width = random.uniform(0.05, 0.4, size=len(self.names))
        scores = tuple(
            ConceptScore(
                concept=name,
                score=w,
                low=max(w - d, 0.0),
                high=w + d,
                projection=p,
                alignment=None,
                level=w,
                level_low=w - d,
                level_high=w + d,
                level_doubt=0.02,
            )
            for name, w, p, d in zip(self.names, weights, along, width, strict=True)
        )
        return scores, vector

    def _clusters(self, base: str) -> np.ndarray:
        """Leaders (k,): one base cannot tell the third concept from the fourth."""
        leaders = np.arange(len(self.names))
        leaders[3] = 2 if base == "pocket" else 3
        return leaders

    def _basis(self) -> dict[str, BasisVectors]:
        return {
            recipe.recipe_id: BasisVectors(
                self.names,
                self.directions[recipe.base_name],
                np.zeros((0, DIMENSION)),
                levels=self.directions[recipe.base_name],
                clusters=self._clusters(recipe.base_name),
            )
            for recipe in self.recipes
        }
