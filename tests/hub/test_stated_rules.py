"""Which file stands for a repo where two rules of `hub.select` meet, and whose bytes count as the listed commit's."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.errors import ItemError, PrerequisiteMissing, UserError
from auditor.hub.client import HubClient, connect
from auditor.hub.crawler import crawl
from auditor.hub.download import fetch
from auditor.hub.queries import Query
from auditor.hub.select import Selection, select_files
from auditor.pocket.hub_server import HubServer, Identity, synthetic_repo
from tests.hub.conftest import QUICK
from tests.hub.test_misbehaving import refuse

STANDARD = "pytorch_lora_weights.safetensors"


def roles(selection: Selection) -> tuple[list[str], list[str]]:
    return [c.path for c in selection.chosen], [v.path for v in selection.variants]


def test_the_higher_checkpoint_goes_before_the_standard_name() -> None:
    chosen, variants = roles(select_files([f"checkpoint-100/{STANDARD}", "checkpoint-900/style.safetensors"]))
    assert chosen == ["checkpoint-900/style.safetensors"] and variants == [f"checkpoint-100/{STANDARD}"]


def test_of_one_checkpoint_the_standard_name_stands_for_all() -> None:
    chosen, _ = roles(select_files([f"checkpoint-900/{STANDARD}", "checkpoint-900/style.safetensors"]))
    assert chosen == [f"checkpoint-900/{STANDARD}"]


def test_a_final_file_goes_before_the_highest_checkpoint() -> None:
    chosen, _ = roles(select_files([f"checkpoint-900/{STANDARD}", "style.safetensors"]))
    assert chosen == ["style.safetensors"]


def test_the_file_without_a_step_goes_before_the_highest_step() -> None:
    chosen, _ = roles(select_files(["s-000010.safetensors", "s.safetensors", "s-000020.safetensors"]))
    assert chosen == ["s.safetensors"]


def test_embeddings_belong_to_the_standard_name_before_their_own_stem() -> None:
    found = select_files(["me.safetensors", "me_emb.safetensors", STANDARD])
    assert {c.path: c.companions for c in found.chosen} == {STANDARD: ("me_emb.safetensors",)}


def test_embeddings_belong_to_their_own_stem_before_a_neighbour() -> None:
    found = select_files(["me.safetensors", "me_emb.safetensors", "other.safetensors"])
    assert {c.path: c.companions for c in found.chosen} == {
        "me.safetensors": ("me_emb.safetensors",),
        "other.safetensors": (),
    }


def test_embeddings_belong_to_a_neighbour_only_when_it_is_the_only_one() -> None:
    alone = select_files(["style.safetensors", "me_emb.safetensors"])
    assert {c.path: c.companions for c in alone.chosen} == {"style.safetensors": ("me_emb.safetensors",)}
    several = select_files(["one.safetensors", "two.safetensors", "me_emb.safetensors"])
    assert {c.path: c.companions for c in several.chosen} == {
        "one.safetensors": (),
        "two.safetensors": (),
        "me_emb.safetensors": (),
    }


def test_a_component_folder_makes_components_of_a_whole_model_only() -> None:
    assert roles(select_files(["unet/style.safetensors"]))[0] == ["unet/style.safetensors"]
    whole = select_files(["model_index.json", "unet/style.safetensors", f"unet/{STANDARD}"])
    assert whole.components == ("unet/style.safetensors",)
    assert roles(whole)[0] == [f"unet/{STANDARD}"]


def test_a_half_precision_file_is_a_copy_only_beside_its_full_one() -> None:
    assert roles(select_files(["a.fp16.safetensors"])) == (["a.fp16.safetensors"], [])
    assert roles(select_files(["a.fp16.safetensors", "b.safetensors"]))[0] == ["a.fp16.safetensors", "b.safetensors"]
    assert roles(select_files(["a.fp16.safetensors", "a.safetensors"])) == (["a.safetensors"], ["a.fp16.safetensors"])


def test_a_pickle_is_refused_unless_its_safetensors_twin_lies_beside_it() -> None:
    found = select_files(["a.bin", "a.safetensors", "b.bin", "folder/b.safetensors"])
    assert found.refused == ("b.bin",)


def test_another_commit_than_the_listed_one_is_gone(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    repo = synthetic_repo("ann/sepia", {"x.safetensors": b"weights" * 100})
    hub.index.add([repo])
    refuse(hub, "^HEAD", 200, X_Repo_Commit="f" * 40, ETag='"' + "a" * 40 + '"')
    with pytest.raises(ItemError, match="f" * 12) as caught:
        fetch(client, "ann/sepia", "x.safetensors", commit_sha=repo.sha, cache_dir=tmp_path)
    assert (caught.value.outcome, caught.value.reason) == ("gone", "file_gone")


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_may_not_list_is_the_users_to_fix(ten_loras: HubServer, tmp_path: Path, status: int) -> None:
    ten_loras.api._tokens = {"hf_me": Identity("me")}
    refuse(ten_loras, "api/models", status, times=99)
    with pytest.raises(UserError, match="unset HF_TOKEN") as caught:
        crawl(connect(ten_loras.endpoint, token="hf_me", retry=QUICK), [Query(("lora",))], tmp_path)
    assert not isinstance(caught.value, PrerequisiteMissing)
