"""Which base a file goes on and which trigger it is tried with, from headers on the published bases."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.adapters.adapter_file import AdapterFile, describe
from auditor.adapters.header import Header, TensorInfo
from auditor.errors import ItemError
from auditor.measuring.base_choice import choose_base, file_words, with_trigger
from auditor.records.adapter import MetadataClaims, TriggerClaim
from auditor.records.result import WorkItem
from auditor.settings import Settings, resolve

SDXL_HASH = "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b"
SDXL = ("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 2048, 640)
SD15 = ("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 768, 640)
SELF = ("down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", 640, 640)
SD_SELF = ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", 320, 320)
EITHER_CONV = ("down_blocks.0.attentions.0.proj_in", 320, 320)
FLUX_OR_VIDEO = ("single_transformer_blocks.0.proj_mlp", 3072, 12288)
FLUX_OR_QWEN = ("transformer_blocks.0.attn.to_q", 3072, 3072)
FLUX2 = ("single_transformer_blocks.0.attn.to_qkv_mlp_proj", 6144, 6144)


@pytest.fixture(scope="module")
def hub() -> Settings:
    return resolve(config=None, profile="hub", overrides=()).settings


def _file(module: tuple[str, int, int], metadata: dict[str, str] | None = None) -> AdapterFile:
    name, inputs, outputs = module
    prefix = "transformer" if name.startswith(("transformer_blocks", "single_transformer_blocks")) else "unet"
    shapes = {f"{prefix}.{name}.lora_A.weight": (4, inputs), f"{prefix}.{name}.lora_B.weight": (outputs, 4)}
    tensors = {n: TensorInfo(n, "F16", shape, 0, 0) for n, shape in shapes.items()}
    return describe(Header(tensors, metadata or {}, 0, 0), Path("nowhere"))


def _item(*bases: str, trigger: str | None = None, source: str | None = None) -> WorkItem:
    return WorkItem(
        repo_id="a/b",
        commit_sha="0" * 40,
        path="x",
        file_sha256=None,
        trigger=trigger,
        trigger_source=source,
        base_name=bases[0] if bases else None,
        other_bases=bases[1:],
    )


@pytest.mark.parametrize(
    ("module", "metadata", "card", "expected"),
    [
        (SDXL, {}, ("sdxl",), ("sdxl", False, False)),
        (SDXL, {}, (), ("sdxl", True, False)),
        (SD15, {}, ("sdxl",), ("sd15", True, True)),
        (SD15, {}, ("sdxl", "sd15"), ("sd15", False, False)),
        (SD15, {"ss_sd_model_name": "v1-5-pruned-emaonly.ckpt"}, ("sdxl",), ("sd15", False, True)),
        (SDXL, {"ss_new_sd_model_hash": SDXL_HASH}, (), ("sdxl", False, False)),
        (SDXL, {"ss_new_sd_model_hash": SDXL_HASH[:10]}, (), ("sdxl", False, False)),
        (SDXL, {"ss_sd_model_hash": SDXL_HASH[:6]}, (), ("sdxl", True, False)),
        (SDXL, {"ss_sd_model_hash": "'; DROP TABLE"}, (), ("sdxl", True, False)),
        (SD15, {"ss_new_sd_model_hash": SDXL_HASH}, (), ("sd15", True, False)),
        (SDXL, {"ss_sd_model_name": "C:\\models\\sd_xl_base_1.0.safetensors"}, (), ("sdxl", False, False)),
        (SDXL, {"ss_sd_model_name": "ponyDiffusionV6XL.safetensors"}, (), ("sdxl", True, False)),
        (SELF, {}, ("sdxl",), ("sdxl", False, False)),
        (SELF, {"ss_sd_model_name": "v1-5-pruned.ckpt"}, (), ("sd15", False, False)),
        (SD_SELF, {}, ("sd21",), ("sd21", False, False)),
        (SD_SELF, {}, (), ("sd15", True, False)),
        (SD_SELF, {}, ("sdxl",), ("sd15", True, True)),
        (EITHER_CONV, {}, (), ("sd15", True, False)),
        (FLUX_OR_VIDEO, {}, (), ("flux1_dev", True, False)),
    ],
)
def test_the_order_of_trust(
    hub: Settings,
    module: tuple[str, int, int],
    metadata: dict[str, str],
    card: tuple[str, ...],
    expected: tuple[str, bool, bool],
) -> None:
    choice = choose_base(_item(*card), _file(module, metadata), hub)
    assert (choice.base_name, choice.assumed, choice.mismatch) == expected
    assert choice.family == hub.recipe.bases[choice.base_name].family
    assert choice.distance == (None if choice.assumed else 0)


@pytest.mark.parametrize(
    ("module", "card", "said"),
    [
        (SELF, (), "Diffusion 1.5 or Stable Diffusion 2.1 or Stable Diffusion XL"),
        (FLUX_OR_QWEN, (), "FLUX.1 .*or Qwen-Image, and no claim"),
        (FLUX2, ("flux1_dev",), "takes 0% of its parts|no part of it fits"),
    ],
)
def test_families_are_not_guessed(
    hub: Settings, module: tuple[str, int, int], card: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ItemError, match=said) as error:
        choose_base(_item(*card), _file(module), hub)
    assert (error.value.outcome, error.value.reason) == ("skipped", "unsupported_base")


@pytest.mark.parametrize(("card", "said"), [(None, ", and the card names no base."), ("some/model", "some/model")])
def test_where_nothing_fits_what_the_card_says_is_told_or_that_it_says_nothing(
    hub: Settings, card: str | None, said: str
) -> None:
    strange = _file(("down_blocks.0.attentions.0.proj_in", 7, 7))
    with pytest.raises(ItemError, match="No active base fits") as error:
        choose_base(_claimed(card), strange, hub)
    assert said in error.value.message and (card is None or "names no base" not in error.value.message)


MODELSPEC, TAG = TriggerClaim("sks style", "modelspec"), TriggerClaim("1girl", "tag_frequency")


@pytest.mark.parametrize(
    ("card", "claims", "expected"),
    [
        (("in the style of TOK", "instance_prompt"), (MODELSPEC,), ("in the style of TOK", "instance_prompt")),
        (("a cat, TOK", "widget"), (MODELSPEC, TAG), ("sks style", "modelspec")),
        (("a cat, TOK", "widget"), (TAG,), ("a cat, TOK", "widget")),
        ((None, None), (TAG,), ("1girl", "tag_frequency")),
        ((None, None), (), (None, None)),
        (("by hand", "command line"), (MODELSPEC,), ("by hand", "command line")),
    ],
)
def test_triggers_in_order_of_trust(
    card: tuple[str | None, str | None], claims: tuple[TriggerClaim, ...], expected: tuple[str | None, str | None]
) -> None:
    item = with_trigger(_item(trigger=card[0], source=card[1]), MetadataClaims(triggers=claims))
    assert (item.trigger, item.trigger_source) == expected


QWEN = {f"transformer_blocks.{n}.attn.to_q": (3072, 3072) for n in range(60)}
FLUX = {f"single_transformer_blocks.{n}.attn.to_q": (3072, 3072) for n in range(38)}
CROSS = {f"down_blocks.1.attentions.{n}.transformer_blocks.0.attn2.to_k": (2048, 640) for n in range(2)}
MEDIUM = {f"transformer_blocks.{n}.attn.to_q": (1536, 1536) for n in range(24)}


def _made(modules: dict[str, tuple[int, int]], metadata: dict[str, str] | None = None) -> AdapterFile:
    tensors: dict[str, TensorInfo] = {}
    for name, (inputs, outputs) in modules.items():
        for suffix, shape in (("lora_A.weight", (4, inputs)), ("lora_B.weight", (outputs, 4))):
            key = f"{'unet' if 'down' in name else 'transformer'}.{name}.{suffix}"
            tensors[key] = TensorInfo(key, "F16", shape, 0, 0)
    return describe(Header(tensors, metadata or {}, 0, 0), Path("nowhere"))


def _claimed(card: str | None) -> WorkItem:
    return WorkItem(repo_id="a/b", commit_sha="0" * 40, path="x", file_sha256=None, base_name=None, base_claim=card)


@pytest.mark.parametrize(
    ("modules", "card", "said"),
    [
        (QWEN, "Qwen/Qwen-Image", "made for Qwen-Image.*the card names Qwen/Qwen-Image"),
        (QWEN, "black-forest-labs/FLUX.1-dev", "made for Qwen-Image"),
        (FLUX, "lodestones/Chroma1-HD", "made for Chroma"),
        (FLUX, "Freepik/flux.1-lite-8B", "made for FLUX.1 lite"),
        (CROSS, "Kwai-Kolors/Kolors-diffusers", "made for Kolors"),
        (CROSS, "playgroundai/playground-v2.5-1024px-aesthetic", "made for Playground v2.5"),
        (MEDIUM, "stabilityai/stable-diffusion-3-medium", "made for Stable Diffusion 3 medium"),
        (MEDIUM, None, "Stable Diffusion 3.5 medium or Stable Diffusion 3 medium, and no claim chooses"),
    ],
)
def test_another_models_file_is_named_and_skipped(
    hub: Settings, modules: dict[str, tuple[int, int]], card: str | None, said: str
) -> None:
    with pytest.raises(ItemError, match=said) as error:
        choose_base(_claimed(card), _made(modules), hub)
    assert (error.value.outcome, error.value.reason) == ("skipped", "unsupported_base")


@pytest.mark.parametrize(
    ("modules", "card", "said"),
    [
        (FLUX, "black-forest-labs/FLUX.1-Kontext-dev", "an image editing model"),
        (FLUX, "black-forest-labs/FLUX.1-Fill-dev", "an inpainting model"),
        (FLUX, "black-forest-labs/FLUX.1-Depth-dev", "an image control model"),
        (CROSS, "someone/my-sdxl-inpainting", "an inpainting model"),
        (FLUX, "stepfun-ai/Step1X-Edit", "an image editing model"),
        (FLUX, "hpcai-tech/Open-Sora-v2", "a video model"),
        (CROSS, "hotshotco/Hotshot-XL", "a video model"),
        ({f"blocks.{n}.attn1.to_q": (5120, 5120) for n in range(40)}, None, "Wan 14B, a video model"),
        ({f"blocks.{n}.attn1.to_q": (3072, 3072) for n in range(30)}, "Wan-AI/Wan2.2-TI2V-5B", "a video model"),
    ],
)
def test_models_for_another_task_are_named_as_such(
    hub: Settings, modules: dict[str, tuple[int, int]], card: str | None, said: str
) -> None:
    with pytest.raises(ItemError, match=said) as error:
        choose_base(_claimed(card), _made(modules), hub)
    assert (error.value.outcome, error.value.reason) == ("skipped", "not_text_to_image")


@pytest.mark.parametrize(
    ("modules", "card", "base", "distance"),
    [
        (CROSS, "stabilityai/stable-diffusion-xl-base-1.0", "sdxl", 0),
        (CROSS, "AstraliteHeart/pony-diffusion-v6", "sdxl", 1),
        (CROSS, "OnomaAIResearch/Illustrious-XL-v2.0", "sdxl", 4),
        (CROSS, "somebody/a-merge", "sdxl", None),
        (FLUX, "black-forest-labs/FLUX.1-schnell", "flux1_dev", None),
        (MEDIUM, "stabilityai/stable-diffusion-3.5-medium", "sd35_medium", 0),
    ],
)
def test_the_nearest_ancestor_is_taken_and_its_distance_kept(
    hub: Settings, modules: dict[str, tuple[int, int]], card: str, base: str, distance: int | None
) -> None:
    choice = choose_base(_claimed(card), _made(modules), hub)
    assert (choice.base_name, choice.distance, choice.assumed) == (base, distance, distance != 0)
    assert choice.contradictions == ()


def test_a_card_that_names_a_text_to_image_model_too_is_enough(hub: Settings) -> None:
    item = _claimed("black-forest-labs/FLUX.1-Kontext-dev")
    both = item.model_copy(update={"other_claims": ("black-forest-labs/FLUX.1-dev",)})
    assert choose_base(both, _made(FLUX), hub).base_name == "flux1_dev"


def test_of_several_bases_of_its_family_that_are_off_the_first_is_advised() -> None:
    off = [f"recipe.bases.{name}.enabled=false" for name in ("sdxl", "pony", "illustrious")]
    settings = resolve(config=None, profile="hub", overrides=off).settings
    known = [name for name, base in settings.recipe.bases.items() if base.family == "sdxl"]
    assert len(known) > 1
    with pytest.raises(ItemError, match=rf"made for Stable Diffusion XL .* recipe\.bases\.{known[0]}\.enabled = true"):
        choose_base(_item(), _file(SDXL), settings)


def test_contradictions_are_kept(hub: Settings) -> None:
    made = _made(CROSS, {"modelspec.architecture": "flux-1-dev/lora"})
    choice = choose_base(_claimed("Qwen/Qwen-Image"), made, hub)
    assert (choice.base_name, choice.mismatch) == ("sdxl", True)
    assert choice.contradictions == (
        "the file names flux-1-dev/lora (FLUX.1)",
        "the card names Qwen/Qwen-Image (Qwen-Image)",
    )


def test_the_files_own_record_comes_before_the_card(hub: Settings) -> None:
    made = _made(FLUX, {"modelspec.architecture": "chroma/lora"})
    with pytest.raises(ItemError, match="made for Chroma"):
        choose_base(_claimed("black-forest-labs/FLUX.1-dev"), made, hub)


def test_the_files_own_record_of_another_task_comes_before_the_card(hub: Settings) -> None:
    item = _claimed("black-forest-labs/FLUX.1-dev")
    for record in ("flux-1-kontext-dev/lora", "flux-1-fill-dev/lora"):
        with pytest.raises(ItemError, match="The file names flux-1-") as error:
            choose_base(item, _made(FLUX, {"modelspec.architecture": record}), hub)
        assert error.value.reason == "not_text_to_image"


def test_blocks_that_speak_against_the_card_are_a_contradiction(hub: Settings) -> None:
    blocks = {f"transformer_blocks.{n}.attn.to_q": (3072, 3072) for n in range(8)}
    lite = _made(blocks | FLUX)
    with pytest.raises(ItemError, match=r"could be for FIBO or Flex or FLUX.1 lite, and no claim"):
        choose_base(_claimed(None), lite, hub)
    choice = choose_base(_claimed("black-forest-labs/FLUX.1-dev"), lite, hub)
    assert choice.base_name == "flux1_dev"
    assert choice.contradictions == ("the blocks that it changes are exactly those of FIBO or Flex or FLUX.1 lite",)
    whole = _made({f"transformer_blocks.{n}.attn.to_q": (3072, 3072) for n in range(19)} | FLUX)
    choice = choose_base(_claimed("ostris/Flex.1-alpha"), whole, hub)
    assert (choice.base_name, choice.mismatch) == ("flux1_dev", True)
    assert choice.contradictions == ("the card names ostris/Flex.1-alpha (Flex)",)


def test_file_words_name_what_is_skipped(hub: Settings) -> None:
    words = file_words(_claimed("Qwen/Qwen-Image"), _made(QWEN))
    assert words == {"format": "lora", "family": "qwen_image", "claimed_base": "Qwen/Qwen-Image"}
    assert file_words(_claimed(None), _made(QWEN, {"ss_base_model_version": "qwen_image"}))["claimed_base"] == (
        "qwen_image"
    )


def test_weights_in_place_of_a_bases_own_go_on_a_base_of_their_kind_alone() -> None:
    tokens = ["kind=autoregressive", "repo=owner/tokens", "family=tokens", "size=512"]
    one = [f"recipe.bases.tokens.{setting}" for setting in tokens]
    other = [setting.replace("tokens", "more") for setting in one]
    names = ("model.vqmodel.quantize.embedding.weight", "model.layers.0.self_attn.q_proj.weight")
    file = describe(Header({n: TensorInfo(n, "F16", (8, 8), 0, 0) for n in names}, {}, 0, 0), Path("nowhere"))
    assert file.kind == "autoregressive_model"

    def settings(*overrides: str) -> Settings:
        return resolve(config=None, profile="hub", overrides=overrides).settings

    only = choose_base(_item(), file, settings(*one))
    assert (only.base_name, only.assumed, only.distance, only.family) == ("tokens", True, None, "tokens")
    named = _item().model_copy(update={"base_claim": "owner/more"})
    chosen = choose_base(named, file, settings(*one, *other))
    assert (chosen.base_name, chosen.assumed, chosen.distance) == ("more", False, 0)
    for overrides, said in (
        ((), "an autoregressive model"),
        ((*one, *other), "an autoregressive model"),
        ((*one, "recipe.bases.tokens.enabled=false"), "recipe.bases.tokens.enabled = true"),
    ):
        with pytest.raises(ItemError, match=said) as error:
            choose_base(_item("sdxl"), file, settings(*overrides))
        assert error.value.reason == "unsupported_base"
    off = [f"recipe.bases.{name}.enabled=false" for name in ("tokens", "more")]
    with pytest.raises(ItemError, match=r"recipe\.bases\.more\.enabled = true"):  # the one that the card names
        choose_base(named, file, settings(*one, *other, *off))
    with pytest.raises(ItemError, match=r"recipe\.bases\.more\.enabled = true"):  # nor is another tried
        choose_base(named, file, settings(*one, *other, off[1]))
    unknown = _item().model_copy(update={"base_claim": "owner/else"})
    assert choose_base(unknown, file, settings(*one, *other, off[1])).base_name == "tokens"
    # and an adapter never goes on such a base, whatever its card says
    assert choose_base(_item("tokens"), _file(SDXL), settings(*one)).base_name == "sdxl"


PONY, ILLUSTRIOUS = "AstraliteHeart/pony-diffusion-v6", "OnomaAIResearch/Illustrious-xl-early-release-v0"


@pytest.mark.parametrize(
    ("metadata", "card", "expected"),
    [
        ({"ss_sd_model_name": PONY}, ("sdxl",), ("pony", 0)),  # the file's checkpoint before the card's base
        ({"ss_new_sd_model_hash": SDXL_HASH, "ss_sd_model_name": PONY}, (), ("sdxl", 0)),  # a hash before a name
        ({"ss_new_sd_model_hash": SDXL_HASH, "ss_sd_model_name": PONY}, ("pony",), ("pony", 0)),  # the card between two
        ({"modelspec.architecture": "OnomaAIResearch/Illustrious-XL-v2.0"}, ("sdxl",), ("sdxl", 0)),
        ({"modelspec.architecture": "OnomaAIResearch/Illustrious-XL-v2.0"}, (), ("illustrious", 2)),
        ({}, ("sdxl", "pony"), ("sdxl", 0)),
        ({}, ("pony", "sdxl"), ("pony", 0)),
        ({}, (), ("sdxl", None)),
    ],
)
def test_within_a_family_the_files_checkpoint_comes_first_then_the_cards_base_then_the_nearest_ancestor(
    metadata: dict[str, str], card: tuple[str, ...], expected: tuple[str, int | None]
) -> None:
    several = ("recipe.bases.pony.enabled=true", "recipe.bases.illustrious.enabled=true")
    settings = resolve(config=None, profile="hub", overrides=several).settings
    choice = choose_base(_item(*card), _file(SDXL, metadata), settings)
    assert (choice.base_name, choice.distance) == expected
    assert choice.assumed == (expected[1] != 0)


def test_of_a_cards_base_and_a_nearer_ancestor_the_nearer_one_is_taken() -> None:
    several = ("recipe.bases.pony.enabled=true", "recipe.bases.illustrious.enabled=true")
    settings = resolve(config=None, profile="hub", overrides=several).settings
    item = _item("sdxl").model_copy(
        update={"base_claim": "OnomaAIResearch/Illustrious-XL-v2.0", "base_distances": (4,)}
    )
    choice = choose_base(item, _file(SDXL), settings)
    assert (choice.base_name, choice.distance, choice.assumed) == ("illustrious", 2, True)
