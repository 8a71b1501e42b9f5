"""A user's own SQL: answered, but locked in."""

import json

import pytest

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


def test_no_catalog_and_no_database(tmp_path):
    with pytest.raises(PrerequisiteMissing, match="auditor nightly"):
        open_catalog(tmp_path / "none.duckdb")
    (tmp_path / "text.duckdb").write_text("this is not a database, only a few words in a file")
    with pytest.raises(UserError, match="cannot be read"):
        open_catalog(tmp_path / "text.duckdb")
