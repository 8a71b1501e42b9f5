"""The shipped probe sets are balanced in every nested prefix, and the loader names what is wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from auditor.errors import UserError
from auditor.probes import ProbeSet, load_probes


def spread(values: list[str]) -> int:
    counts = Counter(values)
    return max(counts.values()) - min(counts.values())


@pytest.mark.parametrize(("name", "count"), [("general-1", 200), ("pocket-1", 96)])
def test_shipped_sets(name: str, count: int) -> None:
    probes = load_probes(name)
    assert (probes.name, len(probes), len(set(probes.seeds))) == (name, count, count)
    assert all(p == p.lower() and p.isascii() for p in probes.prompts)


@pytest.mark.parametrize("count", [25, 50, 100, 200])
def test_general_prefixes_cover_all_subjects_evenly(count: int) -> None:
    probes = load_probes("general-1")
    head = probes.first(count)
    assert head.prompts == probes.prompts[:count] and head.seeds == probes.seeds[:count]
    assert set(head.subjects) == set(probes.subjects)
    assert spread(list(head.subjects)) <= 1


@pytest.mark.parametrize("name", ["general-1", "pocket-1"])
def test_prompts_say_nothing_about_style(name: str) -> None:
    forbidden = {"style", "painting", "photo", "drawing", "render", "vibrant", "cinematic", "art", "sketch"}
    for prompt in load_probes(name).prompts:
        assert not forbidden & set(prompt.split())


def test_pocket_blocks_cover_the_world() -> None:
    probes = load_probes("pocket-1")
    for end in range(12, 97, 12):
        block = probes.prompts[end - 12 : end]
        assert len({p.split()[2] for p in block}) == 12
        assert spread([p.split()[1] for p in block]) <= 1
        assert set(Counter(" ".join(p.split()[3:]) for p in block).values()) == {2}
        prefix = [p.split()[1] for p in probes.prompts[:end]]
        assert spread(prefix) <= 1


def test_hash_follows_content_not_name() -> None:
    probes = load_probes("pocket-1")
    assert probes.first(96).content_hash == probes.content_hash
    assert probes.first(95).content_hash != probes.content_hash
    changed = ProbeSet(probes.name, probes.prompts, probes.subjects, (1, *probes.seeds[1:]))
    assert changed.content_hash != probes.content_hash


@pytest.mark.parametrize("count", [0, 97])
def test_impossible_prefix(count: int) -> None:
    with pytest.raises(UserError, match="ask for 1 to 96"):
        load_probes("pocket-1").first(count)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "well formed"),
        ("[]", "well formed"),
        ('{"name": "x", "version": 1, "probes": [{"prompt": "a"}]}', "well formed"),
        ('{"name": "x", "version": 1, "probes": []}', "every probe"),
        (
            '{"name": "x", "version": 1, "probes": [{"prompt": "a", "subject": "s", "seed": 1},'
            ' {"prompt": "a", "subject": "s", "seed": 2}]}',
            "differ",
        ),
        ('{"name": "x", "version": 1, "probes": [{"prompt": "a", "subject": "s", "seed": -1}]}', "seeds"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_probes(path)


@pytest.mark.parametrize("name", ["nope", "../lexicons/general-1", "missing.json"])
def test_unknown_sets_list_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match="general-1, pocket-1"):
        load_probes(name)
