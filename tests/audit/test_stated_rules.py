"""What opening, proposers and the finisher do where two rules meet; no model is loaded for it."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from auditor.audit import propose_waiting as propose_waiting_module
from auditor.audit import proposers
from auditor.audit.base_versions import _base
from auditor.audit.finishing import Finisher, failed_file
from auditor.audit.opening import guided_in, load_base, open_base, probes_for, shifted_seeds, subject_contexts
from auditor.audit.propose_waiting import propose_waiting, waiting_for
from auditor.audit.proposers import TILE, judge_endpoint, load_proposer, shown_identity, works_ahead
from auditor.audit.task import Task
from auditor.errors import ItemError, PrerequisiteMissing, UserError
from auditor.families.guided_steps import ALWAYS
from auditor.probes.loader import load_probes
from auditor.probes.subjects import load_contexts
from auditor.proposing.dependable import Breaker, ServedProposer
from auditor.proposing.proposer import VlmUnavailable
from auditor.proposing.server import ServerPlan
from auditor.records.result import AuditRecord, WorkItem
from auditor.results.result_file import Result, read_result, write_result
from auditor.results.waiting_pictures import AuditedFile, ShownPairs, waiting_path, write_waiting
from auditor.results.workspace import Workspace
from auditor.settings import Settings, resolve
from tests.audit.test_proposal_queue import Proposer

COMMIT = "c" * 40
NO_IMAGES = np.zeros((0, 4, 4, 3), np.uint8)


def settings(work: Path, *overrides: str, profile: str = "pocket") -> Settings:
    return resolve(config=None, profile=profile, work_dir=work, overrides=overrides, environment={}).settings


# --- what a recipe is made of


def test_a_recipe_says_where_guidance_acts_only_when_it_does_not_always() -> None:
    assert guided_in(ALWAYS) == {}
    assert guided_in((0.2, 0.8)) == {"guidance_interval": [0.2, 0.8]}


def test_a_seed_changes_the_noise_and_nothing_else_of_the_probes() -> None:
    plain, other = load_probes("pocket-1"), probes_for("pocket-1", 3)
    assert probes_for("pocket-1", 0) == plain
    assert (other.prompts, other.subjects) == (plain.prompts, plain.subjects)
    assert not set(other.seeds) & set(plain.seeds)
    assert shifted_seeds([2**32 - 1, 0], 1) == (7918, 7919), "a seed has 32 bits"


def test_subjects_are_asked_for_only_where_contexts_are_set_and_triggers_are_tried(tmp_path: Path) -> None:
    named = "recipe.subject_contexts=subject-1"
    assert subject_contexts(settings(tmp_path, "recipe.subject_contexts=none")) is None
    assert subject_contexts(settings(tmp_path, named, "recipe.trigger_arms=false")) is None
    found, plain = subject_contexts(settings(tmp_path, named, "recipe.seed=3")), load_contexts("subject-1")
    assert found == replace(plain, seeds=shifted_seeds(plain.seeds, 3)) != plain


def test_a_base_that_is_not_switched_on_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no base 'sd9' is switched on; known: pocket"):
        open_base(settings(tmp_path), "sd9")


def test_only_a_pipeline_of_diffusers_is_taken_for_one(tmp_path: Path) -> None:
    chosen = settings(tmp_path, *(f"recipe.bases.t.{s}" for s in ("kind=gan", "family=g", "repo=a/b", "size=64")))
    with pytest.raises(UserError, match="a/b is no pipeline"):
        load_base(chosen.recipe.bases["t"])


def test_a_folder_is_drawn_as_the_first_base_and_a_base_of_the_recipe_as_it_says(tmp_path: Path) -> None:
    chosen = settings(
        tmp_path, *(f"recipe.bases.off.{s}" for s in ("kind=gan", "repo=a/b", "family=g", "size=64", "enabled=false"))
    )
    first = chosen.recipe.bases["pocket"]
    assert _base(chosen, "off", "pocket") == chosen.recipe.bases["off"]
    folder = _base(chosen, str(tmp_path), "pocket")
    assert folder == first.model_copy(update={"path": tmp_path, "repo": None, "variant": None})
    with pytest.raises(UserError, match="no base 'off' is switched on"):
        _base(chosen, "pocket", "off")


# --- who is asked


SERVED = ("recipe.proposer.kind=openai", "recipe.proposer.model=a/b", f"recipe.proposer.revision={COMMIT}")


def served(work: Path, *overrides: str) -> Settings:
    return settings(work, *SERVED, *overrides, profile="hub")


ADDRESS = "serving.address=http://127.0.0.1:9/v1"


def test_texts_are_judged_only_by_a_proposer_at_an_address_of_its_own(tmp_path: Path) -> None:
    found = judge_endpoint(served(tmp_path, ADDRESS))
    assert found is not None and (found.model, found.revision.partition(":")[0]) == ("a/b", COMMIT)
    assert judge_endpoint(served(tmp_path)) is None
    assert judge_endpoint(settings(tmp_path, "recipe.proposer.kind=none", ADDRESS)) is None


def test_work_goes_ahead_only_where_somebody_else_answers(tmp_path: Path) -> None:
    assert works_ahead(served(tmp_path, "serving.ahead=3")) == 3
    assert works_ahead(settings(tmp_path, "recipe.proposer.kind=transformers", "serving.ahead=3")) == 0


def test_nobody_is_asked_where_none_is_set_and_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    assert load_proposer(settings(tmp_path, "recipe.proposer.kind=none")) is None
    with pytest.raises(PrerequisiteMissing, match=r"no vision-language model in .*see recipe\.proposer\.path"):
        load_proposer(served(tmp_path, f"recipe.proposer.path={tmp_path}"))


def test_a_recipe_tells_apart_who_is_asked_and_about_how_many_pictures(tmp_path: Path) -> None:
    one, other = (load_proposer(served(tmp_path, ADDRESS, extra)) for extra in ("recipe.seed=0", SERVED[1]))
    third = load_proposer(served(tmp_path, ADDRESS, "recipe.proposer.model=c/d"))
    assert one is not None and other is not None and third is not None
    assert shown_identity(one, 2) == shown_identity(other, 2)
    assert len({shown_identity(one, 2), shown_identity(one, 3), shown_identity(third, 2)}) == 3


def test_a_server_that_the_task_starts_serves_the_commit_or_the_folder_that_the_recipe_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*overrides: str) -> ServerPlan:
        breaker = load_proposer(served(tmp_path, *overrides))
        assert isinstance(breaker, Breaker) and isinstance(breaker.inner, ServedProposer)
        return breaker.inner.server.plan

    by_name = plan()
    assert (by_name.model, by_name.revision) == ("a/b", COMMIT) and by_name.endpoint.model == "a/b"
    (tmp_path / "config.json").write_text("{}")
    named = {("a/b", "main"): "d" * 40}
    monkeypatch.setattr(proposers, "cached_commit", lambda model, revision: named.get((model, revision)))
    assert plan("recipe.proposer.revision=main").revision == "d" * 40, "what main means on this machine"
    by_folder = plan(f"recipe.proposer.path={tmp_path}", "recipe.proposer.max_side=29")
    assert (by_folder.model, by_folder.revision) == (str(tmp_path), None)
    assert by_folder.max_pixels == (2 * TILE) ** 2, "no tile is cut"
    environment = plan('serving.environment=["A=b", "FLAGS=--x=1 --y=2"]').environment
    assert environment == {"A": "b", "FLAGS": "--x=1 --y=2"}


# --- results that wait for their words


def pending(work: Path, name: str = "x", proposals: str = "pending") -> AuditedFile:
    item = WorkItem(repo_id="a/b", commit_sha="0" * 40, path=name, file_sha256=None, base_name=None)
    record = AuditRecord(
        item=item, file_sha256=item.name_sha256, recipe_id="r", outcome="scored", reason=None, message="-",
        base_name=None, proposals=proposals,
    )  # fmt: skip
    pictures = np.zeros((1, 4, 4, 3), np.uint8)
    return AuditedFile(Result(record, {}), ShownPairs(np.zeros((2, 3), np.float32), pictures, pictures, None))


def kept(work: Path, audited: AuditedFile) -> Path:
    return waiting_path(Workspace(work).waiting, audited.result.record.file_sha256, "r")


def test_tasks_share_all_that_waits_and_each_takes_it_recipe_by_recipe(tmp_path: Path) -> None:
    chosen, hashes = settings(tmp_path), [f"{number:08x}{'0' * 56}" for number in range(7)]
    shown = pending(tmp_path).shown
    assert shown is not None
    for sha256 in hashes:
        for recipe_id in ("b", "a"):
            write_waiting(waiting_path(Workspace(tmp_path).waiting, sha256, recipe_id), shown)
    shares = [waiting_for(chosen, task, 3) for task in range(3)]
    assert shares[1] == [(hashes[number], recipe_id) for recipe_id in ("a", "b") for number in (1, 4)]
    assert sorted(one for share in shares for one in share) == sorted(
        (sha256, recipe_id) for sha256 in hashes for recipe_id in "ab"
    )


class Told:
    """A finisher, and what it was told to tell."""

    def __init__(self, work: Path, *, asks: bool = True, stopping: bool = False, away: bool = False) -> None:
        self.told: list[tuple[str, bool]] = []
        self.finisher = Finisher(
            Workspace(work),
            lambda record, unanswered: self.told.append((record.proposals, unanswered)),
            lambda: stopping,
        )
        if asks:
            error = VlmUnavailable("away") if away else None
            self.finisher.open(Proposer(asked_error=error), ahead=0)


def test_an_earlier_result_is_taken_up_only_with_pictures_and_somebody_to_ask_and_once(tmp_path: Path) -> None:
    audited = pending(tmp_path)
    key = audited.result.record.file_sha256, "r"
    finisher = Told(tmp_path, away=True).finisher
    assert not finisher.may_take_up(*key)
    finisher.publish(audited)
    assert kept(tmp_path, audited).exists() and finisher.may_take_up(*key)
    assert not Told(tmp_path, asks=False).finisher.may_take_up(*key)
    finisher.name(audited)
    assert not finisher.may_take_up(*key), "it was asked about already"
    assert Told(tmp_path, away=True).finisher.may_take_up(*key)


def test_pictures_of_a_result_that_was_named_before_its_task_was_killed_are_dropped(tmp_path: Path) -> None:
    audited = pending(tmp_path)
    made = Told(tmp_path)
    made.finisher.publish(audited)
    named = audited.result.record.model_copy(update={"proposals": "answered"})
    write_result(Workspace(tmp_path).results, Result(named, {}))
    assert made.finisher.take_up(named.file_sha256, "r", NO_IMAGES, 4)
    assert not kept(tmp_path, audited).exists() and made.told == []


@pytest.mark.parametrize("damaged", ["pictures", "result"])
def test_damage_to_pictures_or_result_has_the_adapter_audited_again(tmp_path: Path, damaged: str) -> None:
    audited = pending(tmp_path)
    made = Told(tmp_path)
    made.finisher.publish(audited)
    (result,) = Workspace(tmp_path).results.rglob("*.safetensors")
    path = kept(tmp_path, audited) if damaged == "pictures" else result
    path.write_bytes(path.read_bytes()[:-1])
    assert not made.finisher.take_up(audited.result.record.file_sha256, "r", NO_IMAGES, 4)
    assert not kept(tmp_path, audited).exists() and made.told == []


def test_while_the_proposer_is_away_a_result_stays_pending_and_keeps_its_pictures(tmp_path: Path) -> None:
    audited = pending(tmp_path)
    made = Told(tmp_path, away=True)
    made.finisher.publish(audited)
    made.finisher.name(audited)
    made.finisher.drain()
    assert made.told == [("pending", True)] and kept(tmp_path, audited).exists()
    (result,) = Workspace(tmp_path).results.rglob("*.safetensors")
    assert read_result(result).record.proposals == "pending"


def test_what_has_nothing_to_name_or_nobody_to_ask_is_told_at_once(tmp_path: Path) -> None:
    audited = pending(tmp_path)
    bare = failed_file(
        audited.result.record.item, "1" * 64, ItemError("skipped", "gated", "No."), changes={"bases": "b"}
    )
    assert bare.shown is None and bare.result.record.bases == "b"
    for made, one in ((Told(tmp_path), bare), (Told(tmp_path, asks=False), audited)):
        made.finisher.name(one)
        made.finisher.drain()
        assert made.told == [(one.result.record.proposals, False)]


def test_what_a_task_does_not_reach_before_it_stops_is_counted_and_keeps_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propose_waiting_module, "load_proposer", lambda _: Proposer(asked_error=VlmUnavailable("away")))
    monkeypatch.setattr(propose_waiting_module, "load_encoder", lambda _: None)
    scorer = SimpleNamespace(reference=SimpleNamespace(images=NO_IMAGES))
    monkeypatch.setattr(
        propose_waiting_module, "_scorer", lambda _, recipe_id, *__: scorer if recipe_id == "r" else None
    )
    audited = [pending(tmp_path, name) for name in "xyz"]
    for one in audited:
        Told(tmp_path, asks=False).finisher.publish(one)
    waiting = [(one.result.record.file_sha256, "r") for one in audited]
    asked = iter([False, True, True])
    chosen = settings(tmp_path)
    report = propose_waiting(chosen, [*waiting, ("0" * 64, "another")], stopping=lambda: next(asked, True))
    assert (report.left, report.unanswered, report.other_recipe, report.lost) == (2, 1, 1, 0)
    assert all(kept(tmp_path, one).exists() for one in audited)
    monkeypatch.setattr(propose_waiting_module, "load_proposer", lambda _: None)
    with pytest.raises(PrerequisiteMissing, match=r"kind is none"):
        propose_waiting(chosen, waiting, stopping=lambda: False)


# --- the loop of a task


def listed(name: str) -> WorkItem:
    return WorkItem(repo_id=f"a/{name}", commit_sha="0" * 40, path="x", file_sha256=None, base_name=None)


def test_a_task_that_is_told_to_stop_does_so_after_the_item_and_says_that_it_did(tmp_path: Path) -> None:
    told: list[WorkItem] = []

    def stop(item: WorkItem, record: AuditRecord | None) -> None:
        assert record is None, "nothing new was made"
        told.append(item)
        os.kill(os.getpid(), signal.SIGTERM)

    items = [listed(name) for name in ("first", "second")]
    report = Task(settings(tmp_path), None).run(items, stop)
    assert told == items[:1] and report.interrupted and report.transient == 1
    assert not Task(settings(tmp_path), None).run(items[:1], stop).interrupted, "nothing was left"
    assert not list(Workspace(tmp_path).attempts.iterdir()), "an item that was put off was never tried"


def test_what_was_not_to_be_had_is_not_put_off_again_by_a_task_without_a_network(tmp_path: Path) -> None:
    known, unknown = listed("known"), listed("unknown")
    error = ItemError("gone", "file_gone", "No.")
    lasting = failed_file(known, known.name_sha256, ItemError("failed", "download_failed", "No.")).result
    write_result(Workspace(tmp_path).results, lasting)
    report = Task(settings(tmp_path), None).run([known, unknown])
    assert (report.already_done, report.transient, report.interrupted) == (1, 1, False)
    write_result(Workspace(tmp_path).results, failed_file(unknown, unknown.name_sha256, error).result)
    assert Task(settings(tmp_path), None).run([known, unknown]).already_done == 2


@pytest.mark.parametrize(
    ("error", "ends", "attempts"),
    [
        (ValueError("a bug"), False, 0),
        (FileNotFoundError(errno.ENOENT, "no such file"), False, 0),
        (OSError(errno.ENOSPC, "no space left"), True, 0),  # says nothing about the item
        (MemoryError("memory is out"), True, 1),
        (RuntimeError("CUDA error: an illegal access"), True, 1),
    ],
)
def test_a_bug_that_one_file_brings_out_costs_no_other_its_turn_and_what_ends_the_process_ends_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, ends: bool, attempts: int
) -> None:
    def audit(self: Task, item: WorkItem, report: object) -> None:
        raise error

    monkeypatch.setattr(Task, "_audit", audit)
    items, told = [listed("first"), listed("second")], list[AuditRecord | None]()
    task = Task(settings(tmp_path), None)
    if ends:
        with pytest.raises(type(error)):
            task.run(items, lambda _, record: told.append(record))
        assert not told
    else:
        assert task.run(items, lambda _, record: told.append(record)).outcomes == {"failed": 2}
        assert [record and (record.item, record.reason) for record in told] == [(i, "internal_error") for i in items]
    assert len(list(Workspace(tmp_path).attempts.iterdir())) == attempts


def test_pictures_of_a_base_that_has_gone_wait_on_and_those_of_the_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def base_of(self: Task, base_name: str) -> SimpleNamespace:
        if base_name == "gone":
            raise ItemError("failed", "base_unavailable", "No.")
        return SimpleNamespace(reference=SimpleNamespace(images=NO_IMAGES), max_side=8)

    taken: list[str] = []
    monkeypatch.setattr(Task, "_base_of", base_of)
    monkeypatch.setattr(Finisher, "may_take_up", lambda self, sha256, recipe_id: recipe_id != "done")
    monkeypatch.setattr(Finisher, "take_up", lambda self, sha256, recipe_id, *_: taken.append(recipe_id) or True)
    item = listed("known")
    write_result(
        Workspace(tmp_path).results, failed_file(item, item.name_sha256, ItemError("gone", "file_gone", "-")).result
    )
    task = Task(settings(tmp_path), None)
    task._pool.recipe_ids.update({"first": "done", "gone": "r1", "third": "r2"})
    report = task.run([item])
    assert (taken, report.already_done, report.transient) == (["r2"], 1, 0)
