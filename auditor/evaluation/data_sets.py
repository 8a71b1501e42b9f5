"""The paper's three data sets in the pocket world, and a table that shows that each is what it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from auditor.encoding.encoder import Encoder
from auditor.evaluation import published_figures as paper
from auditor.evaluation.encoder_geometry import span_cosine
from auditor.evaluation.paper_table import Figure, PaperTable, TableRow
from auditor.evaluation.training_lengths import style_names
from auditor.finexl.arrays import cosines
from auditor.finexl.attribution import bootstrap_mean
from auditor.finexl.concepts import directions
from auditor.lexicons.loader import Lexicon
from auditor.pocket.painters import hand_names, hand_pairs
from auditor.pocket.scenes import Array, render
from auditor.pocket.training.lessons import PAIRS_HELD_OUT
from auditor.pocket.training.style_pairs import separable_pairs
from auditor.pocket.ways_of_drawing import Way, draw_in, scene_for, words_of

SCENES = 16
"""Drawn of each aspect for the table."""
_SEED = 307
_COLUMN: dict[Way, str] = dict(zip(("renderer", "patches", "painter"), paper.DATA_SETS, strict=True))
Case = TypeVar("Case")


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes:
        way: How its pictures are drawn.
        aspects: Styles, or hands of painters: one ladder of training lengths each.
        pairs: One mixture grid each.
    """

    way: Way
    aspects: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """As the paper's tables head its column."""
        return _COLUMN[self.way]

    def over_words(self, scored: Callable[[Case, str], float]) -> Callable[[Case, str], float]:
        """A number for an aspect: the mean of the numbers for its words, whoever gives them."""
        return lambda case, aspect: float(np.mean([scored(case, word) for word in words_of(self.way, aspect)]))


def other_sets() -> tuple[DataSet, ...]:
    """The two data sets beside the renderer's own, of held-out styles."""
    return (
        DataSet("patches", style_names(held_out=True), PAIRS_HELD_OUT),
        DataSet("painter", hand_names(held_out=True), hand_pairs(held_out=True)),
    )


def small_sets() -> tuple[DataSet, ...]:
    """The same of development styles: one ladder and one pair of each."""
    first, second = separable_pairs(held_out=False)[0], hand_pairs(held_out=False)[0]
    return DataSet("patches", first[:1], (first,)), DataSet("painter", second[:1], (second,))


def data_sets_table(sets: Sequence[DataSet], encoder: Encoder, lexicon: Lexicon) -> PaperTable:
    """What the encoder sees in the pictures that adapters are taught with; no table of the paper."""
    columns = ("own word fits best", "nearest single word", "own words together")
    here = {data.name: zip(*_seen(data, encoder, lexicon), strict=True) for data in sets}
    few = (Figure(None, missing="not in this run"),) * len(columns)
    rows = [
        TableRow(
            name, "ours", tuple(Figure.of(bootstrap_mean(values)) for values in here[name]) if name in here else few
        )
        for name in paper.DATA_SETS
    ]
    chance = (Figure(1 / len(lexicon.names)), *(Figure(None, missing="–") for _ in columns[1:]))
    return PaperTable(
        "D",
        "data sets: what their own pictures show (not in the paper)",
        f"{SCENES} pictures of each style or hand, and an interval resamples styles or hands. First: share of pictures "
        f"whose best word of the lexicon's {len(lexicon.names)} is the style's, or one of the hand's two. Then what a "
        "style or hand changes in the encoder's space: its cosine with the best single word, and with the best sum of "
        "its own words.",
        columns,
        (*rows, TableRow("chance", "chance", chance)),
        better="more",
    )


def _seen(data: DataSet, encoder: Encoder, lexicon: Lexicon) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng(_SEED)
    found = []
    for aspect in data.aspects:
        scenes = [scene_for(data.way, (aspect,), rng) for _ in range(SCENES)]
        plain = [render(scene) for scene in scenes]
        before, after = (
            encoder.encode_images(_bytes(images))
            for images in (plain, [draw_in(data.way, image, aspect, rng) for image in plain])
        )
        captions = [scene.caption() for scene in scenes]
        worded = np.stack([encoder.encode_texts([lexicon.phrase(c, name) for c in captions]) for name in lexicon.names])
        own = [lexicon.names.index(word) for word in words_of(data.way, aspect)]
        best = np.einsum("wsd,sd->ws", worded, after).argmax(axis=0)
        change = np.asarray((after - before).mean(axis=0), dtype=np.float64)
        said = directions(encoder.encode_texts(captions), worded).vectors
        found.append(
            (float(np.isin(best, own).mean()), float(cosines(change, said).max()), span_cosine(change, said[own]))
        )
    return found


def _bytes(images: Sequence[Array]) -> np.ndarray:
    return np.stack([np.round(image * 255).astype(np.uint8) for image in images])
