"""What one adapter costs on this GPU, stage by stage at real size with random weights, and the naive way beside it.

    python benchmarks/gpu_night.py --budget-seconds 540 --table gpu.md

builds SD 1.5, SDXL and FLUX.1 on the device (no download), puts on synthetic adapters of several conventions with the
project's own code, renders, encodes, takes them off and checks the base. One JSON line per figure is printed as soon as
it is known, so that a run that is cut keeps what it measured. The first call of everything is not timed.
`--smoke` runs small models of the same classes, on a CPU too.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from collections.abc import Callable
from pathlib import Path

import gpu_models
import torch
from gpu_models import BaseCase, RandomBase, made_on
from gpu_report import Busy, Report, peak, reset_peak, timed
from safetensors.torch import save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.generation.pipeline_loading import DTYPES

PICTURES = 41
"""Of an adapter without a trigger that stops at its first look: 25 plain ones and 16 of the dose."""
RANK = 16
PROMPT = "a photo of a red boat on sand, in the morning, seen from afar"


def write_adapter(folder: Path, convention: str, base: RandomBase) -> Path:
    """A file of one convention on every attention and feed-forward layer of the denoiser: small random values."""
    layout = base.layout()
    wanted = ("to_q", "to_k", "to_v", "to_out.0", "net.0.proj", "net.2", "proj_mlp", "proj_out")
    tensors: dict[str, torch.Tensor] = {}
    draw = torch.Generator().manual_seed(0)
    for module, shape in sorted(layout.components[layout.denoiser].items()):
        if len(shape) == 2 and module.endswith(wanted) and "blocks" in module:
            tensors |= _tensors(convention, layout.denoiser, module, shape, draw)
    path = folder / f"{convention}.safetensors"
    save_file(tensors, path)
    return path


def _tensors(
    convention: str, denoiser: str, module: str, shape: tuple[int, ...], draw: torch.Generator
) -> dict[str, torch.Tensor]:
    out, inputs = shape
    down = torch.randn(RANK, inputs, generator=draw).mul(0.01).half()
    up = torch.randn(out, RANK, generator=draw).mul(0.01).half()
    flat = f"lora_{denoiser}_{module.replace('.', '_')}"
    if convention == "kohya":
        return {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up, f"{flat}.alpha": torch.tensor(8.0)}
    if convention == "lokr":
        small = torch.randn(8, 8, generator=draw).mul(0.01).half()
        large = torch.randn(out // 8, inputs // 8, generator=draw).mul(0.01).half()
        return {f"{flat}.lokr_w1": small, f"{flat}.lokr_w2": large, f"{flat}.alpha": torch.tensor(1.0)}
    names = {f"{denoiser}.{module}.lora_A.weight": down, f"{denoiser}.{module}.lora_B.weight": up}
    if convention == "dora":
        names[f"{denoiser}.{module}.lora_magnitude_vector"] = torch.ones(out).half()
    return names


def one_adapter(report: Report, base: RandomBase, path: Path, pictures: int) -> dict[str, float]:
    """Seconds of each stage of one adapter; `picture` is one picture of a full batch."""
    seconds: dict[str, float] = {}
    device = report.device
    with timed(device, seconds, "read"):
        adapter = normalise(inspect_file(path), base.layout())
    with timed(device, seconds, "apply_and_prove"):
        base.apply(adapter)
    try:
        with timed(device, seconds, "render"):
            base.generate([PROMPT] * pictures, list(range(pictures)))
    finally:  # the next part needs a bare base, memory or not
        with timed(device, seconds, "remove_and_check"):
            base.remove()
    seconds["picture"] = round(seconds["render"] / pictures, 4)
    fixed = seconds["read"] + seconds["apply_and_prove"] + seconds["remove_and_check"]
    seconds[f"adapter_of_{PICTURES}_pictures"] = round(fixed + PICTURES * seconds["picture"], 2)
    return seconds


def audited(report: Report, case: BaseCase, base: RandomBase, folder: Path, batches: tuple[int, ...]) -> None:
    """Inject and merge at each batch size, then the other conventions once."""
    plain = write_adapter(folder, "diffusers", base)
    for batch in batches:

        def measure(batch: int = batch) -> None:
            base.batch_size = batch
            base.generate([PROMPT] * batch, list(range(batch)))  # the first call chooses kernels
            with Busy() as busy:
                reset_peak(report.device)
                figures = one_adapter(report, base, plain, batch)
            report.add(
                case.name,
                f"{base.options.application}, diffusers file",
                batch=batch,
                **figures,
                peak_gb=peak(report.device),
                gpu_busy=busy.share,
            )

        report.attempt(case.name, f"{base.options.application}, batch {batch}", measure)
    base.batch_size = batches[0]


def conventions(report: Report, case: BaseCase, base: RandomBase, folder: Path) -> None:
    """Read, apply and remove files of other conventions; one picture each."""
    for convention in ("kohya", "lokr", "dora"):

        def measure(convention: str = convention) -> None:
            figures = one_adapter(report, base, write_adapter(folder, convention, base), 1)
            kept = {k: figures[k] for k in ("read", "apply_and_prove", "remove_and_check")}
            report.add(case.name, f"{base.options.application}, {convention} file", **kept)

        report.attempt(case.name, convention, measure)


def naive(report: Report, case: BaseCase, base: RandomBase, folder: Path, size: int, steps: int) -> None:
    """What a user writes: load the file with the pipeline, draw 50 pictures one by one, draw the base's 50 as well."""
    pipe, seconds = base._pipe, {}
    path = write_adapter(folder, "diffusers", base)

    def picture() -> None:
        pipe(PROMPT, num_inference_steps=steps, guidance_scale=case.guidance, height=size, width=size)

    picture()
    with timed(report.device, seconds, "load"):
        pipe.load_lora_weights(str(path))
    with timed(report.device, seconds, "adapted_picture"):
        picture()
    with timed(report.device, seconds, "unload"):
        pipe.unload_lora_weights()
    with timed(report.device, seconds, "base_picture"):
        picture()
    total = seconds["load"] + seconds["unload"] + 50 * (seconds["adapted_picture"] + seconds["base_picture"])
    report.add(case.name, f"naive: 50 + 50 pictures of {steps} steps, one by one", **seconds, adapter=round(total, 1))


def compiled(report: Report, case: BaseCase, base: RandomBase, folder: Path) -> None:
    """Merged into a compiled denoiser: the graph is made once and kept for the adapter after."""
    first: dict[str, float] = {}
    batch = base.batch_size
    own = base._denoiser.forward
    base._denoiser.forward = torch.compile(own)
    try:
        with timed(report.device, first, "first_batch"):
            base.generate([PROMPT] * batch, list(range(batch)))
        figures = one_adapter(report, base, folder / "diffusers.safetensors", batch)
        report.add(
            case.name,
            "merge + compile, diffusers file",
            batch=batch,
            compile_and_first_batch=first["first_batch"],
            **figures,
            peak_gb=peak(report.device),
        )
    finally:
        base._denoiser.forward = own


def base_case(report: Report, case: BaseCase, smoke: bool) -> None:
    """All figures of one base."""
    seconds: dict[str, float] = {}
    with timed(report.device, seconds, "build"), made_on(report.device, torch.float32 if smoke else DTYPES[case.dtype]):
        pipe = case.build(smoke)
    size, steps = (64, 2) if smoke else (case.size, case.steps)
    batches = (2,) if smoke else case.batches
    pipe.to(report.device)
    base = RandomBase(pipe, case, device=report.device, size=size, steps=steps, application="inject")
    report.add(case.name, "built", **seconds, denoiser_parameters=sum(p.numel() for p in base._denoiser.parameters()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        audited(report, case, base, folder, batches)
        report.attempt(case.name, "conventions", lambda: conventions(report, case, base, folder), 20)
        merging = RandomBase(pipe, case, device=report.device, size=size, steps=steps, application="merge")
        audited(report, case, merging, folder, batches[:1])
        steps = 2 if smoke else case.naive_steps
        report.attempt(case.name, "naive", lambda: naive(report, case, merging, folder, size, steps), 30)
        if not smoke:
            report.attempt(case.name, "compile", lambda: compiled(report, case, merging, folder), case.compile_reserve)


def encode(report: Report, smoke: bool) -> None:
    """OpenCLIP pictures per second at the hub profile's size and batch, picture preparation included."""
    import open_clip

    from auditor.encoding.preprocessing import Preprocessing

    name, size, batch = ("ViT-B-32-quickgelu", 64, 2) if smoke else ("ViT-L-14-quickgelu", 1024, 64)
    model = open_clip.create_model(name, device=report.device).eval()
    prepare, seconds = Preprocessing.from_model(model), dict[str, float]()
    pictures = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        model.encode_image(prepare(pictures.to(report.device)))
        with timed(report.device, seconds, "batch"):
            model.encode_image(prepare(pictures.to(report.device)))
    report.add("encoder", f"{name}, {batch} pictures of {size}", picture=round(seconds["batch"] / batch, 5))


def name_pairs(report: Report, smoke: bool) -> None:
    """Qwen2-VL-7B through transformers: one request of three pairs at 448 pixels, 64 new tokens."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    text = {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
    }
    vision = {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "num_heads": 16, "patch_size": 14}
    if smoke:
        text |= {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
        vision |= {"depth": 1, "embed_dim": 64, "hidden_size": 64, "num_heads": 4}
    rope = {
        "rope_type": "default",
        "type": "mrope",
        "mrope_section": [2, 3, 3] if smoke else [16, 24, 24],
        "rope_theta": 1e6,
    }
    config = Qwen2VLConfig(text_config={**text, "rope_parameters": rope}, vision_config=vision)
    with made_on(report.device, torch.float32 if smoke else torch.bfloat16):
        model = Qwen2VLForConditionalGeneration(config).eval()
    side, pictures, new = (4, 2, 2) if smoke else (32, 6, 64)
    each = side * side // 4
    picture = [config.vision_start_token_id, *[config.image_token_id] * each, config.vision_end_token_id]
    tokens = torch.tensor([[*([1, 2, 3, *picture] * pictures), *range(10, 140)]], device=report.device)
    inputs = {
        "input_ids": tokens,
        "attention_mask": torch.ones_like(tokens),
        "mm_token_type_ids": (tokens == config.image_token_id).int(),
        "pixel_values": torch.randn(pictures * side * side, 1176, device=report.device, dtype=model.dtype),
        "image_grid_thw": torch.tensor([[1, side, side]] * pictures, device=report.device),
    }
    seconds: dict[str, float] = {}
    for key in ("first_request", "request"):
        with timed(report.device, seconds, key), torch.inference_mode():
            model.generate(**inputs, max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0)
    report.add(
        "qwen2-vl-7b",
        f"one request, {pictures // 2} pairs, {tokens.shape[1]} tokens in, {new} out",
        request=seconds["request"],
        peak_gb=peak(report.device),
    )


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def main() -> None:
    """Measure what fits into the budget, the most wanted first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget-seconds", type=float, default=540)
    parser.add_argument("--table", type=Path, help="write the figures as Markdown here")
    parser.add_argument("--smoke", action="store_true", help="small models of the same classes; the CPU will do")
    parser.add_argument("--bases", nargs="*", default=[case.name for case in gpu_models.CASES])
    arguments = parser.parse_args()
    report = Report("cuda" if torch.cuda.is_available() else "cpu", arguments.budget_seconds)
    torch.manual_seed(0)
    parts: list[tuple[str, Callable[[], None]]] = [
        (case.name, lambda case=case: base_case(report, case, arguments.smoke))
        for case in gpu_models.CASES
        if case.name in arguments.bases
    ]
    parts.insert(1, ("encoder", lambda: encode(report, arguments.smoke)))
    parts.insert(2, ("qwen2-vl-7b", lambda: name_pairs(report, arguments.smoke)))
    for name, part in parts:
        report.attempt(name, "all", part, 20)
        _release()
        if arguments.table:
            arguments.table.write_text(report.table())


if __name__ == "__main__":
    main()
