"""Subsets of an export as their readers see them: `datasets` and, by the same rules, the Hub's viewer."""

from datetime import datetime

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditor.catalog.export.bundle import export
from auditor.catalog.export.tables import TABLES


@pytest.fixture(scope="module")
def exported(tmp_path_factory, lexicon, build):
    world = build.world(tmp_path_factory.mktemp("subsets"), lexicon, build.recipe(lexicon))
    build.fill(world)
    assert world.merge().reconciles
    return export(world.database, world.folder / "out", world.results, ["tables"])


def stored(report, table):
    return pq.read_table(report.folder / "data" / table.name / f"{table.name}.parquet")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_subset_loads_with_its_pictures(exported, tmp_path, table):
    names = datasets.get_dataset_config_names(str(exported.folder))
    assert (table.name in names) == bool(exported.rows[table.name])
    if table.name not in names:
        return
    loaded = datasets.load_dataset(str(exported.folder), table.name, split="train", cache_dir=str(tmp_path))
    expected = stored(exported, table)
    assert loaded.num_rows == exported.rows[table.name] == expected.num_rows
    assert loaded.column_names == expected.column_names
    shown = [name for name, feature in loaded.features.items() if isinstance(feature, datasets.Image)]
    assert shown == list(table.pictures)
    for name in shown:
        assert min(loaded[0][name].size) > 0
    first = {k: v for k, v in loaded[0].items() if k not in shown and not isinstance(v, datetime)}
    assert first == {name: expected[name][0].as_py() for name in first}


def test_the_default_subset_is_the_cards(exported, tmp_path):
    loaded = datasets.load_dataset(str(exported.folder), split="train", cache_dir=str(tmp_path))
    assert loaded.num_rows == exported.rows["cards"]


def test_no_column_has_a_type_that_readers_lack(exported):
    def odd(kind):
        inner = [kind.field(i).type for i in range(kind.num_fields)]
        return pa.types.is_map(kind) or pa.types.is_decimal(kind) or pa.types.is_union(kind) or any(map(odd, inner))

    for table in TABLES:
        assert [field.name for field in stored(exported, table).schema if odd(field.type)] == [], table.name


def test_a_page_of_pictures_stays_small(exported):
    (samples,) = (table for table in TABLES if table.pictures)
    file = pq.ParquetFile(exported.folder / "data/samples/samples.parquet")
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    assert groups and all(group.num_rows <= samples.row_group for group in groups)
    assert all(group.total_byte_size < 100 * 1024**2 for group in groups)


def test_a_planted_cluster_is_exported_with_its_members(world, build, tmp_path):
    build.fill(world)
    clusters = np.arange(len(world.lexicon.names))
    clusters[1] = 0
    world.merge(clusters=clusters)
    report = export(world.database, tmp_path / "out", world.results, ["tables"])
    (row,) = stored(report, next(t for t in TABLES if t.name == "cluster_names")).to_pylist()
    assert row["name"] == row["members"][0] and set(row["members"]) == set(world.lexicon.names[:2])
