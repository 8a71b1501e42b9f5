"""Which file stands for a repo: a table of the layouts met on the Hub."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.hub.repo_units import units
from auditor.hub.select import PICKLE_SUFFIXES, SAFE_SUFFIXES, select_files
from auditor.records.listing import ListedFile, ListedRepo, SettledItem, Unit

STANDARD = "pytorch_lora_weights.safetensors"


def test_a_repo_of_very_many_files_is_sorted_like_a_small_one() -> None:
    """Anything that looks at every pair of them would run into the time limit of the tests."""
    count = 20_000
    folders = [f"f{number % 200}" for number in range(count)]
    adapters = [f"{folder}/{number}.safetensors" for number, folder in enumerate(folders)]
    embeddings = [path.replace(".safetensors", "_emb.safetensors") for path in adapters]
    checkpoints = [f"{folder}/checkpoint-5/{number}.safetensors" for number, folder in enumerate(folders)]
    shards = [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(count)]
    selection = select_files([*adapters, *embeddings, *checkpoints, *shards])
    assert {choice.path: choice.companions for choice in selection.chosen} == {
        path: (embedding,) for path, embedding in zip(adapters, embeddings, strict=True)
    }
    assert [variant.path for variant in selection.variants] == sorted(checkpoints)
    assert all(variant.of.split("/")[0] == variant.path.split("/")[0] for variant in selection.variants)
    assert len(selection.components) == count


@pytest.mark.parametrize(
    ("paths", "chosen", "variants", "refused"),
    [
        ([STANDARD, "README.md"], [STANDARD], [], []),
        (["my_style.safetensors"], ["my_style.safetensors"], [], []),
        (
            ["s.safetensors", *(f"s_{n:09d}.safetensors" for n in (500, 1000, 1500))],
            ["s.safetensors"],
            ["s_000000500.safetensors", "s_000001000.safetensors", "s_000001500.safetensors"],
            [],
        ),
        (["s-000002.safetensors", "s-000010.safetensors"], ["s-000010.safetensors"],
         ["s-000002.safetensors"], []),
        (["s-epoch-9.safetensors", "s-epoch-10.safetensors"], ["s-epoch-10.safetensors"],
         ["s-epoch-9.safetensors"], []),
        (["s-e2-step10.safetensors", "s-e1-step90.safetensors"], ["s-e2-step10.safetensors"],
         ["s-e1-step90.safetensors"], []),
        (
            [f"checkpoint-500/{STANDARD}", "checkpoint-500/optimizer.bin",
             "checkpoint-500/random_states_0.pkl", "checkpoint-500/scaler.pt",
             "checkpoint-500/scheduler.bin", STANDARD],
            [STANDARD], [f"checkpoint-500/{STANDARD}"], [],
        ),
        ([f"checkpoint-500/{STANDARD}", f"checkpoint-2000/{STANDARD}"], [f"checkpoint-2000/{STANDARD}"],
         [f"checkpoint-500/{STANDARD}"], []),
        (["retro-1980.safetensors", "retro-1990.safetensors", "style-v1.safetensors", "style-v2.safetensors"],
         ["retro-1980.safetensors", "retro-1990.safetensors", "style-v1.safetensors", "style-v2.safetensors"],
         [], []),
        (["a.safetensors", "4x_upscaler.pth", "b/c.safetensors"], ["a.safetensors", "b/c.safetensors"], [],
         ["4x_upscaler.pth"]),
        (["pytorch_lora_weights.bin", STANDARD], [STANDARD], [], []),
        (["pytorch_lora_weights.bin"], [], [], ["pytorch_lora_weights.bin"]),
        (["x.safetensors", "x.fp16.safetensors"], ["x.safetensors"], ["x.fp16.safetensors"], []),
        ([STANDARD, "me.safetensors", "me_emb.safetensors"], [STANDARD], ["me.safetensors"], []),
        (["learned_embeds.safetensors"], ["learned_embeds.safetensors"], [], []),
        (["learned_embeds_2.safetensors"], ["learned_embeds_2.safetensors"], [], []),
        (["learned_embeds.safetensors", "learned_embeds_2.safetensors"], ["learned_embeds.safetensors"], [], []),
        (["a/learned_embeds-steps-500.safetensors", "a/learned_embeds_2-steps-500.safetensors"],
         ["a/learned_embeds-steps-500.safetensors"], [], []),
        (["model_index.json", "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin",
          "text_encoder/model.safetensors"], [], [], []),
        (["README.md", "images/0.png"], [], [], []),
    ],
)  # fmt: skip
def test_layouts(paths: list[str], chosen: list[str], variants: list[str], refused: list[str]) -> None:
    found = select_files(paths)
    assert [item.path for item in found.chosen] == sorted(chosen)
    assert [item.path for item in found.variants] == sorted(variants)
    assert list(found.refused) == sorted(refused)
    assert {item.of for item in found.variants} <= set(chosen)


def test_companions() -> None:
    peft = select_files(
        [
            "unet/adapter_model.safetensors",
            "unet/adapter_config.json",
            "text_encoder/adapter_model.safetensors",
            "text_encoder/adapter_config.json",
        ]
    )
    assert [item.path for item in peft.chosen] == ["unet/adapter_model.safetensors"]
    assert set(peft.chosen[0].companions) == {
        "unet/adapter_config.json",
        "text_encoder/adapter_model.safetensors",
        "text_encoder/adapter_config.json",
    }
    pivotal = select_files([STANDARD, "me.safetensors", "me_emb.safetensors"])
    assert pivotal.chosen[0].companions == ("me_emb.safetensors",)
    alone = select_files(["adapter_model.safetensors", "adapter_config.json"])
    assert alone.chosen[0].companions == ("adapter_config.json",)


def test_names_that_cannot_be_asked_for() -> None:
    found = select_files(["../x.safetensors", "a//b.safetensors", "a\x00.safetensors", "C:\\x.safetensors", "ok.sft"])
    assert [item.path for item in found.chosen] == ["ok.sft"]
    assert len(found.unsafe_names) == 4


STEMS = st.sampled_from(
    ["s", "s-000002", "s_000000100", "s-epoch-3", "pytorch_lora_weights", "adapter_model", "me", "me_emb",
     "s.fp16", "optimizer", "learned_embeds", "diffusion_pytorch_model", "model-00001-of-00002", "-", "_emb",
     "e10", "../x"]
)  # fmt: skip
FOLDERS = st.sampled_from(["", "checkpoint-10/", "checkpoint-20/", "unet/", "text_encoder/", "a/b/"])
SUFFIXES = st.sampled_from([".safetensors", ".sft", ".bin", ".pt", ".json", ".png", ""])
PATHS = st.lists(st.builds(lambda f, s, x: f + s + x, FOLDERS, STEMS, SUFFIXES) | st.text(max_size=12), max_size=14)


@settings(max_examples=60, deadline=None)
@given(PATHS, st.randoms(use_true_random=False))
def test_every_weight_file_has_one_role_whatever_the_order(paths: list[str], shuffle: random.Random) -> None:
    found = select_files(paths)
    roles = [item.path for item in found.chosen] + [item.path for item in found.variants]
    roles += [*found.refused, *found.unsafe_names, *found.components]
    companions = [path for item in found.chosen for path in item.companions]
    assert len(roles) == len(set(roles))
    assert not set(roles) & {path for path in companions if path.endswith((".safetensors", ".sft"))}
    assert {item.of for item in found.variants} <= {item.path for item in found.chosen}
    assert not any(item.path.endswith(tuple(PICKLE_SUFFIXES)) for item in found.chosen)
    safe = {path for path in paths if path.lower().endswith(tuple(SAFE_SUFFIXES))}
    assert all(path in safe for path in (item.path for item in found.chosen))
    mixed = list(paths)
    shuffle.shuffle(mixed)
    assert select_files(mixed) == found


def repo(*paths: str, **fields: object) -> ListedRepo:
    files = tuple(ListedFile(path) for path in paths)
    return ListedRepo("a/b", "0" * 40, files=files, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("listed", "outcome", "reason"),
    [
        (repo("README.md"), "skipped", "no_weights"),
        (repo(), "skipped", "no_weights"),
        (repo(STANDARD, gated="auto"), "skipped", "gated"),
        (repo(STANDARD, disabled=True), "gone", "repo_disabled"),
        (repo(STANDARD, pipeline_tag="text-generation"), "skipped", "not_text_to_image"),
        (
            repo("model_index.json", "unet/diffusion_pytorch_model.safetensors"),
            "skipped",
            "full_model",
        ),
        (repo("model_index.json", "vae/model.safetensors"), "skipped", "unsupported_format"),
        (repo("diffusion_pytorch_model.safetensors", tags=("controlnet",)), "skipped", "not_text_to_image"),
        (repo(STANDARD, gone=True), "gone", "repo_gone"),
        (
            repo(STANDARD, base_relation="merge", base_claims=("a/x", "a/y"), base_models=("a/x", "a/y")),
            "skipped",
            "no_single_base",
        ),
        (repo("a.ckpt"), "quarantined", "refused_format"),
    ],
)
def test_repos_settled_without_opening_them(listed: ListedRepo, outcome: str, reason: str) -> None:
    (item,) = units(listed)
    assert isinstance(item, SettledItem)
    assert (item.outcome, item.reason) == (outcome, reason)


def test_units_carry_pin_and_reason() -> None:
    ladder = units(repo("s.safetensors", "s-000002.safetensors"))
    assert ladder[0] == Unit("a/b", "0" * 40, "s.safetensors", "final of a training ladder")
    assert isinstance(ladder[1], SettledItem)
    assert (ladder[1].reason, ladder[1].variant_of) == ("variant_of_audited", "s.safetensors")
    assert isinstance(units(repo(STANDARD, gated="auto"), try_gated=True)[0], Unit)
    tagged = repo(STANDARD, pipeline_tag="text-generation", tags=("stable-diffusion",))
    assert isinstance(units(tagged)[0], Unit)


UNET = "unet/diffusion_pytorch_model"


@pytest.mark.parametrize(
    ("paths", "denoiser"),
    [
        (
            ["model_index.json", f"{UNET}.safetensors", f"{UNET}.fp16.safetensors", "vae/model.safetensors"],
            f"{UNET}.safetensors",
        ),
        (["model_index.json", f"{UNET}.fp16.safetensors"], f"{UNET}.fp16.safetensors"),
        (["config.json", "diffusion_pytorch_model.safetensors"], "diffusion_pytorch_model.safetensors"),
        (
            ["model_index.json", "transformer/diffusion_pytorch_model.safetensors"],
            "transformer/diffusion_pytorch_model.safetensors",
        ),
        ([f"{UNET}.safetensors", "diffusion_pytorch_model.safetensors"], f"{UNET}.safetensors"),
        ([f"{UNET}.fp16.safetensors", "diffusion_pytorch_model.safetensors"], "diffusion_pytorch_model.safetensors"),
        (["model_index.json", f"{UNET}.bin"], None),
        ([f"{UNET}-00001-of-00002.safetensors", f"{UNET}-00002-of-00002.safetensors"], None),
    ],
)
def test_the_denoiser_stands_for_a_whole_model(paths: list[str], denoiser: str | None) -> None:
    (item, *_) = units(repo(*paths), full_models=True)
    if denoiser is None:
        assert isinstance(item, SettledItem)
        assert item.reason == ("refused_format" if paths[-1].endswith(".bin") else "unsupported_format")
    else:
        assert isinstance(item, Unit) and item.path == denoiser


def test_a_lora_named_like_another_part_is_still_a_lora() -> None:
    assert isinstance(units(repo(STANDARD, tags=("lora", "controlnet")))[0], Unit)


def test_only_a_merge_of_several_models_has_no_single_base() -> None:
    for relation, claims in (("merge", ("a/x",)), ("adapter", ("a/x", "a/y"))):
        made = repo(STANDARD, base_relation=relation, base_claims=claims, base_models=claims)
        assert isinstance(units(made)[0], Unit)


def test_a_checkpoint_belongs_to_the_final_file_with_which_it_shares_the_longest_path() -> None:
    found = select_files(
        ["style.safetensors", "a/style.safetensors", "a/b/checkpoint-5/x.safetensors", "c/checkpoint-5/x.safetensors"]
    )
    assert {variant.path: variant.of for variant in found.variants} == {
        "a/b/checkpoint-5/x.safetensors": "a/style.safetensors",
        "c/checkpoint-5/x.safetensors": "style.safetensors",
    }


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["config.json", "model.safetensors", "tokenizer.json"], ("model.safetensors", ())),
        (["model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors"],
         ("model-00001-of-00002.safetensors", ("model-00002-of-00002.safetensors",))),
        (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors"],
         ("model.safetensors", ())),
        (["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"], None),
        (["model-00001-of-00001.safetensors", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
         None),
        (["pytorch_model.bin"], None),
        (["text_encoder/model.safetensors"], None),
    ],
)  # fmt: skip
def test_weights_of_a_whole_model_are_a_unit_where_its_base_is_personalised_so(
    paths: list[str], expected: tuple[str, tuple[str, ...]] | None
) -> None:
    made_from = repo(*paths, base_models=("some/merge", "Owner/Tokens"))
    (item, *_) = units(made_from, copied=("owner/tokens",))
    assert isinstance(item, Unit) is (expected is not None)
    if isinstance(item, Unit):
        assert (item.path, item.companions) == expected
    assert isinstance(units(made_from, copied=("owner/other",))[0], SettledItem)
    assert isinstance(units(repo(*paths), copied=("owner/tokens",))[0], SettledItem)
