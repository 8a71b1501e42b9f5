"""Encoders of the transformers library as the shared image and text space: CLIP, SigLIP, SigLIP 2 and ALIGN."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from auditor.common.model_warnings import warnings_refused
from auditor.encoding.batched_encoder import BatchedEncoder, add_weights
from auditor.errors import PrerequisiteMissing, UserError

WINDOWS: Mapping[str, int | None] = {"clip": None, "siglip": None, "siglip2": None, "align": 64}
"""Model types that were tried, and the window of tokens that each was trained with; None is all that its text tower
has. Every text is padded to the window: SigLIP reads its last place, and no row then depends on its neighbours.
Published SigLIP 2 models of a fixed picture size call themselves `siglip`."""

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class TransformersEncoder(BatchedEncoder):
    """A model of two towers from a local folder in the layout that transformers saves.

    The folder holds `config.json`, weights as safetensors, `preprocessor_config.json` and the tokenizer's files.
    Pictures are resized and normalised, and texts cut into tokens, as these files say. No code of the folder is run.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        pretrained: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        batch_size: int = 64,
    ) -> None:
        """Load the model.

        Args:
            folder: With the model's files.
            pretrained: Taken for the sake of other kinds; the folder says which weights.
            device: torch device.
            dtype: float32, float16 or bfloat16; embeddings come out as float32 in any case.
            batch_size: Items per forward pass.

        Raises:
            PrerequisiteMissing: The model's files are not there or broken, or the library warns while it loads them.
            UserError: The folder's model is of no type that is supported here.
        """
        super().__init__(str(folder), device=device, batch_size=batch_size)
        if dtype not in _DTYPES:
            raise UserError(f"dtype {dtype!r} is unknown; choose one of {', '.join(_DTYPES)}.")
        self.dtype = dtype
        if not (Path(folder) / "config.json").is_file():
            raise PrerequisiteMissing(f"There is no encoder in {folder}: config.json is missing.")
        transformers_logging.disable_progress_bar()  # it would draw into logs
        try:
            with warnings_refused(f"The encoder {folder}"):
                self._load(folder)
        except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
            raise PrerequisiteMissing(
                f"The encoder {folder} cannot be loaded ({type(error).__name__}: {str(error)[:200]}). "
                "Check its files, or fetch it again."
            ) from error
        with torch.inference_mode():
            self.dimension = int(self.text_features([""]).shape[1])
        self.identity = self._digest()

    def image_features(self, images: NDArray[np.uint8]) -> torch.Tensor:
        """(n, height, width, 3) uint8 → (n, dimension)."""
        prepared = self._pictures(
            list(np.ascontiguousarray(images)), input_data_format="channels_last", return_tensors="pt"
        )
        return _pooled(self._model.get_image_features(**self._moved(prepared)))

    def text_features(self, texts: Sequence[str]) -> torch.Tensor:
        """n texts → (n, dimension)."""
        tokens = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self._window, return_tensors="pt"
        )
        return _pooled(self._model.get_text_features(**self._moved(tokens)))

    def _load(self, folder: str | Path) -> None:
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        auto: Any = AutoConfig
        self._config = auto.from_pretrained(folder, **local)
        kind = self._config.model_type
        if kind not in WINDOWS:
            raise UserError(f"An encoder of type {kind!r} is not supported; known: {', '.join(WINDOWS)}.")
        auto = AutoModel
        model = auto.from_pretrained(
            folder, config=self._config, dtype=_DTYPES[self.dtype], use_safetensors=True, **local
        )
        self._model: Any = model.eval().requires_grad_(False).to(self.device)
        auto = AutoTokenizer
        self._tokenizer: Any = auto.from_pretrained(folder, **local)
        auto = AutoImageProcessor
        self._pictures: Any = auto.from_pretrained(folder, **local)
        places = int(self._config.text_config.max_position_embeddings)
        self._window = min(places, WINDOWS[kind] or places)

    def _moved(self, inputs: Any) -> dict[str, torch.Tensor]:
        """To the device, and what is no integer to the model's precision."""
        moved: dict[str, torch.Tensor] = {}
        for name, tensor in inputs.items():
            wanted = _DTYPES[self.dtype] if tensor.is_floating_point() else tensor.dtype
            moved[name] = tensor.to(self.device, wanted)
        return moved

    def _digest(self) -> str:
        """Digest of everything that an embedding depends on but the device."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr(("transformers", self.dtype, self._window)).encode())
        for path in sorted(Path(self.name).iterdir()):
            if path.suffix in (".json", ".txt", ".model") and path.name.startswith(_FILES):
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
        add_weights(digest, self._model)
        return digest.hexdigest()


_FILES = ("config", "preprocessor", "processor", "token", "vocab", "merges", "spiece", "special_tokens", "added_tokens")
"""How the names of the files begin that say what is computed."""


def _pooled(output: Any) -> torch.Tensor:
    return torch.as_tensor(output.pooler_output)
