"""The unmodified huggingface_hub client against the pocket Hub."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, constants, hf_hub_download, set_client_factory, snapshot_download
from huggingface_hub.errors import (
    BadRequestError,
    DisabledRepoError,
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils._http import default_client_factory

from auditor.errors import UserError
from auditor.pocket.hub_server import HubServer, Identity, RateLimit, serve

WEB = httpx2.Client(verify=False, trust_env=False)  # loopback only: no certificates to load
WEIGHTS = bytes(range(256)) * 40
CARD = (
    """---
license: mit
base_model: pocket/base
instance_prompt: a photo of sks
tags: [lora, text-to-image]
widget:
- text: a red house
  output: {url: images/0.png}
---
# Sepia
"""
    + "text " * 400
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zoo")
    repos: dict[str, dict[str, bytes | str]] = {
        "ann/sepia": {
            "pytorch_lora_weights.safetensors": WEIGHTS,
            "README.md": CARD,
            "checkpoint-10/pytorch_lora_weights.safetensors": b"early",
            ".hub.json": json.dumps(
                {
                    "lastModified": "2024-05-01T10:00:00.000Z",
                    "createdAt": "2024-01-01T10:00:00.000Z",
                    "likes": 7,
                    "security": {"evil.pkl": "unsafe"},
                }
            ),
            "evil.pkl": b"not really",
        },
        "ann/neon": {
            "neon.safetensors": b"neon",
            ".hub.json": json.dumps({"tags": ["lora"], "downloads": 9}),
        },
        "bob/gated": {
            "w.safetensors": b"gated",
            ".hub.json": json.dumps({"gated": "auto", "tags": ["lora"]}),
        },
        "bob/private": {"w.safetensors": b"private", ".hub.json": json.dumps({"private": True})},
        "bob/disabled": {"w.safetensors": b"disabled", ".hub.json": json.dumps({"disabled": True})},
        "bob/empty": {"README.md": "nothing"},
    }
    for repo_id, files in repos.items():
        for path, content in files.items():
            target = root / repo_id / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
    (root / "secret.txt").write_text("outside of every repo")
    (root / "ann/neon/link.safetensors").symlink_to(root / "secret.txt")
    return root


@pytest.fixture(scope="module")
def hub(root: Path) -> Iterator[HubServer]:
    tokens = {"hf_ann": Identity("ann"), "hf_bob": Identity("bob", frozenset({"bob/gated", "bob/private"}))}
    with serve(root, page_size=2, tokens=tokens, mounts={"pocket/base": root / "ann/sepia"}) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def plain_session() -> None:
    """The library's own session, whatever another test has configured."""
    set_client_factory(default_client_factory)


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=False)


def test_list_models_follows_pages_to_the_end(api: HfApi) -> None:
    found = [model.id for model in api.list_models(sort="created_at")]
    assert sorted(found) == ["ann/neon", "ann/sepia", "bob/disabled", "bob/empty", "bob/gated", "pocket/base"]
    assert len(set(found)) == len(found)


def test_list_models_selects_and_sorts(api: HfApi) -> None:
    assert {model.id for model in api.list_models(filter=["lora", "text-to-image"])} == {
        "ann/sepia",
        "pocket/base",
    }
    assert {model.id for model in api.list_models(filter="base_model:adapter:pocket/base", author="ann")} == {
        "ann/sepia"
    }
    assert [model.id for model in api.list_models(search="NEO")] == ["ann/neon"]
    assert [model.id for model in api.list_models(gated=True)] == ["bob/gated"]
    assert next(iter(api.list_models(sort="downloads"))).id == "ann/neon"
    assert [model.id for model in api.list_models(author="ann", sort="likes", limit=1)] == ["ann/sepia"]


def test_expand_returns_what_was_asked_for(api: HfApi) -> None:
    model = next(iter(api.list_models(search="ann/sepia", expand=["sha", "siblings", "cardData", "lastModified"])))
    assert model.sha is not None and len(model.sha) == 40
    assert [item.rfilename for item in model.siblings or []] == [
        "README.md",
        "checkpoint-10/pytorch_lora_weights.safetensors",
        "evil.pkl",
        "pytorch_lora_weights.safetensors",
    ]
    assert model.card_data is not None and model.card_data["instance_prompt"] == "a photo of sks"
    assert model.last_modified is not None and model.last_modified.month == 5
    assert model.likes is None


@pytest.mark.parametrize("field", ["baseModels", "usedStorage", "childrenModelCount", "nonsense"])
def test_expand_refuses_what_a_list_cannot_give(api: HfApi, field: str) -> None:
    with pytest.raises(BadRequestError, match=field):
        list(api.list_models(expand=[field]))  # type: ignore[list-item]


def test_model_info(api: HfApi) -> None:
    info = api.model_info("ann/sepia", files_metadata=True, securityStatus=True)
    weights = next(item for item in info.siblings or [] if item.rfilename == "pytorch_lora_weights.safetensors")
    assert weights.lfs is not None
    assert weights.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest() and weights.size == len(WEIGHTS)
    assert info.security_repo_status == {
        "scansDone": True,
        "filesWithIssues": [{"path": "evil.pkl", "level": "unsafe"}],
    }
    assert api.model_info("ann/sepia", revision=info.sha).sha == info.sha
    assert api.model_info("ann/sepia", expand=["baseModels"]).base_models == {
        "relation": "adapter",
        "models": [{"_id": api_id("pocket/base"), "id": "pocket/base"}],
    }


def api_id(repo_id: str) -> str:
    return hashlib.sha1(repo_id.encode()).hexdigest()[:24]


def test_tree_and_paths_info(api: HfApi) -> None:
    flat = {item.path for item in api.list_repo_tree("ann/sepia")}
    assert flat == {"README.md", "checkpoint-10", "evil.pkl", "pytorch_lora_weights.safetensors"}
    deep = {item.path for item in api.list_repo_tree("ann/sepia", recursive=True, expand=True)}
    assert deep == flat | {"checkpoint-10/pytorch_lora_weights.safetensors"}
    below = [item.path for item in api.list_repo_tree("ann/sepia", "checkpoint-10")]
    assert below == ["checkpoint-10/pytorch_lora_weights.safetensors"]
    found = api.get_paths_info("ann/sepia", ["evil.pkl", "checkpoint-10", "absent"], expand=True)
    assert [item.path for item in found] == ["evil.pkl", "checkpoint-10"]
    assert found[0].security.status == "unsafe"  # type: ignore[union-attr]


def test_tree_pages(tmp_path: Path) -> None:
    folder = tmp_path / "ann/many"
    folder.mkdir(parents=True)
    for number in range(120):
        (folder / f"{number:03d}.txt").write_text(str(number))
    with serve(tmp_path) as hub:
        found = list(HfApi(endpoint=hub.endpoint).list_repo_tree("ann/many", expand=True))
        assert len(found) == 120
        assert len(hub.seen("/tree/")) == 3


def test_downloads_go_over_the_cdn_and_are_byte_exact(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    sha = api.model_info("ann/sepia").sha
    before = len(hub.requests)
    got = hf_hub_download(
        "ann/sepia",
        "pytorch_lora_weights.safetensors",
        revision=sha,
        endpoint=hub.endpoint,
        cache_dir=tmp_path,
        token="hf_ann",
    )
    assert Path(got).read_bytes() == WEIGHTS
    assert Path(got).resolve().name == hashlib.sha256(WEIGHTS).hexdigest()
    seen = list(hub.requests)[before:]
    assert [(item.side, item.method, item.authorized) for item in seen] == [
        ("hub", "HEAD", True),
        ("cdn", "GET", False),
    ]
    readme = hf_hub_download("ann/sepia", "README.md", endpoint=hub.endpoint, cache_dir=tmp_path, token=False)
    assert Path(readme).read_text() == CARD


def test_snapshot_download(hub: HubServer, tmp_path: Path) -> None:
    folder = snapshot_download("pocket/base", endpoint=hub.endpoint, cache_dir=tmp_path, token=False)
    assert {path.name for path in Path(folder).rglob("*") if path.is_file()} == {
        "README.md",
        "evil.pkl",
        "pytorch_lora_weights.safetensors",
    }


@pytest.mark.parametrize(
    ("asked", "status", "first", "end"),
    [("bytes=10-19", 206, 10, 20), ("bytes=-5", 206, 10235, 10240), ("bytes=10000-", 206, 10000, 10240),
     ("bytes=0-999999", 206, 0, 10240), (None, 200, 0, 10240), ("lines=1-2", 200, 0, 10240)],
)  # fmt: skip
def test_range(hub: HubServer, asked: str | None, status: int, first: int, end: int) -> None:
    url = f"{hub.endpoint}/ann/sepia/resolve/main/pytorch_lora_weights.safetensors"
    answer = WEB.get(url, headers={"Range": asked} if asked else {}, follow_redirects=True)
    assert answer.status_code == status
    assert answer.content == WEIGHTS[first:end]
    if status == 206:
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(WEIGHTS)}"


def test_range_beyond_the_end(hub: HubServer) -> None:
    url = f"{hub.endpoint}/ann/sepia/resolve/main/pytorch_lora_weights.safetensors"
    assert WEB.get(url, headers={"Range": "bytes=99999-"}, follow_redirects=True).status_code == 416


def test_refusals(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    def get(repo_id: str, path: str = "w.safetensors", token: str | bool = False, revision: str = "main") -> str:
        return str(
            hf_hub_download(repo_id, path, revision=revision, token=token, endpoint=hub.endpoint, cache_dir=tmp_path)
        )

    with pytest.raises(RepositoryNotFoundError):
        api.model_info("nobody/nothing")
    with pytest.raises(RepositoryNotFoundError):
        get("bob/private", token="hf_ann")
    with pytest.raises(RevisionNotFoundError):
        api.model_info("ann/sepia", revision="0" * 40)
    with pytest.raises(RemoteEntryNotFoundError):
        get("ann/sepia", "absent.safetensors")
    with pytest.raises(GatedRepoError):
        get("bob/gated")
    with pytest.raises(GatedRepoError):
        get("bob/gated", token="hf_ann")
    with pytest.raises(DisabledRepoError):
        api.model_info("bob/disabled")
    assert api.model_info("bob/gated").gated == "auto"
    assert Path(get("bob/gated", token="hf_bob")).read_bytes() == b"gated"
    assert Path(get("bob/private", token="hf_bob")).read_bytes() == b"private"


def test_private_repos_are_listed_for_their_readers_only(hub: HubServer) -> None:
    listed = {
        token: {m.id for m in HfApi(endpoint=hub.endpoint, token=token).list_models(author="bob")}
        for token in (False, "hf_bob")
    }
    assert listed["hf_bob"] - listed[False] == {"bob/private"}
    assert HfApi(endpoint=hub.endpoint, token="hf_bob").whoami()["name"] == "bob"


@pytest.mark.parametrize(
    "path",
    ["../../secret.txt", "..%2F..%2Fsecret.txt", "%2e%2e/%2e%2e/secret.txt", "/etc/passwd",
     "link.safetensors", ".hub.json", "..%5c..%5csecret.txt", "a%00b", "x%0d%0aSet-Cookie:%20a"],
)  # fmt: skip
def test_no_path_leads_out_of_a_repo(hub: HubServer, path: str) -> None:
    host, port = hub.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:  # no client in between tidies the path
        raw.sendall(f"GET /ann/neon/resolve/main/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"outside of every repo" not in answer
    assert b"\nSet-Cookie" not in answer


def test_the_cdn_serves_only_what_the_hub_linked_to(hub: HubServer) -> None:
    assert WEB.get(f"{hub.cdn}/blobs/{hashlib.sha256(b'neon').hexdigest()}").status_code == 403


def test_pages_survive_a_repo_that_moves_to_the_front(root: Path) -> None:
    with serve(root, page_size=2) as hub:
        first = WEB.get(f"{hub.endpoint}/api/models?sort=lastModified")
        seen = [entry["id"] for entry in first.json()]
        last = list(HfApi(endpoint=hub.endpoint).list_models(sort="last_modified"))[-1].id
        hub.index.commit(last, {"new.safetensors": b"new"}, modified="2999-01-01T00:00:00.000Z")
        url: str | None = first.links["next"]["url"]
        while url is not None:
            page = WEB.get(url)
            seen += [entry["id"] for entry in page.json()]
            url = page.links.get("next", {}).get("url")
        assert len(seen) == len(set(seen)) == 4  # all but the one that moved, none twice
        assert last not in seen


def test_an_old_commit_stays_readable(root: Path, tmp_path: Path) -> None:
    with serve(root) as hub:
        old = hub.index.repos["ann/neon"].sha
        new = hub.index.commit("ann/neon", {"neon.safetensors": b"changed"}, modified="2025-01-01T00:00:00.000Z")
        assert old != new
        for sha, content in ((old, b"neon"), (new, b"changed")):
            got = hf_hub_download(
                "ann/neon",
                "neon.safetensors",
                revision=sha,
                endpoint=hub.endpoint,
                cache_dir=tmp_path,
                token=False,
            )
            assert Path(got).read_bytes() == content


def test_rate_limit_is_told_and_enforced(root: Path) -> None:
    with serve(root, rate_limit=RateLimit(quota=2, window_s=60)) as hub:
        answers = [WEB.get(f"{hub.endpoint}/api/models") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[1].headers["RateLimit"].startswith('"api";r=0;t=')
        assert answers[0].headers["RateLimit-Policy"] == '"fixed window";"api";q=2;w=60'


def test_commit_sha_follows_content_not_place(root: Path, hub: HubServer) -> None:
    with serve(root) as again:
        assert again.index.repos["ann/sepia"].sha == hub.index.repos["ann/sepia"].sha
    assert hub.index.repos["pocket/base"].sha == hub.index.repos["ann/sepia"].sha


def test_unknown_routes_are_404_objects(hub: HubServer) -> None:
    answer = WEB.get(f"{hub.endpoint}/api/agent-harnesses")
    assert answer.status_code == 404
    assert isinstance(answer.json(), dict)


def test_a_slip_in_hub_json_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/.hub.json").write_text('{"gatd": true}')
    with pytest.raises(UserError, match="gated"), serve(tmp_path):
        pass
