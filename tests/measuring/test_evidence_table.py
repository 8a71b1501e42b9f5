"""The tables of families and formats in docs/adapters.md are what the code does."""

from __future__ import annotations

import os
from typing import get_args

import pytest

from auditor.adapters.kinds import Kind
from auditor.families.shapes import architectures
from auditor.families.table import AUDITABLE, FAMILIES
from tests.measuring.evidence_table import FORMATS, PAGE, decided, page


def test_the_tables_are_up_to_date() -> None:
    text = PAGE.read_text("utf-8")
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(page(text), "utf-8")
    assert PAGE.read_text("utf-8") == page(text), "run: WRITE_DOCS=1 pytest tests/measuring/test_evidence_table.py"


def test_every_form_has_a_row() -> None:
    assert {kind for *_, kinds in FORMATS for kind in kinds} == set(get_args(Kind)) - {"unknown"}


@pytest.mark.parametrize("family", [family.name for family in AUDITABLE if family.name in architectures()])
def test_a_card_that_names_the_family_is_believed_where_shapes_allow_it(family: str) -> None:
    outcome, why = decided(family, FAMILIES[family].repo)
    assert "audited on" in outcome or FAMILIES[family].title in why


def test_no_file_of_another_family_is_audited() -> None:
    active = {"sd15", "sd21", "sdxl", "sd35_medium", "sd35_large", "flux1"}
    for name, family in FAMILIES.items():
        if name not in active:
            assert decided(name, family.repo)[0].startswith("skipped"), name


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.depths])
def test_a_smaller_relation_is_told_by_its_blocks_alone(family: str) -> None:
    outcome, why = decided(family, None)
    assert outcome == "skipped `unsupported_base`" and FAMILIES[family].title in why
