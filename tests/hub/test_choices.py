"""Rules of selection and download in the cases where two of them apply."""

from __future__ import annotations

from types import SimpleNamespace

import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError

from auditor.errors import ItemError, UserError
from auditor.hub import announcing, crawler
from auditor.hub.select import select_files


def chosen(*paths: str) -> dict[str, tuple[str, ...]]:
    return {choice.path: choice.companions for choice in select_files(paths).chosen}


def test_words_beside_several_adapters_belong_to_none_of_them() -> None:
    assert chosen("a.safetensors", "learned_embeds.safetensors") == {"a.safetensors": ("learned_embeds.safetensors",)}
    both = chosen("a.safetensors", "b.safetensors", "learned_embeds.safetensors")
    assert both == {"a.safetensors": (), "b.safetensors": (), "learned_embeds.safetensors": ()}


def test_a_component_folder_counts_only_in_a_whole_model() -> None:
    assert chosen("unet/style.safetensors") == {"unet/style.safetensors": ()}
    assert select_files(["model_index.json", "unet/style.safetensors"]).components == ("unet/style.safetensors",)


def test_half_precision_is_a_copy_only_beside_the_full_file() -> None:
    assert list(chosen("style.fp16.safetensors")) == ["style.fp16.safetensors"]
    beside = select_files(["style.fp16.safetensors", "style.safetensors"])
    assert [choice.path for choice in beside.chosen] == ["style.safetensors"]
    assert [(v.path, v.of) for v in beside.variants] == [("style.fp16.safetensors", "style.safetensors")]


def test_the_highest_checkpoint_stands_for_all_even_against_a_standard_name() -> None:
    earlier = "checkpoint-100/pytorch_lora_weights.safetensors"
    later = "checkpoint-200/other.safetensors"
    assert list(chosen(earlier, later)) == [later]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_may_not_list_is_the_users_to_fix(status: int) -> None:
    client = SimpleNamespace(anonymous=False, endpoint="http://hub")
    with pytest.raises(UserError, match=str(status)):
        crawler._raise_if_ours(_refusal(status), client)  # type: ignore[arg-type]


def test_one_403_for_a_stranger_is_not_the_users_to_fix() -> None:
    client = SimpleNamespace(anonymous=True, endpoint="http://hub")
    crawler._raise_if_ours(_refusal(403), client)  # type: ignore[arg-type]


def _refusal(status: int) -> HfHubHTTPError:
    response = httpx2.Response(status, request=httpx2.Request("GET", "http://hub/api/models"))
    return HfHubHTTPError("refused", response=response)


def test_a_file_of_another_commit_is_not_the_listed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, other = "a" * 40, "b" * 40
    client = SimpleNamespace(anonymous=True, endpoint="http://hub")
    headers = {"ETag": f'"{"c" * 64}"', "X-Repo-Commit": wanted}
    monkeypatch.setattr(announcing, "_head", lambda *_: SimpleNamespace(headers=headers))
    assert announcing.announced(client, "o/n", "x.safetensors", wanted).etag == "c" * 64  # type: ignore[arg-type]
    headers["X-Repo-Commit"] = other
    with pytest.raises(ItemError, match="instead of the listed one"):
        announcing.announced(client, "o/n", "x.safetensors", wanted)  # type: ignore[arg-type]
