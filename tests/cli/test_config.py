"""`auditor config`."""

import json


def test_table_is_data_and_talk_is_apart(auditor):
    done = auditor("config", "recipe.probe")
    assert done.code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["setting", "value", "from"]
    assert any(line.split() == ["recipe.probe_count", "24", "profile", "pocket"] for line in lines)
    assert "profile pocket" in done.stderr


def test_json_names_the_place_of_every_value(auditor, tmp_path, monkeypatch):
    (tmp_path / "auditor.toml").write_text("[recipe]\nprobe_count = 12\ndose_probes = 3\n")
    monkeypatch.setenv("AUDITOR_RECIPE__DOSE_PROBES", "4")
    done = auditor("--set", "recipe.seed=7", "config", "--changed", "--json")
    shown = json.loads(done.stdout)
    assert shown == {
        "recipe.dose_probes": {"value": 4, "from": "env AUDITOR_RECIPE__DOSE_PROBES"},
        "recipe.probe_count": {"value": 12, "from": "file auditor.toml"},
        "recipe.seed": {"value": 7, "from": "flag --set recipe.seed"},
    }


def test_a_misspelt_setting_ends_with_two_and_the_right_name(auditor):
    done = auditor("--set", "recipe.probe_cuont=3", "config")
    assert done.code == 2
    assert done.stdout == ""
    assert "did you mean recipe.probe_count?" in done.stderr


def test_quiet_leaves_only_data(auditor):
    assert auditor("--quiet", "config", "--json").stderr == ""


def test_secrets_are_not_shown(auditor, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwx")
    done = auditor("--profile", "hub", "config", "--json")
    assert "hf_abcdef" not in done.stdout + done.stderr
