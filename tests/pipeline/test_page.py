"""A stored pair is shown under its own prompt."""

from __future__ import annotations

import base64

import numpy as np

from auditor.catalog.explain_page import render_page
from auditor.results.result_file import Result, png_bytes
from tests.results.test_result_file import make_result


def test_pictures_stand_under_the_prompt_of_their_probe() -> None:
    made = make_result()
    record = made.record.model_copy(update={"thumbnails": ((0, "a red boat"), (4, "a blue car"))})
    shown = {probe: png_bytes(np.full((8, 8, 3), 40 * probe, np.uint8)) for probe in (0, 1, 4)}
    arrays = {f"thumb_{p}_{side}": png for p, png in shown.items() for side in ("base", "adapter")}
    page = render_page(Result(record, arrays))
    right, wrong = (base64.b64encode(shown[p].tobytes()).decode() for p in (4, 1))
    assert right in page and wrong not in page
