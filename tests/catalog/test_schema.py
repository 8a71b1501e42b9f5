"""The schema: comments, migrations, constraints, and macros that agree with Python."""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.catalog.migrations import load_migrations, migrate
from auditor.errors import UserError
from auditor.lexicons import concept_key, load_lexicon


@pytest.fixture(scope="module")
def empty():
    connection = duckdb.connect(":memory:")
    migrate(connection)
    yield connection
    connection.close()


def test_everything_is_commented(empty):
    names = empty.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT internal AND coalesce(comment, '') = '' "
        "UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal AND coalesce(comment, '') = '' "
        "UNION ALL SELECT table_name || '.' || column_name FROM duckdb_columns() "
        "WHERE NOT internal AND coalesce(comment, '') = '' "
        "UNION ALL SELECT function_name FROM duckdb_functions() WHERE NOT internal AND coalesce(comment, '') = ''"
    ).fetchall()
    assert names == []
    tables = {row[0] for row in empty.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    promised = "runs recipes adapters files audits concepts concept_aliases scores explanations pairs"
    assert set(promised.split()) <= tables


def test_a_second_migration_changes_nothing(empty):
    assert migrate(empty) == []


def test_an_altered_migration_is_noticed(tmp_path):
    connection = duckdb.connect(":memory:")
    for item in load_migrations():
        (tmp_path / item.name).write_text(item.sql)
    migrate(connection, tmp_path)
    (tmp_path / load_migrations()[0].name).write_text("-- another\n")
    with pytest.raises(UserError, match="auditor merge"):
        migrate(connection, tmp_path)


def test_a_migration_and_its_record_stand_or_fall_together(tmp_path):
    connection = duckdb.connect(":memory:")
    first = load_migrations()[0]
    (tmp_path / first.name).write_text(first.sql)
    (tmp_path / "0002_broken.sql").write_text("CREATE TABLE half (x INTEGER); SELECT * FROM nowhere;")
    with pytest.raises(duckdb.CatalogException):
        migrate(connection, tmp_path)
    assert connection.execute("SELECT list(number) FROM schema_migrations").fetchone() == ([1],)
    assert connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'half'").fetchall() == []


@pytest.mark.parametrize("name", ["1_tables.sql", "0003_gap.sql"])
def test_numbers_have_four_digits_and_no_gap(tmp_path, name):
    (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match="migration"):
        load_migrations(tmp_path)


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_no_score_is_ever_nan_or_infinite(empty, bad):
    with pytest.raises(duckdb.ConstraintException):
        empty.execute(f"INSERT INTO scores VALUES (1, 'x', '{bad}'::FLOAT, 0, 1, 0, NULL, 5, 0, 0, 0, 0, NULL)")
    with pytest.raises(duckdb.ConstraintException):
        empty.execute(f"INSERT INTO scores VALUES (1, 'x', 0, 0, 1, 0, NULL, 5, '{bad}'::FLOAT, 0, 0, 0, NULL)")
    with pytest.raises(duckdb.ConstraintException):
        empty.execute(f"INSERT INTO concept_vectors VALUES ('r', 'x', [1.0, '{bad}'::FLOAT])")


@pytest.mark.parametrize("name", ["general-1", "pocket-1"])
def test_sql_and_python_reduce_every_alias_alike(empty, name):
    phrases = [a for concept in load_lexicon(name).concepts for a in (concept.name, *concept.aliases)]
    variants = [v for p in phrases for v in (p, p.title() + "s", p.replace("or", "our").replace("-", " "))]
    found = empty.execute("SELECT concept_key(a) FROM (SELECT unnest(?) AS a)", [variants]).fetchall()
    wrong = [v for v, (key,) in zip(variants, found, strict=True) if key != concept_key(v)]
    assert wrong == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet=st.sampled_from("abcehilmnorstuxyzSE -_'’,.9é"), max_size=24), min_size=1))
def test_sql_and_python_reduce_any_phrase_alike(empty, phrases):
    found = empty.execute("SELECT concept_key(a) FROM (SELECT unnest(?) AS a)", [phrases]).fetchall()
    assert [key for (key,) in found] == [concept_key(phrase) for phrase in phrases]


def test_a_cluster_goes_by_the_word_that_was_named_for_most_adapters():
    connection = duckdb.connect(":memory:")
    migrate(connection)
    connection.executemany(
        "INSERT INTO concept_clusters VALUES ('r', ?, ?)",
        [
            ("blurry", "blurry"),
            ("defocused", "blurry"),
            ("soft", "blurry"),
            ("dark", "dark"),
            ("dim", "dark"),
            ("red", "red"),
        ],
    )
    # Only what the view reads is filled in.
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE audits AS SELECT range AS audit_id, 'r' AS recipe_id FROM range(4)"
    )
    view = next(item.sql for item in load_migrations() if item.name.startswith("0009"))
    connection.execute(view.split(";")[0].replace("CREATE VIEW", "CREATE TEMP VIEW"))
    connection.executemany(
        "INSERT INTO phrases VALUES (?, ?, 1.0, 0.0, ?)",
        [(0, "soft", "soft"), (1, "soft", "soft"), (1, "softish", "soft"), (2, "blurry", "blurry"), (3, "odd", None)],
    )
    found = connection.execute("SELECT name, members, adapters FROM temp.cluster_names ORDER BY cluster").fetchall()
    assert found == [("soft", ["soft", "blurry", "defocused"], 3), ("dark", ["dark", "dim"], 0)]
