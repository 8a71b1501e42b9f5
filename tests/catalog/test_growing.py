"""A catalog that grew by many merges equals one that was built at once, whatever happened in between."""

import multiprocessing
import os
import random
import signal
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.catalog.reading import open_catalog, run_sql
from auditor.pipeline import stages
from auditor.settings import resolve
from tests.synthetic_results import SyntheticWorld


def merge(world, database=None, rebuild=False, **catalog_settings):
    values = {"pairs": 1, **({"path": database} if database else {}), **catalog_settings}
    overrides = [f"catalog.{name}={value}" for name, value in values.items()]
    chosen = resolve(config=None, profile="pocket", work_dir=world.folder, overrides=overrides).settings
    return stages.merge(chosen, rebuild=rebuild)


def content(database):
    """Every row of every table but what a merge says of itself; numbers of audits and adapters included."""
    with closing(open_catalog(database)) as connection:
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall()
            for name in names
            if name not in ("runs", "schema_migrations")
        }


def grown_equals_rebuilt(world):
    merge(world)
    apart = world.folder / "apart.duckdb"
    report = merge(world, apart, rebuild=True)
    assert report.carried == 0 and report.reconciles
    assert content(world.folder / "catalog.duckdb") == content(apart)
    return report


def test_a_night_reads_only_what_is_new(tmp_path):
    world = SyntheticWorld(tmp_path)
    world.write(40)
    first = merge(world)
    assert (first.read, first.carried) == (39, 0)
    world.write(50)
    night = merge(world)
    assert (night.read, night.carried, night.audits) == (9, 39, 48)
    world.write_result(3).touch()
    assert merge(world).read == 1
    assert grown_equals_rebuilt(world).reconciles


def test_another_way_of_making_rows_reads_everything_again(tmp_path, monkeypatch):
    world = SyntheticWorld(tmp_path)
    world.write(10)
    merge(world)
    monkeypatch.setattr("auditor.catalog.merge.ROWS_VERSION", 999)
    assert merge(world).carried == 0


def test_a_published_catalog_that_cannot_be_read_is_no_hindrance(tmp_path):
    world = SyntheticWorld(tmp_path)
    world.write(200)
    merge(world)
    database = tmp_path / "catalog.duckdb"
    content = bytearray(database.read_bytes())
    for place in range(3 * 4096, len(content), 20_000):  # behind the headers, so that it still opens
        content[place] ^= 255
    database.write_bytes(content)
    report = merge(world)
    assert (report.audits, report.carried, report.reconciles) == (192, 0, True)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 6)),
        st.tuples(st.just("replace"), st.integers(0, 30)),
        st.tuples(st.just("damage"), st.integers(0, 30)),
        st.tuples(st.just("remove"), st.integers(0, 30)),
        st.tuples(st.just("merge"), st.just(0)),
        st.tuples(st.just("lose the catalog"), st.just(0)),
    ),
    min_size=2,
    max_size=8,
)


@given(STEPS, st.randoms(use_true_random=False))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_history_ends_in_the_same_catalog(steps, shuffler):
    with TemporaryDirectory() as folder:
        world, listed = SyntheticWorld(Path(folder)), 4
        world.write(listed)
        for what, number in steps:
            path = world.path(number)
            if what == "add":
                # Results come in any order, and only some of them.
                world.write(listed + number, results=0)
                fresh = list(range(listed, listed + number))
                shuffler.shuffle(fresh)
                for one in fresh[: number - 1]:
                    world.write_result(one)
                listed += number
            elif what == "merge":
                merge(world)
            elif what == "lose the catalog":
                (world.folder / "catalog.duckdb").unlink(missing_ok=True)
            elif path is not None and path.exists():
                if what == "replace":
                    replace(world, number)
                elif what == "remove":
                    path.unlink()
                else:
                    path.write_bytes(path.read_bytes()[:-7])
        grown_equals_rebuilt(world)


def replace(world, number):
    """Another audit of the same file with the same recipe, published as workers do: beside, then renamed."""
    from dataclasses import replace as changed

    from auditor.results.result_file import result_bytes

    made = world.result(number, world.item(number))
    path = world.path(number)
    beside = path.with_name(f".{path.name}.tmp")
    record = made.record.model_copy(update={"message": "Scored again."})
    beside.write_bytes(result_bytes(changed(made, record=record)))
    os.replace(beside, path)


def test_readers_in_other_processes_read_the_same(tmp_path):
    world = SyntheticWorld(tmp_path)
    world.write(30)
    world.path(2).write_bytes(b"no result")
    report = merge(world, readers=2)
    assert (report.read, len(report.rejected), report.reconciles) == (28, 1, True)
    grown_equals_rebuilt(world)


def merge_in_child(folder, rebuild):
    merge(SyntheticWorld(Path(folder)), rebuild=rebuild)


@pytest.fixture(scope="module")
def children():
    """Processes that have loaded everything already: a merge starts at once and can be killed anywhere."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["auditor.catalog.merge", "tests.synthetic_results", "auditor.hub.crawler"])
    return context


def test_killed_25_times_the_catalog_is_the_old_or_the_new_and_ends_right(tmp_path, children):
    world = SyntheticWorld(tmp_path)
    world.write(60)
    started = time.monotonic()
    merge(world)
    usual_s = time.monotonic() - started
    database = tmp_path / "catalog.duckdb"
    dice = random.Random(7)
    killed = 0
    for turn in range(25):
        world.write(60 + turn + 1)
        allowed = {count_units(database), 60 + turn + 1 + (60 + turn + 1) // 50}
        child = children.Process(target=merge_in_child, args=(str(tmp_path), turn % 2 == 1))
        child.start()
        child.join(dice.uniform(0, 1.2 * usual_s))
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
            killed += 1
        child.join(20)
        assert count_units(database) in allowed
    assert killed >= 10
    report = grown_equals_rebuilt(world)
    assert report.reconciles and report.pending == 0
    assert not [path.name for path in tmp_path.iterdir() if ".tmp" in path.name]


def count_units(database):
    return run_sql(database, "SELECT count(*) FROM adapters").rows[0][0]


def test_a_full_disk_leaves_the_old_catalog_and_says_so(tmp_path):
    from auditor.errors import UserError

    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=40m tmpfs '{small}' 2>/dev/null") != 0:
        pytest.skip("needs a file system of its own: root, or the right to mount")
    try:
        world = SyntheticWorld(tmp_path / "work")
        world.write(10)
        database = small / "catalog.duckdb"
        merge(world, database)
        before = content(database)
        (small / "ballast").write_bytes(b"\0" * (41_943_040 - database.stat().st_size - 600_000))
        world.write(600)
        with pytest.raises(UserError, match=r"no room|space"):
            merge(world, database)
        assert content(database) == before
        assert sorted(path.name for path in small.iterdir()) == [".catalog.duckdb.lock", "ballast", "catalog.duckdb"]
        (small / "ballast").unlink()
        assert merge(world, database).reconciles
    finally:
        os.system(f"umount '{small}'")


def test_a_damaged_page_is_never_carried_on(tmp_path):
    """What the database itself does about flipped bits: it notices, so rows cannot be carried over silently wrong."""
    database = tmp_path / "x.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE t AS SELECT hash(range) AS x FROM range(200000)")
    content = bytearray(database.read_bytes())
    content[len(content) // 2] ^= 1
    database.write_bytes(content)
    with pytest.raises(duckdb.Error), duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SELECT sum(x) FROM t").fetchall()
