"""The work folder without the check of all settings: where it is found it is the one that the check would find."""

from pathlib import Path

import pytest

from auditor.common.package_paths import package_path
from auditor.common.settings_files import CATALOG_FILE, plain_work_folder
from auditor.errors import UserError
from auditor.settings import PROFILES, resolve

PLAIN = [
    "",
    'profile = "hub"\n',
    '[work]\ndir = "runs"\n',
    'profile = "pocket-2"\n[work]\ndir = "/big/disk"\n',
    '[work]\ndir = "~/runs"\n',
    '[work]\ndir = "package:pocket"\n',
    '[work]\ndir = ""\n',
    "[work]\n",
]
OTHER = [
    '[catalog]\npath = "elsewhere.duckdb"\n',
    "[work]\nmin_free_bytes = 1\n",
    '[work]\ndri = "runs"\n',
    "[work]\ndir = 3\n",
    'work = "runs"\n',
    'profile = "nobody"\n',
    "profile = 3\n",
    'include = ["more.toml"]\n',
    "[recipe]\nprobe_count = -1\n",
]


def test_every_profile_that_ships_is_right_and_leaves_the_place_alone():
    assert {path.stem for path in package_path("profiles").glob("*.toml")} == set(PROFILES)
    for profile in PROFILES:
        settings = resolve(profile=profile, environment={}).settings
        assert settings.catalog_path == plain_work_folder(profile=profile, environment={}) / CATALOG_FILE


@pytest.mark.parametrize("text", PLAIN)
@pytest.mark.parametrize("profile", [None, "hub"])
@pytest.mark.parametrize("work_dir", [None, Path("here"), Path("/there"), Path("~/home"), Path("package:pocket")])
@pytest.mark.parametrize("how", ["flag", "variable", "found"])
def test_it_is_the_folder_of_the_checked_settings(tmp_path, monkeypatch, text, profile, work_dir, how):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ("auditor.toml" if how == "found" else "sub/own.toml")
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    environment = {"AUDITOR_CONFIG": "sub/own.toml"} if how == "variable" else {}
    chosen = {"config": Path("sub/own.toml") if how == "flag" else None, "profile": profile, "work_dir": work_dir}
    settings = resolve(**chosen, environment=environment).settings
    folder = plain_work_folder(**chosen, environment=environment)
    assert (folder, folder / CATALOG_FILE) == (settings.work.dir, settings.catalog_path)


@pytest.mark.parametrize("text", OTHER)
def test_where_more_is_set_or_something_is_wrong_all_is_checked(tmp_path, text):
    file = tmp_path / "auditor.toml"
    file.write_text(text)
    assert plain_work_folder(config=file, work_dir=Path("here"), environment={}) is None


def test_a_variable_wants_the_check_and_an_unknown_profile_too():
    assert plain_work_folder(environment={"AUDITOR_CATALOG__PATH": "x"}) is None
    assert plain_work_folder(environment={"auditor_nonsense": ""}) is None
    assert plain_work_folder(profile="nobody", environment={}) is None


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(UserError, match="--config names"):
        plain_work_folder(config=tmp_path / "none.toml", environment={})
    broken = tmp_path / "broken.toml"
    broken.write_text("[")
    with pytest.raises(UserError, match="not valid TOML"):
        plain_work_folder(config=broken, environment={})
