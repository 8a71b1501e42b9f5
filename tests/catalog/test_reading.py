"""A user's own SQL: answered, but locked in."""

import json

import pytest

from auditor.catalog import reading
from auditor.catalog.reading import open_catalog, plain, run_sql
from auditor.errors import PrerequisiteMissing, UserError


def test_answers_are_plain_values(catalog):
    table = run_sql(catalog.database, "SELECT divergence, top_concepts, timings_s, finished_at FROM audits")
    assert json.loads(json.dumps(table.records(), allow_nan=False))[0]["finished_at"] == "2030-01-02 03:04:05"
    assert run_sql(catalog.database, "SELECT 'nan'::DOUBLE, 1.5::DECIMAL(4,2), picture FROM images LIMIT 1").rows[0][
        :2
    ] == (None, 1.5)
    assert plain(b"1234") == "<4 bytes>"


def test_the_limit_is_said(catalog):
    table = run_sql(catalog.database, "FROM concepts", 3)
    assert (len(table.rows), table.truncated) == (3, True)
    assert not run_sql(catalog.database, "FROM concepts LIMIT 3", 3).truncated


def test_a_damaged_catalog_says_how_to_build_it_again(catalog, tmp_path):
    whole = catalog.database.read_bytes()
    path = tmp_path / "catalog.duckdb"
    noticed = 0
    asked = ("SELECT count(*), max(repo_id) FROM adapters", "FROM scores", "FROM audits")
    for place in (0, 5, 4096, 5000, 8192, 12288, len(whole) // 2, len(whole) - 300_000, len(whole) - 5):
        for content in (whole[:place], whole[:place] + b"\xff" * 50 + whole[place + 50 :]):
            path.write_bytes(content)
            for sql in asked:
                try:
                    run_sql(path, sql)
                except UserError as error:
                    assert "auditor merge" in str(error)
                    noticed += 1
    assert noticed > 9


HOSTILE = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "FROM '/etc/passwd'",
    "FROM glob('/etc/*')",
    "SELECT * FROM read_parquet('{folder}/x.parquet')",
    "COPY adapters TO '{folder}/out.csv'",
    "EXPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/other.duckdb'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "PRAGMA memory_limit = '100GB'",
    "RESET enable_external_access",
    "CREATE TABLE mine (x INTEGER)",
    "INSERT INTO concepts VALUES ('x', 'y', 1)",
    "UPDATE scores SET score = 1",
    "DELETE FROM scores",
    "DROP TABLE scores",
    "DROP VIEW lora_card",
    "SELECT 1; DROP TABLE scores",
    "CREATE MACRO most(a) AS TABLE SELECT 1",
    "COMMENT ON TABLE scores IS 'mine'",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM read_json_auto('/proc/self/environ')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM parquet_metadata('{folder}/x.parquet')",
    "SELECT * FROM query('FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM query_table('/etc/passwd')",
    "PREPARE p AS SELECT * FROM read_text('/etc/passwd'); EXECUTE p",
    "COPY (SELECT 1) TO '{folder}/out.parquet'",
    "COPY FROM DATABASE catalog TO memory",
    "IMPORT DATABASE '{folder}'",
    "ATTACH ':memory:' AS other",
    "LOAD '{folder}/mine.duckdb_extension'",
    "FORCE INSTALL '{folder}/mine.duckdb_extension'",
    "CREATE SECRET s (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "SET temp_directory = '{folder}'",
    "SET GLOBAL allow_unsigned_extensions = true",
    "SET allowed_paths = ['/etc/passwd']",
    "SET home_directory = '{folder}'",
    "SET log_query_path = '{folder}/log'",
    "PRAGMA enable_profiling; PRAGMA profiling_output = '{folder}/profile'; SELECT 1",
    "CREATE OR REPLACE VIEW lora_card AS SELECT 1",
    "ALTER TABLE scores RENAME TO mine",
    "TRUNCATE scores",
    "CHECKPOINT; DELETE FROM scores",
    "SELECT * FROM 'https://127.0.0.1:9/x.parquet'",
    "SELEC 1",
    "",
    "-- only a comment",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_hostile_sql_is_refused_and_changes_nothing(catalog, tmp_path, sql):
    before = catalog.database.read_bytes()
    with pytest.raises(UserError):
        run_sql(catalog.database, sql.replace("{folder}", str(tmp_path)))
    assert catalog.database.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


def test_a_query_without_end_is_given_up(catalog):
    with pytest.raises(UserError, match=r"longer than 0\.2 s"):
        run_sql(
            catalog.database,
            "SELECT sum(a.range * b.range) FROM range(1e9::BIGINT) a, range(1e9::BIGINT) b",
            timeout_s=0.2,
        )


def test_one_long_function_is_given_up_too(catalog):
    """It is deaf to an interrupt: nothing is asked until its chunk of rows is done."""
    sql = "SELECT levenshtein(repeat('ab', 200000), repeat('ba', 200000))"
    with pytest.raises(UserError, match=r"longer than 0\.2 s"):
        run_sql(catalog.database, sql, timeout_s=0.2)
    assert run_sql(catalog.database, "SELECT 1", timeout_s=30).rows == ((1,),)
    with pytest.raises(UserError, match="did not answer"):
        run_sql(catalog.database, "SELEC 1", timeout_s=30)


def test_memory_is_limited(catalog, monkeypatch):
    monkeypatch.setattr(reading, "_LOCKED_DOWN", {**reading._LOCKED_DOWN, "memory_limit": "100MB"})
    with pytest.raises(UserError, match="memory"):
        run_sql(catalog.database, "SELECT list(range) FROM range(5e7::BIGINT)")


def test_times_with_zones_are_answered(catalog):
    row = run_sql(catalog.database, "SELECT now(), [now()], TIMESTAMPTZ '2030-01-02 03:04:05+02', TIMETZ '10:00:00+02'")
    assert all(isinstance(cell, str | list) for cell in row.rows[0])
    assert row.rows[0][2].startswith("2030-01-02")


TELLTALE = [
    "FROM duckdb_databases()", "SELECT path FROM DuckDB_Databases()", 'FROM "duckdb_databases"()',
    "PRAGMA database_list", "FROM pragma_database_list", "FROM duckdb_settings()", "CALL duckdb_settings()",
    "SELECT current_setting('secret_directory')", "SELECT getenv('HF_TOKEN')", "FROM duckdb_temporary_files()",
    "FROM query('FROM duckdb_data' || 'bases()')", "FROM query /* */ ('x')", "FROM query_table('scores')",
    "/* ' */ FROM duckdb_settings() --'", "SELECT E'\\'', path FROM duckdb_databases() --'",
    "FROM U&\"duckdb\\005fsettings\"()",
    "SELECT json_execute_serialized_sql('{}')", "FROM pg_settings",
    "SHOW secret_directory", 'show "secret_directory"', "SHOW/**/threads", "WITH a AS (SHOW memory_limit) FROM a",
    "FROM (show -- x\n home_directory)", "FROM duckdb_profiling_settings()", "FROM duckdb_external_file_cache()",
]  # fmt: skip


@pytest.mark.parametrize("sql", TELLTALE)
def test_the_machine_is_not_told_of(catalog, sql):
    with pytest.raises(UserError) as caught:
        run_sql(catalog.database, sql)
    assert str(catalog.folder) not in str(caught.value)


@pytest.mark.parametrize(
    "sql", ["SELECT 1 AS query", "SELECT 'my query' AS x", "FROM duckdb_tables()", "SHOW TABLES", "SHOW scores"]
)
def test_what_tells_of_the_catalog_is_answered(catalog, sql):
    assert str(catalog.folder) not in str(run_sql(catalog.database, sql).rows)


def test_errors_do_not_tell_where_the_catalog_lies(catalog):
    for sql in ("CREATE TABLE x (a INT)", "FROM 'x.parquet'", "ATTACH 'y.duckdb'", "SELECT nothing"):
        with pytest.raises(UserError) as caught:
            run_sql(catalog.database, sql)
        assert str(catalog.folder) not in str(caught.value)


def test_no_catalog_and_no_database(tmp_path):
    with pytest.raises(PrerequisiteMissing, match="auditor nightly"):
        open_catalog(tmp_path / "none.duckdb")
    (tmp_path / "text.duckdb").write_text("this is not a database, only a few words in a file")
    with pytest.raises(UserError, match="auditor merge"):
        open_catalog(tmp_path / "text.duckdb")
