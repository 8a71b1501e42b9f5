"""What the doctor says of a GPU's memory, of disks and of the first night, by stubs of what is asked."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from auditor.doctor import device_checks, local_checks, room_checks
from auditor.doctor.check import Check
from auditor.doctor.device_checks import Device, check_memory, weights_of
from auditor.doctor.night_checks import check_night
from auditor.doctor.room_checks import check_models_room, check_plan_room
from auditor.planning.manifest import Manifest, write_manifest
from auditor.results.workspace import Workspace
from auditor.settings import Settings, resolve
from tests.calibration.test_recipe_file import rate
from tests.work_items import make_item

Usage = namedtuple("Usage", "total used free")


def settings_of(folder: Path, profile: str, *overrides: str) -> Settings:
    return resolve(profile=profile, work_dir=folder, overrides=overrides, environment={}).settings


def planned(settings: Settings, sizes: list[int | None]) -> None:
    items = tuple(make_item(n).model_copy(update={"size_bytes": size}) for n, size in enumerate(sizes))
    write_manifest(Workspace(settings.work.dir).manifest, Manifest(items, ()))


def free(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    monkeypatch.setattr(room_checks.shutil, "disk_usage", lambda path: Usage(0, 0, int(size)))


def memory_of(settings: Settings, key: str, gigabytes: float) -> Check:
    (check,) = check_memory(key, settings.recipe.bases[key], settings, Device("a card", int(gigabytes * 1e9)))
    return check


@pytest.mark.parametrize(
    ("key", "gigabytes", "status"),
    [("sdxl", 80, "ok"), ("sdxl", 24, "warning"), ("sdxl", 6, "missing"), ("flux1_dev", 24, "missing"),
     ("flux1_dev", 32, "warning"), ("sd15", 16, "ok"), ("sd35_large", 80, "ok")],
)  # fmt: skip
def test_a_gpu_is_held_against_what_each_base_needs(tmp_path: Path, key: str, gigabytes: float, status: str) -> None:
    check = memory_of(settings_of(tmp_path, "hub"), key, gigabytes)
    assert check.status == status, check
    assert f"a card has {gigabytes:.1f} GB" in check.found and "at least" in check.found
    assert (check.advice is None) == (status == "ok")


def test_what_was_measured_here_goes_before_what_was_elsewhere(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "hub").model_copy(update={"measured": {"sdxl": rate(peak_bytes=20 * 10**9)}})
    assert memory_of(settings, "sdxl", 24).status == "ok"


def test_weights_are_counted_from_the_files_where_these_are_here(tmp_path: Path) -> None:
    base = settings_of(tmp_path, "pocket").recipe.bases["pocket"]
    folder = base.path
    assert folder is not None
    found, exact = weights_of(base)
    on_disk = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    assert exact and found is not None and 0.5 * on_disk < found <= 2.1 * on_disk
    assert weights_of(base.model_copy(update={"path": tmp_path}))[0] is None, "no such family, and nothing here"


def test_every_gpu_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Device("big", 80 * 10**9), Device("small", 10**6)]
    monkeypatch.setattr(local_checks, "devices", lambda: found)
    checks = {check.name: check for check in local_checks.examine(settings_of(tmp_path, "pocket"))}
    assert checks["gpu"].found == "big, 80 GB, small, 0 GB"
    assert checks["memory pocket"].status == "missing", "the smallest one decides"
    assert device_checks.devices() == []


def test_the_disk_is_held_against_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path, "pocket")
    assert list(check_plan_room(settings)) == []
    planned(settings, [3 * 10**9, 10**9, None])
    free(monkeypatch, 5.9e9)
    (check,) = check_plan_room(settings)
    assert check.status == "missing" and "3 files of the plan to fetch, 6.0 GB" in check.found
    free(monkeypatch, 6.1e9)
    assert [each.status for each in check_plan_room(settings)] == ["ok"]
    free(monkeypatch, 5.9e9)
    small = settings_of(tmp_path, "pocket", "hub.cache_bytes=4_000_000_000")
    assert [each.status for each in check_plan_room(small)] == ["ok"]


def test_the_hub_cache_is_held_against_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(check_models_room(settings_of(tmp_path, "pocket"))) == []
    free(monkeypatch, 50e9)
    (check,) = check_models_room(settings_of(tmp_path, "hub"))
    assert check.status == "missing" and "flux1_dev" in check.found and "HF_HOME" in str(check.advice)
    free(monkeypatch, 500e9)
    assert [each.status for each in check_models_room(settings_of(tmp_path, "hub"))] == ["ok"]


def test_the_first_night_is_reckoned_from_the_plan_or_per_thousand(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "work", "hub")
    (without,) = check_night(settings)
    assert without.found.startswith("1,000 adapters") and "flux1_dev" in without.found
    assert "assumed" in without.found and "calibrate" in str(without.advice)
    pocket = settings_of(tmp_path / "work", "pocket").model_copy(update={"measured": {"pocket": rate()}})
    planned(pocket, [1] * 40)
    (with_plan,) = check_night(pocket)
    assert with_plan.found.startswith("40 planned files") and "(calibrated)" in with_plan.found
    assert with_plan.advice is None
    shutil.rmtree(tmp_path / "work")
