from __future__ import annotations

import numpy as np

from auditor.generation.generator import check_images


def test_each_image_gets_its_own_flags() -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)
    images[1] = 1
    images[2] = (200, 10, 90)
    nonfinite = np.array([False, False, False, True])
    checks = check_images(images, nonfinite)
    assert checks.black.tolist() == [False, True, False, False]
    assert checks.constant.tolist() == [False, True, True, False]
    assert checks.usable.tolist() == [True, False, False, False]


def test_one_bright_pixel_is_a_picture() -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[0, 3, 3] = 255
    assert check_images(images).usable.all()
    assert check_images(images[:0]).usable.shape == (0,)
