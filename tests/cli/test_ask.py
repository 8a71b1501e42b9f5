"""search, sql and show as a shell sees them. The catalog is made by the builders of tests/catalog."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from auditor import errors
from auditor.cli.main import app
from auditor.lexicons import load_lexicon


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = Path(__file__).resolve().parent.parent / "catalog" / "conftest.py"
    spec = importlib.util.spec_from_file_location("catalog_builders", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    lexicon = load_lexicon("pocket-1")
    world = module.World(tmp_path_factory.mktemp("ask"), lexicon, module.make_recipe(lexicon))
    module.fill(world)
    hostile = module.rich_result(world.item("eve/\x1b[31mred\u202e"), world.recipe, lexicon, "\x1b[2J")
    module.write_result(world.results, hostile)
    doubts = {"family": "sdxl", "claimed_base": "someone/tune", "base_distance": 2, "base_assumed": True}
    world.add("fay/doubted", {"foggy": 0.4}, contradictions=("the card names Qwen/Qwen-Image (Qwen-Image)",), **doubts)
    world.merge()
    return world


@pytest.fixture
def ask(auditor, filled):
    return lambda *arguments: auditor("--set", f"catalog.path={filled.database}", *arguments)


def test_search_names_the_adapter_and_says_why(ask):
    done = ask("search", "most vibrant watercolor LoRA")
    assert done.code == 0
    first = done.stdout.splitlines()[2]
    assert "ann/vivid-paint" in first, "nothing but the two; bob/dark-paint is stronger but dark as well"
    assert "vibrant 0.60 [0.50, 0.70]" in first
    assert done.stdout.startswith("surely")
    assert "understood: vibrant; watercolor" in done.stderr
    assert "mit" in first
    assert "auditor show ann/vivid-paint" in done.stderr


@pytest.mark.parametrize(
    "question", [["search", "vibrant"], ["search", "vibrant watercolor not dark"], ["sql", "FROM lora_card"]]
)
def test_a_question_in_concepts_loads_no_more_than_it_needs(filled, tmp_path, question):
    """Neither the models of the settings nor numpy: either takes as long as half of the query."""
    code = (
        "import json, sys\nfrom auditor.cli.main import run\n"
        "try:\n    run(sys.argv[1:])\n"
        "except SystemExit:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    chosen = ["--profile", "pocket", "--work-dir", str(filled.database.parent), *question]
    done = subprocess.run(
        [sys.executable, "-c", code, *chosen], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert "ann/vivid-paint" in done.stdout
    heavy = {"numpy", "pyarrow", "rich", "structlog", "scipy", "torch", "auditor.settings"}
    assert loaded.isdisjoint(heavy | {"auditor.catalog.merge", "auditor.catalog.phrase_search"})


def test_of_all_commands_the_one_that_runs_is_made():
    group = get_command(app)
    search = group.get_command(None, "search")
    assert group.get_command(None, "search") is search
    assert list(group.commands) == list(get_command(app).commands)
    assert list(group.commands.made) == ["search"]


def test_search_prints_sql_that_sql_answers(ask):
    sql = ask("search", "vibrant", "watercolor", "--explain").stdout.partition(";\n")[0]
    assert "bob/dark-paint" in ask("sql", sql).stdout


def test_search_json(ask):
    answer = json.loads(ask("search", "vibrant not dark", "-k", "1", "--json").stdout)
    assert answer["hits"][0]["repo_id"] == "ann/vibrant"
    assert [wish["role"] for wish in answer["question"]["wishes"]] == ["wanted", "without"]
    assert answer["understood"] == "vibrant; without dark"


def test_search_without_hits_says_so(ask):
    done = ask("search", "embossed")
    assert (done.code, done.stdout) == (0, "")
    assert "no adapter" in done.stderr


def test_neighbours_and_filters_are_never_called_sure(ask):
    assert "nearest first" in ask("search", "like", "ann/vibrant").stdout
    for words in ("popular", "like ann/vibrant"):
        assert "surely" not in ask("search", words).stdout


def test_what_is_near_is_told_apart_from_hits(ask):
    done = ask("search", "vibrant", "embossed")
    assert done.stdout.startswith("near, but not what was asked for")
    assert len(done.stdout.splitlines()) == 2 + 3


def test_sql_json_limit_and_errors(ask):
    done = ask("sql", "SELECT concept FROM concepts ORDER BY position", "--limit", "2", "--json")
    assert len(json.loads(done.stdout)) == 2
    assert "only the first 2" in done.stderr
    refused = ask("sql", "COPY adapters TO 'x.csv'")
    assert (refused.code, refused.stdout) == (errors.EXIT_USAGE, "")


def test_explain_without_a_target_says_what_is_missing(ask):
    done = ask("explain", "--card", "ann/vibrant")
    assert (done.code, done.stdout) == (errors.EXIT_USAGE, "")
    assert "--card takes a folder, and took 'ann/vibrant'" in done.stderr
    assert "auditor explain owner/name" in done.stderr


def test_show(ask):
    done = ask("show", "ann/vivid-paint")
    assert "watercolor" in done.stdout and "95 % interval" in done.stdout
    assert "licence" in done.stdout and "file_sha256" not in done.stdout
    assert "score: 1 is as far as" in done.stderr
    assert json.loads(ask("show", "ann/vivid-paint", "--json").stdout)[0]["card"]["license"] == "mit"
    unknown = ask("show", "no/body")
    assert unknown.code == errors.EXIT_USAGE


def test_what_speaks_against_the_base_is_said(ask):
    for said in (ask("show", "fay/doubted").stdout, ask("search", "foggy").stdout):
        assert "the card names Qwen/Qwen-Image (Qwen-Image)" in said and "the file is taken for sdxl" in said
        assert "audited on an ancestor of someone/tune, 2 steps of training away" in said
        assert "base_assumed" in said
    assert "about the base" not in ask("show", "ann/vibrant").stdout
    (card,) = json.loads(ask("show", "fay/doubted", "--json").stdout)
    assert len(card["base_doubts"]) == 3


def test_no_catalog_is_a_missing_prerequisite(auditor, tmp_path):
    done = auditor("--work-dir", str(tmp_path / "none"), "search", "vibrant")
    assert done.code == errors.EXIT_PREREQUISITE
    assert "auditor nightly" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("search", "vibrant"), ("sql", "FROM lora_card"), ("show", "eve/\x1b[31mred\u202e")]
)
def test_terminals_are_safe_from_uploads(ask, arguments):
    done = ask(*arguments)
    assert done.code == 0
    assert "eve/" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout + done.stderr


def test_lexicon_candidates_are_listed_and_escaped(ask):
    done = ask("lexicon", "candidates", "--json")
    assert done.code == 0
    ((candidate,),) = (json.loads(done.stdout),)
    assert (candidate["adapters"], candidate["owners"]) == (1, 1) and candidate["phrase"].startswith("glossy")
    assert "\x1b" not in ask("lexicon", "candidates").stdout
    assert ask("lexicon", "candidates", "--owners", "2").stdout.strip() == ""


def test_a_word_with_a_minus_is_a_negation_and_no_option(ask):
    done = ask("search", "-watercolor", "vibrant", "-k", "1")
    assert (done.code, "understood: without watercolor; vibrant" in done.stderr) == (0, True)
    assert "ann/vibrant" in done.stdout and "vivid-paint" not in done.stdout


@pytest.mark.parametrize("by", ["family", "format", "base", "reason"])
def test_coverage_adds_up_to_the_listing(ask, by):
    done = ask("status", "--coverage", "--by", by, "--json")
    groups = json.loads(done.stdout)
    listed = json.loads(ask("sql", "SELECT count(*) AS units FROM adapters", "--json").stdout)
    assert done.code == 0
    assert f'"units": {sum(group["units"] for group in groups)}' in json.dumps(listed)
    shown = ask("status", "--coverage", "--by", by)
    assert shown.code == 0 and by in shown.stdout.splitlines()[0]
    assert "\x1b[2J" not in shown.stdout and "\x1b[31m" not in shown.stdout
