"""The data of the exported site: numbers come back as they were, neighbours are those of SQL."""

import base64
from contextlib import closing

import numpy as np
import pytest

from auditor.catalog.export import sketch_pieces
from auditor.catalog.export.neighbour_pieces import Neighbours, _compare, neighbours
from auditor.catalog.export.score_pieces import AUDITS, write_concepts, write_pages
from auditor.catalog.export.sketch_pieces import KEPT, UNIT, sketch, write_sketch
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


@pytest.mark.parametrize(("score", "reach"), [(0.5, 1.0), (3.9, 4.0), (20.0, 16.0)])
def test_a_unit_is_as_fine_as_the_largest_score_allows_from_1_to_16(world, tmp_path, score, reach):
    world.add("ann/one", {"vibrant": score})
    assert world.merge().reconciles
    with closing(open_catalog(world.database)) as connection:
        ((audit,),) = connection.execute(_SCORED).fetchall()
        scores = write_concepts(connection, [audit], ["vibrant"], tmp_path, lambda name, value: None)
    assert scores.unit == pytest.approx(reach / 32767, rel=1e-4)


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


def test_sketches_have_the_cosines_of_the_vectors_and_go_as_far_along_concepts(catalog, pieces):
    _, _, _, audits, _, _ = pieces
    with closing(open_catalog(catalog.database)) as connection:
        made = sketch(connection, audits)
        rows = connection.execute(
            "SELECT audit_id, divergence, encoder, u.recipe_id FROM audits u JOIN recipes USING (recipe_id)"
        ).fetchall()
        told = {audit: (np.asarray(v), encoder, recipe) for audit, v, encoder, recipe in rows if v is not None}
        directions = connection.execute("SELECT recipe_id, concept, vector FROM concept_vectors").fetchall()
    vectors = np.stack([told[audit][0] for audit in audits])
    lengths = np.linalg.norm(vectors, axis=1)
    assert vectors.shape[1] <= KEPT and made.shares == (pytest.approx(1.0),)
    values = made.values * UNIT
    assert np.allclose(values @ values.T, vectors @ vectors.T / np.outer(lengths, lengths), atol=2e-4)
    for recipe, _, f in directions[:20]:
        encoder = next(encoder for _, encoder, one in told.values() if one == recipe)
        (place,) = made.of_concepts(encoder, np.asarray([f]))
        assert np.allclose(values @ place * lengths, vectors @ np.asarray(f), atol=2e-4 * np.linalg.norm(f))


def test_a_sketch_says_how_much_it_leaves_out(monkeypatch):
    random = np.random.default_rng(0)
    made = random.normal(size=(400, 3 * KEPT)) * np.linspace(1.0, 0.1, 3 * KEPT)
    units = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    mine = np.arange(1, 401, dtype=np.int32)
    monkeypatch.setattr(sketch_pieces, "unit_vectors", lambda *_: [("encoder", mine, units)])
    found = sketch(None, range(402))
    kept = np.sum((found.values[mine] * UNIT) ** 2, axis=1)
    assert found.shares[0] == pytest.approx(np.mean(kept), abs=1e-3) and 0.4 < found.shares[0] < 0.9
    # No other coordinates of as many numbers keep more: the first ones of the space do not.
    assert found.shares[0] > np.mean(np.sum(units[:, :KEPT] ** 2, axis=1)) - 1e-6
    assert list(found.kinds[[0, 1, 400, 401]]) == [-1, 0, 0, -1] and not found.values[[0, 401]].any()
    assert not found.of_concepts("another", np.ones((2, 5))).any()
    written = {}
    write_sketch(found, written.__setitem__)
    assert list(unpacked(written["sketch"]["values"])[: 2 * KEPT]) == list(found.values[:2].ravel())


def test_the_nearest_of_many_are_found_from_a_sample():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(6000, 8)).astype(np.float32)
    found = Neighbours(np.full((6000, 24), -1, np.int32), np.zeros((6000, 24), np.float32))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    _compare(units, np.arange(6000, dtype=np.int32), found)
    for row in range(0, 6000, 500):
        cosines = units @ units[row]
        cosines[row] = -np.inf
        assert np.allclose(np.sort(cosines)[::-1][:24], found.cosines[row], atol=1e-6)
        assert row not in found.numbers[row]
