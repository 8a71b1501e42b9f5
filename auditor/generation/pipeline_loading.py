"""Load a text-to-image pipeline from a local folder, without giving the folder a say in what code runs."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Even a bare class name in model_index.json makes diffusers fetch and run community code unless this is set,
# and the library reads it once, on import.
os.environ["DIFFUSERS_DISABLE_REMOTE_CODE"] = "1"

import diffusers
import torch
import transformers

from auditor.common.model_warnings import warnings_refused
from auditor.errors import PrerequisiteMissing, UserError
from auditor.families.table import PIPELINES
from auditor.generation.render_options import RenderOptions

SAMPLERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "dpmsolver++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "lcm": ("LCMScheduler", {}),
    "flow_euler": ("FlowMatchEulerDiscreteScheduler", {}),
}
"""Sampler name → scheduler class and fixed arguments; `default` keeps the folder's own."""

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}

_LIBRARIES = frozenset({"diffusers", "transformers"})
# Not loaded, whatever the folder says: a checker that blanks pictures, and what only it needs.
_LEFT_OUT = ("safety_checker", "feature_extractor", "image_encoder")


def dtype_named(name: str) -> torch.dtype:
    """Number format of weights.

    Raises:
        UserError: None is called so.
    """
    if name not in DTYPES:
        raise UserError(f"dtype {name!r} is unknown; choose one of {', '.join(DTYPES)}.")
    return DTYPES[name]


def load_pipeline(folder: Path, options: RenderOptions) -> Any:
    """Load a pipeline of an allowed class, safetensors weights only, ready to render.

    Args:
        folder: Local folder in the Hub's layout.
        options: `pipeline` null takes the folder's word for the class, if that is allowed.

    Raises:
        PrerequisiteMissing: The folder is not there or lacks weights, or a library warns while it loads.
        UserError: The folder or a setting asks for something that is not allowed.
    """
    class_name = _checked_class(folder, options.pipeline)
    dtype = dtype_named(options.dtype)
    _silence_libraries()
    loader = getattr(diffusers, class_name)
    accepted = inspect.signature(loader.__init__).parameters
    left_out: dict[str, Any] = {name: None for name in _LEFT_OUT if name in accepted}
    if "requires_safety_checker" in accepted:
        left_out["requires_safety_checker"] = False
    try:
        with warnings_refused(f"The base model in {folder}"):
            pipe = loader.from_pretrained(
                str(folder),
                dtype=dtype,
                variant=options.variant,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                **left_out,
            )
    except OSError as error:
        raise PrerequisiteMissing(
            f"The base model in {folder} cannot be loaded ({type(error).__name__}: {str(error)[:200]}). "
            "Fetch it again with its safetensors weights."
        ) from error
    except (ImportError, ValueError) as error:
        # a tokenizer or another part whose package is not installed; libraries raise either
        said = " ".join(str(error).split())[:300]
        raise PrerequisiteMissing(
            f"The base model in {folder} cannot be loaded ({type(error).__name__}: {said}). If it names a package, "
            "install that with `pip install`; else fetch the model again."
        ) from error
    _require_vocabularies(pipe, folder)
    pipe.scheduler = _scheduler(pipe.scheduler, options.sampler)
    pipe.to(options.device)
    _stay(pipe)
    pipe.set_progress_bar_config(disable=True)
    for component in modules_of(pipe).values():
        component.eval().requires_grad_(False)
    return pipe


def _stay(pipe: Any) -> None:
    """Say where everything is: the library walks all modules, an adapter's too, several times a call to find out."""
    kind, device = type(pipe), pipe.device
    places = {"device": device, "_execution_device": device}
    pipe.__class__ = type(kind.__name__, (kind,), {"__module__": kind.__module__, **places})


def _require_vocabularies(pipe: Any, folder: Path) -> None:
    """A tokenizer whose vocabulary is not in the folder loads without a word, and takes every prompt for the same."""
    for name, part in pipe.components.items():
        if name.startswith("tokenizer") and part is not None and part("a dog").input_ids == part("my car").input_ids:
            raise PrerequisiteMissing(
                f"The {name} in {folder} has no vocabulary: it cannot tell words apart. Fetch the model again."
            )


def modules_of(pipe: Any) -> dict[str, torch.nn.Module]:
    """The pipeline's components that hold weights, by name."""
    return {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}


def _silence_libraries() -> None:
    """Their bars and later hints would break into ours; warnings while a model loads are read (`model_warnings`)."""
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    # what a later version will do, said by one part of the library to another each time a VAE decodes
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"diffusers\.")


def _checked_class(folder: Path, wanted: str | None) -> str:
    index_path = folder / "model_index.json"
    if not index_path.is_file():
        raise PrerequisiteMissing(f"There is no base model in {folder}: model_index.json is missing.")
    try:
        index = json.loads(index_path.read_text("utf-8"))
    except ValueError:
        index = None
    if not isinstance(index, dict):
        raise PrerequisiteMissing(f"The model_index.json in {folder} does not describe a pipeline. Fetch it again.")
    class_name = wanted or index.get("_class_name")
    if not isinstance(class_name, str) or class_name not in PIPELINES:
        raise UserError(f"Pipeline {class_name!r} is not supported; choose one of {', '.join(PIPELINES)}.")
    for name, entry in index.items():
        if name.startswith("_") or name in _LEFT_OUT or not isinstance(entry, list):
            continue
        library = entry[0] if len(entry) == 2 else entry
        if library is not None and library not in _LIBRARIES:
            raise UserError(f"Component {name!r} of {folder} comes from {library!r}, which is not allowed.")
    return class_name


def _scheduler(current: Any, sampler: str) -> Any:
    if sampler == "default":
        return current
    if sampler not in SAMPLERS:
        raise UserError(f"Sampler {sampler!r} is unknown; choose default or one of {', '.join(SAMPLERS)}.")
    class_name, arguments = SAMPLERS[sampler]
    flow_trained = "FlowMatch" in type(current).__name__
    if flow_trained != ("FlowMatch" in class_name):
        raise UserError(f"Sampler {sampler!r} does not fit a base whose own is {type(current).__name__}.")
    return getattr(diffusers, class_name).from_config(current.config, **arguments)
