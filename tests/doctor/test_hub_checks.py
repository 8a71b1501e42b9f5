"""`auditor doctor --hub` against Hubs of several kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditor.cli.main import app
from auditor.doctor.check import Check, something_missing
from auditor.doctor.hub_checks import examine_hub
from auditor.pocket.hub_server import HubIndex, Identity, RateLimit, serve, synthetic_repo
from auditor.settings import Settings, resolve


def settings_over(endpoint: str | None, work: Path) -> Settings:
    settings = resolve(profile="pocket", work_dir=work, environment={}).settings
    change = {"serve_folder": None, "odd_repos": False, "endpoint": endpoint}
    return settings.model_copy(update={"hub": settings.hub.model_copy(update=change)})


def named(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in examine_hub(settings).checks}


def index() -> HubIndex:
    return HubIndex(synthetic_repo(f"a/r{n}", {"x.safetensors": 10}, tags=("lora", "text-to-image")) for n in range(3))


def test_limits_in_force_come_from_the_servers_headers(tmp_path: Path) -> None:
    with serve(index(), rate_limit=RateLimit(quota=321, window_s=300)) as hub:
        checks = named(settings_over(hub.endpoint, tmp_path))
    assert "of 321 API calls left" in checks["hub limit api"].found
    assert "as documented" in checks["hub limit resolvers"].found
    assert checks["hub identity"].status == "warning" and "anonymous" in checks["hub identity"].found
    assert checks["hub xet"].found.startswith("off") and checks["hub telemetry"].found == "off"
    assert "requests" in checks["hub budget"].found
    assert not list(tmp_path.iterdir()), "it stores nothing"


@pytest.mark.parametrize(("token", "status"), [("hf_ok", "ok"), ("hf_wrong", "missing")])
def test_whose_token_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, status: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with serve(index(), tokens={"hf_ok": Identity("reader")}) as hub:
        found = examine_hub(settings_over(hub.endpoint, tmp_path)).checks
    checks = {check.name: check for check in found}
    if status == "ok":
        assert checks["hub identity"].found == "reader, read token"
    else:
        assert something_missing(list(found)) and token not in str(found)


def test_a_hub_that_is_away_or_busy_is_told_soon(tmp_path: Path) -> None:
    checks = named(settings_over("http://127.0.0.1:9", tmp_path))
    assert checks["hub endpoint"].status == "missing" and "hub budget" not in checks
    with serve(index()) as hub:
        hub.faults.too_many_requests("api/models", times=99, reset=3000)
        checks = named(settings_over(hub.endpoint, tmp_path))
    assert checks["hub endpoint"].status == "missing" and "patience" in checks["hub endpoint"].found
    with serve(index()) as hub:
        hub.faults.answer("api/models", body=b'{"no": "list"}', times=99)
        assert "no listing" in named(settings_over(hub.endpoint, tmp_path))["hub endpoint"].found


def test_bases_whose_terms_are_not_accepted_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repos = [
        synthetic_repo("big/open", {"model_index.json": 10}),
        synthetic_repo("big/gated", {"model_index.json": 10}, gated="auto"),
    ]
    base = settings_over(None, tmp_path).recipe.bases["pocket"].model_copy(update={"path": None})
    bases = {name: base.model_copy(update={"repo": f"big/{name}"}) for name in ("open", "gated", "gone")}

    def statuses(token: str) -> dict[str, str]:
        monkeypatch.setenv("HF_TOKEN", token)
        with serve(
            HubIndex(repos), tokens={"no": Identity("a"), "yes": Identity("b", may_read=frozenset({"big/gated"}))}
        ) as hub:
            settings = settings_over(hub.endpoint, tmp_path)
            settings = settings.model_copy(update={"recipe": settings.recipe.model_copy(update={"bases": bases})})
            checks = named(settings)
        if token == "no":
            assert "/big/gated" in str(checks["terms gated"].advice) and "HF_TOKEN" in str(checks["terms gated"].advice)
        return {name: checks[f"terms {name}"].status for name in bases}

    assert statuses("no") == {"open": "ok", "gated": "missing", "gone": "missing"}
    assert statuses("yes") == {"open": "ok", "gated": "ok", "gone": "missing"}


def test_the_command_on_the_pocket_profile(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--work-dir", str(tmp_path), "doctor", "--hub", "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["ready"] and any("serving" in check["found"] for check in answer["checks"])
