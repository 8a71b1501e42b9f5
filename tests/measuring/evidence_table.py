"""The table of docs/adapters.md: files for every known family, audited or skipped, and by which evidence.

`WRITE_DOCS=1 pytest tests/measuring/test_evidence_table.py` writes it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from auditor.adapters.adapter_file import AdapterFile, describe
from auditor.adapters.header import Header, TensorInfo
from auditor.adapters.kinds import AUDITED, Kind, skip_reason
from auditor.adapters.recognition import published_layout
from auditor.errors import ItemError
from auditor.families.shapes import architectures
from auditor.families.table import FAMILIES
from auditor.measuring.base_choice import choose_base
from auditor.records.result import WorkItem
from auditor.settings import Settings, resolve

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adapters.md"
BEGIN, END = "<!-- evidence: begin -->", "<!-- evidence: end -->"
FORMATS: tuple[tuple[str, str, tuple[Kind, ...]], ...] = (
    ("LoRA, LoCon, with a Tucker core or a bias", "`lora_A`, `lora_down`, `lora_mid`, `lora_B.bias`",
     ("lora", "locon_tucker", "lora_with_bias")),
    ("LoRA-XS, VeRA with its factors, trained or stored scales",
     "`lora_latent_mapping`, `vera_lambda_b` with `vera_A`, `.scalar`, `.scale_weight`", ("lora",)),
    ("numbered files of 2022", "`unet:0:up`", ("lora",)),
    ("DoRA", "`dora_scale`, `lora_magnitude_vector`", ("dora",)),
    ("LoHa, LoKr", "`hada_w1_a`, `lokr_w1`", ("loha", "lokr")),
    ("whole differences, norms", "`.diff`, `.diff_b`, `.w_norm`", ("full_difference",)),
    ("new words", "`emb_params`, `clip_l` with `clip_g`, `learned_embeds`", ("textual_inversion",)),
    ("whole denoiser, single-file model", "parameters without factors", ("denoiser", "checkpoint")),
    ("whole autoregressive model, or its image decoder; GAN", "`vqmodel.`, `quantize.embedding.weight`; "
     "`augmentation.project.weight`", ("autoregressive_model", "gan_model")),
    ("VeRA without its factors", "`vera_lambda_b` alone: they are drawn from a seed", ("vera",)),
    ("OFT, BOFT", "`oft_blocks`, `oft_R`", ("oft",)),
    ("(IA)³, GLoRA, T-LoRA", "`on_input`, `a1.weight`, `lambda_layer`", ("ia3", "glora", "tlora")),
    ("SVDQuant and other quantised weights", "`smooth_factor`, `qweight`, `quant_state`, integers",
     ("svdquant", "quantised_model")),
    ("AdaLoRA, FourierFT, VB-LoRA, HRA, RandLoRA, Bone and MiSS, C3A, SHiRA, RoAd, WaveFT, GraLoRA, DeLoRA",
     "names of their tensors: `lora_E`, `fourierft_spectrum`, `vblora_logits`, `hra_u`, …",
     ("adalora", "fourierft", "vblora", "hra", "randlora", "bone", "c3a", "shira", "road", "waveft", "gralora",
      "delora")),
    ("rows of a vocabulary, sparse differences, hypernetworks", "`trainable_tokens_delta`, `bias_indices`, "
     "`hypernetwork.`", ("trained_vocabulary", "sparse_difference", "hypernetwork")),
    ("Custom Diffusion", "`custom_diffusion`", ("custom_diffusion",)),
    ("control LoRA, LLLite, ControlNet, T2I-Adapter", "a widened first layer, `lllite_`, `query_norm.scale`, "
     "`controlnet_cond_embedding`", ("control_lora", "control_lllite", "controlnet", "t2i_adapter")),
    ("IP-Adapter, motion module, video layers", "`ip_adapter`, `motion_modules`, `temp_attentions`",
     ("ip_adapter", "motion_module", "video_lora")),
    ("VAE, upscaler, text encoder, language model", "names of their blocks",
     ("vae", "upscaler", "text_encoder_weights", "language_model", "language_model_lora")),
)  # fmt: skip


@cache
def _hub() -> Settings:
    return resolve(config=None, profile="hub", overrides=()).settings


def attention_file(family: str) -> AdapterFile:
    """The header of a file that changes every attention layer of an architecture, in diffusers' names.

    Where its shapes are not known: of FLUX.1's, whose widths several such models have.
    """
    known = FAMILIES[family]
    layout = published_layout(known.shapes or (family if family in architectures() else "flux1"))
    tensors: dict[str, TensorInfo] = {}
    for module, (out, inputs, *_) in layout.components[layout.denoiser].items():
        stem = next((stem for stem in known.depths if module.startswith(f"{stem}.")), None)
        if stem is not None and int(module[len(stem) + 1 :].partition(".")[0]) >= known.depths[stem]:
            continue
        if ".to_" in module or "attention" in module or "qkv" in module:
            for suffix, shape in (("lora_A.weight", (4, inputs)), ("lora_B.weight", (out, 4))):
                name = f"{layout.denoiser}.{module}.{suffix}"
                tensors[name] = TensorInfo(name, "F16", shape, 0, 0)
    return describe(Header(tensors, {}, 0, 0), PAGE)


def decided(family: str, card: str | None) -> tuple[str, str]:
    """What becomes of such a file in the hub profile, and the sentence for people."""
    item = WorkItem(repo_id="a/b", commit_sha="0" * 40, path="x", file_sha256=None, base_name=None, base_claim=card)
    adapter = attention_file(family)
    try:
        choice = choose_base(item, adapter, _hub())
    except ItemError as error:
        return f"{error.outcome} `{error.reason}`", error.message
    exact = "the base itself" if choice.distance == 0 else "base assumed"
    return f"audited on `{choice.base_name}`, {exact}", "; ".join(adapter.family.reasons)


def section() -> str:
    """Both tables."""
    lines = ["| family | its card | what becomes of it | evidence |", "|---|---|---|---|"]
    for name, family in FAMILIES.items():
        told_by_shapes = (family.shapes or name) in architectures()
        for card in (None, family.repo) if told_by_shapes else (family.repo,):
            outcome, why = decided(name, card)
            lines.append(f"| {family.title} | {f'`{card}`' if card else 'silent'} | {outcome} | {why} |")
    lines += ["", "| form | told by | what becomes of it |", "|---|---|---|"]
    for title, names, kinds in FORMATS:
        outcomes = {"audited" if kind in AUDITED else f"skipped `{skip_reason(kind)}`" for kind in kinds}
        lines.append(f"| {title} | {names} | {' or '.join(sorted(outcomes))} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the tables of now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{section()}\n{END}{after}"
