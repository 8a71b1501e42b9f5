from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from auditor.common.pictures import bound_side
from auditor.proposing.images import MAX_SIDE, check_pairs, image_hash, png_data_url


def test_large_pictures_shrink_in_proportion_and_small_ones_stay() -> None:
    assert bound_side(np.zeros((1024, 2048, 3), np.uint8), MAX_SIDE).shape == (256, MAX_SIDE, 3)
    assert bound_side(np.zeros((1, 4000, 3), np.uint8), MAX_SIDE).shape == (1, MAX_SIDE, 3)
    small = np.zeros((64, 64, 3), np.uint8)
    assert bound_side(small, MAX_SIDE) is small


def test_png_survives_the_journey_exactly() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    kind, data = png_data_url(picture).split(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), picture)


def test_hash_knows_pixels_and_shape() -> None:
    flat = np.zeros((2, 8, 3), np.uint8)
    assert image_hash(flat) != image_hash(flat.reshape(4, 4, 3))
    assert image_hash(flat) != image_hash(flat + np.uint8(1))
    assert image_hash(flat) == image_hash(flat[:, ::-1])


@pytest.mark.parametrize(
    ("base", "adapted"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 8, 8, 3), np.float32)),
        (np.zeros((2, 8, 8, 4), np.uint8), np.zeros((2, 8, 8, 4), np.uint8)),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3), np.uint8)),
        (np.zeros((0, 8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8)),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)),
    ],
)
def test_wrong_arrays_are_refused(base: np.ndarray, adapted: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be uint8|equal shape"):
        check_pairs(base, adapted)
