"""One writer at a time; readers in other processes see the old catalog or the new one, never half of one."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from auditor.catalog.publishing import new_database, sole_writer
from auditor.catalog.reading import run_sql
from auditor.errors import TransientError


def count(database):
    return run_sql(database, "SELECT count(*) FROM adapters").rows[0][0]


def python(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_second_merge_is_told_who_is_at_work(world):
    world.add("ann/one", {"vibrant": 0.5})
    with sole_writer(world.database), pytest.raises(TransientError, match=f"process {os.getpid()} on "):
        world.merge()
    assert world.merge().reconciles


def test_the_lock_dies_with_its_holder(world):
    code = """
        import sys, time
        from pathlib import Path
        from auditor.catalog.publishing import sole_writer
        with sole_writer(Path(sys.argv[1])):
            print("locked", flush=True)
            time.sleep(60)
    """
    holder = python(code, world.database)
    try:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(TransientError, match=f"process {holder.pid} on "):
            world.merge()
        holder.send_signal(signal.SIGKILL)
        holder.wait(20)
        assert world.merge().reconciles
    finally:
        holder.kill()
        holder.communicate()


def test_a_reader_in_another_process_is_not_disturbed(world):
    world.add("ann/one", {"vibrant": 0.5})
    world.merge()
    code = """
        import sys
        from contextlib import closing
        from pathlib import Path
        from auditor.catalog.reading import open_catalog
        with closing(open_catalog(Path(sys.argv[1]))) as connection:
            for _ in sys.stdin:
                print(connection.execute("SELECT count(*) FROM adapters").fetchone()[0], flush=True)
    """
    reader = python(code, world.database)

    def ask():
        reader.stdin.write("?\n")
        reader.stdin.flush()
        return int(reader.stdout.readline())

    try:
        assert ask() == 1
        world.add("ann/two", {"dark": 0.5})
        world.merge()
        assert count(world.database) == 2, "a new reader sees the new catalog"
        assert ask() == 1, "the old reader goes on with the old one"
    finally:
        reader.kill()
        reader.communicate()


def test_a_failed_merge_leaves_the_old_catalog_and_no_rubbish(world):
    world.add("ann/one", {"vibrant": 0.5})
    world.merge()

    def listing():
        yield world.repos[0]
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="fire"):
        world.merge(repos=listing)
    assert count(world.database) == 1
    assert [path.name for path in world.folder.iterdir() if "tmp" in path.name or "wal" in path.name] == []


def test_leftovers_of_a_killed_merge_are_swept(world):
    stale = world.folder / ".catalog.duckdb.123.abcd.tmp"
    stale.write_bytes(b"half")
    (world.folder / ".catalog.duckdb.123.abcd.tmp.spill").mkdir()
    (world.folder / ".catalog.duckdb.123.before.tmp").write_bytes(b"a link to the catalog before")
    (world.folder / ".other.duckdb.123.abcd.tmp").write_bytes(b"of another catalog")
    world.merge()
    left = {path.name for path in world.folder.iterdir() if path.name.startswith(".")}
    assert left == {".catalog.duckdb.lock", ".other.duckdb.123.abcd.tmp"}


def test_the_file_keeps_the_long_term_format(world):
    world.merge()
    with sole_writer(world.database), new_database(world.database) as connection:
        (tags,) = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'building'").fetchone()
    assert tags["storage_version"].startswith("v1.4")
