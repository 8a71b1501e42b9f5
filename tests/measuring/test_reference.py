"""The reference is made in parts: whoever is stopped or killed loses one part, and tasks share the work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from auditor.audit import base_pool, opening
from auditor.audit.task import Task
from auditor.encoding.encoder import Encoder
from auditor.errors import Interrupted
from auditor.generation.diffusers_base import DiffusersBase
from auditor.lexicons import load_lexicon
from auditor.measuring import reference
from auditor.measuring.shards import make_shards
from auditor.pipeline import connection, stages
from auditor.results.workspace import Workspace
from auditor.settings import Settings, resolve
from tests.audit.conftest import QUICK, World, small_hub
from tests.cluster.forks import in_child, join, start_child

FEW = (*QUICK, "recipe.probe_count=6", "recipe.proposer.kind=none", "recipe.dose_scales=[]")
KILLED = -signal.SIGKILL
Models = tuple[DiffusersBase, Encoder]


@pytest.fixture(scope="module")
def models() -> Models:
    settings = settings_in(Path("nowhere"))
    return opening.load_base(settings.recipe.active_bases["pocket"]), opening.load_encoder(settings)


@pytest.fixture(autouse=True)
def small_parts(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that are loaded once, and parts of nine pictures, which are five."""
    monkeypatch.setattr(opening, "load_base", lambda *_: models[0])
    monkeypatch.setattr(base_pool, "load_encoder", lambda *_: models[1])
    monkeypatch.setattr(reference, "PICTURES_PER_CALL", 9)


def settings_in(work: Path) -> Settings:
    return resolve(config=None, profile="pocket", work_dir=work, overrides=FEW).settings


def make(models: Models, work: Path, stopping: Callable[[], bool] = lambda: False) -> int:
    """Have the reference made, or read; return the pictures drawn for it."""
    base, encoder = models
    before = base.calls.base
    opening.open_base(settings_in(work), "pocket", encoder=encoder, stopping=stopping)
    return (base.calls.base - before) // settings_in(work).recipe.bases["pocket"].steps


def files(work: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (work / "reference").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(models: Models, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, bytes]]:
    """Pictures and file of a reference that is made in one go."""
    work = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "load_base", lambda *_: models[0])
        patch.setattr(reference, "PICTURES_PER_CALL", 9)
        pictures = make(models, work)
    return pictures, files(work)


def test_a_killed_making_goes_on_with_the_parts_it_has(
    models: Models, whole: tuple[int, dict[str, bytes]], tmp_path: Path
) -> None:
    assert in_child(partial(make, models, tmp_path), crash_at="reference_shard_kept:3") == KILLED
    kept = [name for name in files(tmp_path) if name.endswith(".safetensors")]
    assert len(kept) == 3
    recipe = settings_in(tmp_path).recipe
    per_picture = whole[0] / reference.reference_pictures(recipe, load_lexicon(recipe.lexicon))
    assert make(models, tmp_path) == whole[0] - 3 * 9 * per_picture
    assert files(tmp_path) == whole[1]
    assert make(models, tmp_path) == 0


def test_a_making_that_is_told_to_stop_keeps_its_parts(
    models: Models, whole: tuple[int, dict[str, bytes]], tmp_path: Path
) -> None:
    asked = 0

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked == 3

    with pytest.raises(Interrupted):
        make(models, tmp_path, stopping)
    kept = sorted(name.rpartition(".")[2] for name in files(tmp_path))
    assert kept == ["safetensors"] * 2 + ["taken"] * 2, "two parts are kept, the third one is for anybody"
    assert make(models, tmp_path) < whole[0]
    assert files(tmp_path) == whole[1]


def test_tasks_at_the_same_time_share_the_work(
    models: Models, whole: tuple[int, dict[str, bytes]], tmp_path: Path
) -> None:
    def count(number: int) -> None:
        (tmp_path / f"drawn-{number}").write_text(str(make(models, tmp_path)))

    children = [start_child(partial(count, n)) for n in range(2)]
    assert [join(pid) for pid in children] == [0, 0]
    drawn = [int((tmp_path / f"drawn-{n}").read_text()) for n in range(2)]
    assert files(tmp_path) == whole[1]
    assert max(drawn) < whole[0] and whole[0] <= sum(drawn) <= 1.6 * whole[0], "only the last parts may be made twice"


def test_a_task_that_is_told_to_stop_does_so_between_pictures(tmp_path: Path) -> None:
    hub = small_hub(tmp_path / "hub", ("mkr/moss-lora",))
    world = World(tmp_path / "work", hub, (*FEW, f"hub.serve_folder={hub}"))
    with connection.hub(world.settings) as client:
        stages.crawl(world.settings, client)
        items = stages.plan(world.settings, client).items

        def stop(what: str, done: int, total: int) -> None:
            if done == 2:
                os.kill(os.getpid(), signal.SIGUSR2)

        report = Task(world.settings, client, on_reference=stop).run(items)
        workspace = Workspace(world.work)
        assert report.interrupted and not report.outcomes and not list(workspace.attempts.glob("*"))
        assert len(list(workspace.reference.rglob("*.safetensors"))) == 2
        assert Task(world.settings, client).run(items).outcomes.total() == 1


def test_notes_of_the_dead_are_passed_over_and_nothing_is_left(tmp_path: Path) -> None:
    import numpy as np

    folder, made = tmp_path / "parts", []
    folder.mkdir()
    (folder / "a.taken").touch()  # by a task that was killed

    def part(name: str) -> dict[str, np.ndarray]:
        made.append(name)
        return {"x": np.zeros(1)}

    make_shards(folder, ["a", "b", "c"], part, finished=lambda: False)
    assert made == ["b", "c", "a"]


def test_the_number_of_pictures_is_known_before(models: Models, whole: tuple[int, dict[str, bytes]]) -> None:
    recipe = settings_in(Path("nowhere")).recipe
    pictures = reference.reference_pictures(recipe, load_lexicon(recipe.lexicon))
    guided = 2 if recipe.bases["pocket"].guidance > 1 else 1
    assert whole[0] == guided * pictures
