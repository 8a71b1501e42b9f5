"""A catalog opened by an older DuckDB, as laptops have: the views and macros answer there too."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

OLDER = Path(sys.prefix) / "older-duckdb"
QUESTIONS = {
    "most": "SELECT repo_id FROM most('vibrant', 'watercolor')",
    "synonym": "SELECT repo_id FROM most('colourful', k := 1)",
    "without": "SELECT repo_id FROM most_of(['vibrant'], without := ['dark'])",
    "similar": "SELECT repo_id FROM similar_to('ann/vibrant', k := 1)",
    "compare": "SELECT concept FROM compare('cat/blur', 'cat/sharp') LIMIT 1",
    "cards": "SELECT count(*) FROM lora_card",
    "counts": "SELECT sum(units) FROM outcome_counts",
    "failures": "SELECT repo_id FROM failures",
    "candidates": "SELECT count(*) FROM lexicon_candidates",
    "comments": "SELECT count(*) > 200 FROM duckdb_columns() WHERE comment <> '' AND NOT internal",
}


@pytest.mark.skipif(not OLDER.is_dir(), reason="make unit installs the older library")
def test_an_older_library_answers_the_same(catalog):
    from auditor.catalog.reading import run_sql

    code = (
        "import duckdb, json, sys\n"
        "c = duckdb.connect(sys.argv[1], read_only=True)\n"
        "answers = {name: c.execute(sql).fetchall() for name, sql in json.loads(sys.argv[2]).items()}\n"
        "print(json.dumps([duckdb.__version__, answers], default=str))"
    )
    command = [sys.executable, "-c", code, str(catalog.database), json.dumps(QUESTIONS)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(OLDER)}, capture_output=True, text=True, check=True, timeout=60
    )
    version, older = json.loads(done.stdout)
    assert version.startswith("1.5.")
    for name, question in QUESTIONS.items():
        rows = [[str(cell) for cell in row] for row in run_sql(catalog.database, question).rows]
        assert [[str(cell) for cell in row] for row in older[name]] == rows, name
        assert rows, name
