"""similar, compare, duplicates and diff, on planted catalogs."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from auditor import errors
from auditor.lexicons import load_lexicon

BUILDERS = Path(__file__).resolve().parent.parent / "catalog" / "conftest.py"


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Two catalogs: in the second a copy came, one adapter went, and one score moved."""
    spec = importlib.util.spec_from_file_location("night_builders", BUILDERS)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    lexicon = load_lexicon("pocket-1")
    made = []
    for night in ("first", "second"):
        world = module.World(tmp_path_factory.mktemp(night), lexicon, module.make_recipe(lexicon))
        world.add("ann/one", {"vibrant": 0.9 if night == "first" else 0.5})
        world.add("ann/twin", {"vibrant": 0.8, "dark": 0.05})
        world.add("bob/dark", {"dark": 0.7})
        if night == "first":
            world.add("bob/gone", {"foggy": 0.7})
        else:
            world.item("eve/copy", content="bob/dark")
        world.merge()
        made.append(world.database)
    return made


@pytest.fixture
def ask(auditor, nights):
    return lambda *arguments: auditor("--set", f"catalog.path={nights[1]}", *arguments)


def test_similar_and_its_mistakes(ask):
    rows = json.loads(ask("similar", "ann/one", "--json").stdout)
    assert rows[0]["repo_id"] == "ann/twin" and rows[0]["cosine"] > 0.99
    said = ask("similar", "ANN/one")
    assert "ann/twin" in said.stdout and "next: auditor compare ann/one ann/twin" in said.stderr.lower()
    missing = ask("similar", "ann/onne")
    assert missing.code == errors.EXIT_USAGE and "ann/one" in missing.stderr


def test_compare_says_what_one_has_that_the_other_lacks(ask):
    found = json.loads(ask("compare", "ann/one", "bob/dark", "--json").stdout)
    assert (found["only_first"], found["only_second"]) == (["vibrant"], ["dark"])
    assert found["cosine"] == pytest.approx(0, abs=1e-3)
    assert ask("compare", "ann/one", "bob/dark").stdout.startswith("ann/one is more vibrant; bob/dark is more dark")
    table = ask("compare", "ann/one", "bob/dark").stdout.splitlines()[1:]
    assert table[0].split() == ["concept", "ann/one", "bob/dark", "difference", "apart"]
    assert any(line.startswith("vibrant") and "0.50 [" in line and line.endswith("yes") for line in table)
    assert "no concept differs" in ask("compare", "ann/one", "ann/one").stdout


def test_duplicates_by_weights_and_by_effect(ask):
    (group,) = json.loads(ask("duplicates", "--json").stdout)
    assert group["copies"] == 2 and {name.rsplit("/", 1)[0] for name in group["adapters"]} == {"bob/dark", "eve/copy"}
    (pair,) = json.loads(ask("duplicates", "--by-effect", "--json").stdout)
    assert {pair["first"], pair["second"]} == {"ann/one", "ann/twin"}


def test_a_score_that_moved_without_a_cause_is_a_fault(auditor, nights):
    done = auditor("diff", *map(str, nights))
    assert done.stdout.splitlines()[0] == "1 new, 1 gone, 0 other outcome, 1 moved"
    assert "a fault of the audit" in done.stderr
    moved = json.loads(auditor("diff", *map(str, nights), "--json").stdout)["moved"]
    assert [(row["repo_id"], row["concept"]) for row in moved] == [("ann/one", "vibrant")]
    assert auditor("diff", str(nights[0]), str(nights[0])).stdout.startswith("0 new, 0 gone, 0 other outcome, 0 moved")
    assert auditor("diff", str(nights[0]), "nothing.duckdb").code == errors.EXIT_PREREQUISITE
