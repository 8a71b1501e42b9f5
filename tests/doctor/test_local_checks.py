"""`auditor doctor`, with a world made of tiny files."""

import json
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import numpy as np
import pytest
from safetensors.numpy import save_file

from auditor.common.package_paths import package_path
from auditor.doctor import local_checks
from auditor.doctor.check import Check, something_missing
from auditor.doctor.local_checks import examine
from auditor.settings import resolve
from tests.stub_vlm import GOOD, Refused, StubServer, completion


@pytest.fixture
def complete(tmp_path):
    """Settings whose base, encoder, VLM and repositories exist."""
    for name in ("base/unet", "clip", "vlm", "zoo/owner/name"):
        (tmp_path / name).mkdir(parents=True)
        save_file({"weight": np.zeros(2, np.float32)}, tmp_path / name / "model.safetensors")
    index = {"unet": ["diffusers", "UNet2DConditionModel"], "scheduler": ["diffusers", "DDIMScheduler"]}
    (tmp_path / "base/model_index.json").write_text(json.dumps(index))
    (tmp_path / "vlm/config.json").touch()
    (tmp_path / "clip/open_clip_config.json").touch()
    pairs = {
        "recipe.bases.pocket.path": tmp_path / "base",
        "recipe.encoder.path": tmp_path / "clip",
        "recipe.proposer.path": tmp_path / "vlm",
        "hub.serve_folder": tmp_path / "zoo",
    }
    return resolve(
        work_dir=tmp_path / "work", overrides=[f"{key}={path}" for key, path in pairs.items()], environment={}
    ).settings


def _by_name(checks):
    return {check.name: check for check in checks}


def _with_proposer(settings, **changes):
    proposer = settings.recipe.proposer.model_copy(update=changes)
    return settings.model_copy(update={"recipe": settings.recipe.model_copy(update={"proposer": proposer})})


def _with_serving(settings, **changes):
    return settings.model_copy(update={"serving": settings.serving.model_copy(update=changes)})


def test_a_complete_world_has_nothing_missing_in_it(complete):
    checks = _by_name(examine(complete))
    for name in ("hub", "base pocket", "encoder", "proposer", "gpu", "work folder", "disk", "package torch"):
        assert checks[name].status == "ok", checks[name]


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        ("base/model_index.json", "base pocket"),
        ("clip/model.safetensors", "encoder"),
        ("clip/open_clip_config.json", "encoder"),
        ("vlm/config.json", "proposer"),
    ],
)
def test_each_missing_file_is_named_with_advice(complete, tmp_path, broken, name):
    (tmp_path / broken).unlink()
    check = _by_name(examine(complete))[name]
    assert check.status == "missing"
    assert check.advice
    assert something_missing([check])


def test_an_encoder_of_transformers_is_looked_for_in_its_own_layout(complete, tmp_path):
    def checked(**changes):
        encoder = complete.recipe.encoder.model_copy(update={"kind": "transformers", **changes})
        recipe = complete.recipe.model_copy(update={"encoder": encoder})
        return _by_name(examine(complete.model_copy(update={"recipe": recipe})))["encoder"]

    assert "config.json" in checked().found
    (tmp_path / "clip/config.json").touch()
    assert checked().status == "ok"
    weights = tmp_path / "clip/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:40])
    assert "cut short" in checked().found
    nowhere = checked(path=None, name="nobody/nothing", pretrained="v2")
    assert nowhere.status == "missing" and "hf download nobody/nothing --revision v2" in nowhere.advice


def test_a_folder_that_cannot_be_written_is_missing(complete, tmp_path):
    (tmp_path / "file").touch()
    settings = complete.model_copy(update={"work": complete.work.model_copy(update={"dir": tmp_path / "file"})})
    assert _by_name(examine(settings))["work folder"].status == "missing"


def test_too_little_disk_is_missing(complete):
    work = complete.work.model_copy(update={"min_free_bytes": 10**18})
    assert _by_name(examine(complete.model_copy(update={"work": work})))["disk"].status == "missing"


class _Models(BaseHTTPRequestHandler):
    def do_GET(self):
        self._send(json.dumps({"data": [{"id": "served-model"}]}).encode())

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(completion(GOOD))

    def _send(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def server_url():
    server = HTTPServer(("127.0.0.1", 0), _Models)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_the_vlm_server_must_answer_and_serve_the_model(complete, server_url):
    def check(address, model, revision="of today"):
        settings = _with_proposer(complete, kind="openai", path=None, model=model, revision=revision)
        return _by_name(examine(_with_serving(settings, address=address)))["proposer"]

    assert check(server_url, "served-model").status == "ok"
    unknown = check(server_url, "served-model", "main")
    assert unknown.status == "missing" and "recipe.proposer.revision" in (unknown.advice or "")
    other = check(server_url, "another-model")
    assert other.status == "missing"
    assert "served-model" in other.found
    down = check("http://127.0.0.1:9/v1", "served-model")
    assert down.status == "missing"
    assert "vllm serve" in (down.advice or "")


@pytest.fixture
def stub():
    server = StubServer()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("trouble", "status", "said"),
    [
        (None, "ok", "looked at 6 pictures"),
        (lambda request: "max_tokens" in request and Refused(400, "Use 'max_completion_tokens' instead of max_tokens."),
         "ok", "asked with: max_completion_tokens"),
        (lambda request: Refused(429, "You exceeded your current quota.", "insufficient_quota"), "missing", "quota"),
        (lambda request: Refused(401, "Incorrect API key provided."), "missing", "401"),
        (lambda request: Refused(400, "This model has no vision."), "missing", "no vision"),
    ],
)  # fmt: skip
def test_a_server_is_asked_as_an_audit_asks_it(complete, stub, trouble, status, said):
    """Even one that lists no models: the question alone decides."""
    if trouble is not None:
        stub.behave = lambda request, number: trouble(request) or GOOD
    settings = _with_serving(_with_proposer(complete, kind="openai"), address=stub.url)
    check = _by_name(examine(settings))["proposer"]
    assert check.status == status and said in check.found, check
    assert stub.requests


def test_a_server_to_start_needs_its_program_and_its_model(complete, tmp_path):
    def check(program, **changes):
        settings = _with_serving(_with_proposer(complete, kind="openai", **changes), command=(program,))
        return _by_name(examine(settings))["proposer"]

    assert check("env").status == "ok"
    assert "serving.command" in (check("no-such-program").advice or "")
    assert check("env", path=None, model="no/such-model").status == "missing"


def test_no_proposer_is_only_a_warning(complete):
    check = _by_name(examine(_with_proposer(complete, kind="none")))["proposer"]
    assert check.status == "warning"
    assert not something_missing([check])


def test_the_hub_profile_says_how_to_get_each_part(monkeypatch, tmp_path):
    settings = resolve(
        profile="hub", work_dir=tmp_path, environment={}, overrides=["hub.endpoint=http://127.0.0.1:9"]
    ).settings
    checks = _by_name(examine(settings))
    for key, base in settings.recipe.active_bases.items():
        assert checks[f"base {key}"].status == "missing"
        assert f"hf download {base.repo}" in (checks[f"base {key}"].advice or "")
    assert checks["hub"].status == "missing"
    assert "hf download" in (checks["encoder"].advice or "")


def test_only_the_token_that_crawls_use_counts_and_its_absence_is_no_fault(monkeypatch, tmp_path):
    import huggingface_hub

    settings = resolve(
        profile="hub", work_dir=tmp_path, environment={}, overrides=["hub.endpoint=http://127.0.0.1:9"]
    ).settings

    def check():
        return next(check for check in local_checks._adapters_source(settings) if check.name == "hub token")

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "a login stored on this machine")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert check().status == "warning"
    assert "HF_TOKEN" in check().found
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    assert check().status == "ok"
    assert "hf_read" not in check().found


def test_lexicon_and_probe_set_may_be_files_of_ones_own(complete, tmp_path, monkeypatch):
    for name, package in (("words.json", "lexicons/pocket-1.json"), ("prompts.json", "probes/pocket-1.json")):
        (tmp_path / name).write_bytes(package_path(package).read_bytes())
    monkeypatch.chdir(tmp_path)

    def checks(**changes):
        recipe = complete.recipe.model_copy(update=changes)
        return _by_name(examine(complete.model_copy(update={"recipe": recipe})))

    found = checks(lexicon=str(tmp_path / "words.json"), probes="prompts.json")
    assert (found["lexicon"].status, found["probe set"].status) == ("ok", "ok")
    found = checks(lexicon=str(tmp_path / "none.json"), probes="prompts.json", probe_count=100_000)
    assert (found["lexicon"].status, found["probe set"].status) == ("missing", "missing")
    assert "recipe.lexicon" in (found["lexicon"].advice or "")
    assert "100000" in found["probe set"].found
    (tmp_path / "words.json").write_text("{}")
    assert "not well formed" in checks(lexicon="words.json")["lexicon"].found


def test_exit_code_and_json_follow_the_checks(auditor, monkeypatch):
    good = Check("thing", "ok", "here")
    monkeypatch.setattr(local_checks, "examine", lambda _settings: [good])
    done = auditor("doctor", "--json")
    assert done.code == 0
    assert json.loads(done.stdout)["ready"] is True

    bad = replace(good, status="missing", found="not here", advice="fetch it")
    monkeypatch.setattr(local_checks, "examine", lambda _settings: [good, bad])
    done = auditor("doctor")
    assert done.code == 3
    assert "not here" in done.stdout
    assert "thing: fetch it" in done.stderr
