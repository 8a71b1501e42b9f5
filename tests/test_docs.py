"""The generated reference is what the program says today."""

import ast
import importlib.util
import itertools
from pathlib import Path

import pytest

from auditor.records.outcomes import OUTCOME_MEANINGS, OUTCOMES, REASON_NOTES, REASONS

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def generated():
    spec = importlib.util.spec_from_file_location("docs_generate", REPOSITORY / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(generated):
    return generated.pages()


@pytest.mark.parametrize("page", ["cli.md", "settings.md", "schema.md", "outcomes.md", "families.md"])
def test_page_is_up_to_date(generated, pages, page):
    written = (generated.REFERENCE / page).read_text(encoding="utf-8")
    assert written == pages[page], "run `make docs` and commit the result"


def test_no_generated_page_is_left_unchecked(generated, pages):
    assert {path.name for path in generated.REFERENCE.glob("*.md")} == set(pages)


def _named_together(tree):
    """(outcome, reason) pairs of constants that stand side by side in a call or a tuple."""
    for node in ast.walk(tree):
        parts = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
        values = [part.value if isinstance(part, ast.Constant) else None for part in parts]
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Refused":
            values.insert(0, "quarantined")
        yield from ((one, two) for one, two in itertools.pairwise(values) if one in OUTCOMES and two in REASONS)


def test_every_reason_is_explained_under_the_outcome_that_the_code_gives_it():
    assert tuple(OUTCOME_MEANINGS) == OUTCOMES
    assert tuple(REASON_NOTES) == REASONS
    seen = set()
    for path in (REPOSITORY / "auditor").rglob("*.py"):
        for outcome, reason in _named_together(ast.parse(path.read_text(encoding="utf-8"))):
            assert REASON_NOTES[reason].outcome == outcome, f"{path.name}: {outcome}, {reason}"
            seen.add(reason)
    chosen_by_a_variable = {
        "text_encoder_dropped", "modules_unmatched", "not_text_to_image", "blank_images", "nonfinite_images",
    }  # fmt: skip
    assert set(REASONS) - seen <= chosen_by_a_variable
