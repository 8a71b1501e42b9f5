"""The generated reference is what the program says today."""

import ast
import importlib.util
import itertools
import re
import sys
from pathlib import Path

import pytest

from auditor.records.outcomes import OUTCOME_MEANINGS, OUTCOMES, REASON_NOTES, REASONS

REPOSITORY = Path(__file__).resolve().parent.parent


def _script(name):
    sys.path.append(str(REPOSITORY / "docs"))  # as for a script that is run: its neighbours can be imported
    spec = importlib.util.spec_from_file_location(f"docs_{name}", REPOSITORY / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated():
    return _script("generate")


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
        "text_encoder_dropped",
        "modules_unmatched",
        "not_text_to_image",
        "blank_images",
        "nonfinite_images",
    }
    assert set(REASONS) - seen <= chosen_by_a_variable


ARCHITECTURE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_page_of_costs_is_up_to_date(generated):
    assert generated.COST.read_text(encoding="utf-8") == generated.cost_page(generated.NOTICE)


def test_the_picture_of_the_rooms_is_up_to_date(generated):
    assert generated.PICTURE.read_text(encoding="utf-8") == _script("import_picture").svg(), "run `make docs`"


def test_every_room_has_a_paragraph():
    rooms = _script("import_picture").room_imports(REPOSITORY / "auditor")
    assert set(re.findall(r"\*\*`(\w+)`\*\*", ARCHITECTURE)) == set(rooms)


def _names_of(path):
    tree = ast.parse((REPOSITORY / "auditor" / path).read_text(encoding="utf-8"))
    named = (ast.FunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, named):
            yield node.name
            yield from (f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, named))


def test_what_the_architecture_page_names_is_there():
    steps = re.findall(r"`([\w.]+)` in `([\w/]+\.py)`", ARCHITECTURE)
    assert len(steps) >= 20
    missing = [(name, path) for name, path in steps if name not in set(_names_of(path))]
    assert not missing
    files = re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", ARCHITECTURE)
    assert not [path for path in files if not (REPOSITORY / "auditor" / path).is_file()]


def test_walks_follow_imports_and_climb_at_most_once():
    imports = _script("import_picture").room_imports(REPOSITORY / "auditor")
    walks = re.findall(r"^Walk: (.+)\.$", ARCHITECTURE, re.M)
    assert len(walks) == 2
    for walk in walks:
        assert walk.count("↑") <= 1
        for part in walk.split("↑"):
            rooms = re.findall(r"`(\w+)`", re.sub(r"\[.*\]", "", part))
            answering = re.findall(r"`(\w+)`", "".join(re.findall(r"\[(.*)\]", part)))
            steps = [*itertools.pairwise(rooms), *((rooms[-1], room) for room in answering)]
            assert [step for step in steps if step[1] not in imports[step[0]]] == []
