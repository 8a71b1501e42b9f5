"""The data of the exported site: numbers come back as they were, neighbours are those of SQL."""

import base64
from contextlib import closing

import numpy as np
import pytest

from auditor.catalog.export.neighbour_pieces import Neighbours, _compare, neighbours
from auditor.catalog.export.score_pieces import AUDITS, write_concepts, write_pages
from auditor.catalog.reading import open_catalog

_SCORED = "SELECT audit_id FROM audits WHERE outcome = 'scored' ORDER BY audit_id DESC"


@pytest.fixture
def pieces(catalog, tmp_path):
    """Every piece of scores by its name, and what they were made from."""
    written = {}
    with closing(open_catalog(catalog.database)) as connection:
        audits = [audit for (audit,) in connection.execute(_SCORED).fetchall()]
        names = sorted(catalog.lexicon.names)
        scores = write_concepts(connection, audits, names, tmp_path, written.__setitem__)
        near = neighbours(connection, audits)
        write_pages(scores, near, written.__setitem__)
        rows = connection.execute(
            "SELECT audit_id, concept, score, low, high, projection FROM scores JOIN audits USING (audit_id) "
            "WHERE outcome = 'scored'"
        ).fetchall()
    return written, scores, near, audits, names, rows


def unpacked(text):
    return np.frombuffer(base64.b64decode(text), "<i2")


def test_every_score_comes_back_to_half_a_unit(pieces):
    written, scores, _, audits, names, rows = pieces
    assert len(rows) == len(audits) * len(names)
    for audit, concept, *values in rows:
        number, place = audits.index(audit), names.index(concept)
        column = unpacked(written[f"concepts/{place}"]["plain"]).reshape(4, len(audits))[:, number]
        assert np.allclose(column * scores.unit, values, atol=0.51 * scores.unit)
        page = unpacked(written[f"scores/{number // AUDITS}"]["plain"][number % AUDITS]).reshape(len(names), 3)[place]
        assert list(page) == list(column[:3])


def test_what_lies_above_zero_stays_above_zero(world, tmp_path, build):
    world.add("ann/strong", {"vibrant": 12.0})
    world.add("ann/tiny", {"vibrant": 0.1 + 1e-6})
    assert world.merge().reconciles
    with closing(open_catalog(world.database)) as connection:
        (audit,) = connection.execute("SELECT audit_id FROM adapters WHERE repo_id = 'ann/tiny'").fetchone()
        (low,) = connection.execute(
            "SELECT low FROM scores WHERE audit_id = ? AND concept = 'vibrant'", [audit]
        ).fetchone()
        scores = write_concepts(connection, [audit], ["vibrant"], tmp_path, lambda name, value: None)
    assert 0 < low < scores.unit / 2 and scores.plain[0, 0, 1] == 1


def test_neighbours_are_those_of_sql(catalog, pieces):
    _, _, near, audits, _, _ = pieces
    with closing(open_catalog(catalog.database)) as connection:
        for number, audit in enumerate(audits):
            (repo,) = connection.execute("SELECT repo_id FROM adapters WHERE audit_id = ?", [audit]).fetchone()
            found = connection.execute("SELECT audit_id, cosine FROM similar_to(?, k := 24)", [repo]).fetchall()
            mine = near.of(number)
            assert np.allclose([cosine for _, cosine in mine], [cosine for _, cosine in found], atol=1e-4)
            assert {audits[other] for other, _ in mine} == {other for other, _ in found}


def test_the_nearest_of_many_are_found_from_a_sample():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(6000, 8)).astype(np.float32)
    found = Neighbours(np.full((6000, 24), -1, np.int32), np.zeros((6000, 24), np.float32))
    _compare(vectors.copy(), np.arange(6000, dtype=np.int32), found)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for row in range(0, 6000, 500):
        cosines = units @ units[row]
        cosines[row] = -np.inf
        assert np.allclose(np.sort(cosines)[::-1][:24], found.cosines[row], atol=1e-6)
        assert row not in found.numbers[row]
