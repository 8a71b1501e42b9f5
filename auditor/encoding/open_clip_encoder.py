"""CLIP models of the open_clip library as the shared image and text space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from auditor.common.model_warnings import warnings_refused
from auditor.encoding.batched_encoder import BatchedEncoder, add_weights
from auditor.encoding.preprocessing import Preprocessing
from auditor.errors import PrerequisiteMissing, UserError

LOCAL_PREFIX = "local-dir:"
CONFIG_NAME = "open_clip_config.json"
WEIGHTS_NAME = "open_clip_model.safetensors"
_PRECISION = {"float32": "fp32", "float16": "pure_fp16", "bfloat16": "pure_bf16"}


class OpenClipEncoder(BatchedEncoder):
    """An open_clip model from a local folder or by name.

    A folder holds `open_clip_config.json`, `open_clip_model.safetensors` and the tokenizer's files. A name
    with a pretrained tag (`ViT-L-14-quickgelu`, `openai`) is looked up in the library's own list and fetched from
    the Hub.
    """

    def __init__(
        self,
        name_or_dir: str | Path,
        *,
        pretrained: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        batch_size: int = 64,
    ) -> None:
        """Load the model.

        Args:
            name_or_dir: Folder (with or without `local-dir:`) or model name.
            pretrained: Weights tag for a model name.
            device: torch device.
            dtype: float32, float16 or bfloat16; embeddings come out as float32 in any case.
            batch_size: Items per forward pass.

        Raises:
            PrerequisiteMissing: The model's files are not there, or the library warns while it loads them.
            UserError: The settings name no such model.
        """
        if dtype not in _PRECISION:
            raise UserError(f"dtype {dtype!r} is unknown; choose one of {', '.join(_PRECISION)}.")
        super().__init__(_model_name(name_or_dir), device=device, batch_size=batch_size)
        if not self.name.startswith(LOCAL_PREFIX) and pretrained is None:
            raise UserError(f"Encoder {self.name!r} needs a pretrained tag; without one its weights are random.")
        self.dtype = dtype
        try:
            with warnings_refused(f"The encoder {self.name}"):
                self._model: Any = open_clip.create_model(
                    self.name, pretrained=pretrained, precision=_PRECISION[dtype], device=device
                )
            self._tokenizer: Any = open_clip.get_tokenizer(self.name)
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise PrerequisiteMissing(
                f"The encoder {self.name} cannot be loaded ({type(error).__name__}: {str(error)[:200]}). "
                "Check its name and files, or fetch it again."
            ) from error
        self._model.eval().requires_grad_(False)
        self._preprocess = Preprocessing.from_model(self._model)
        self._torch_dtype = next(self._model.parameters()).dtype
        with torch.inference_mode():
            self.dimension = int(self.text_features([""]).shape[1])
        self.identity = self._digest()

    def image_features(self, images: NDArray[np.uint8]) -> torch.Tensor:
        """(n, height, width, 3) uint8 → (n, dimension)."""
        pixels = self._preprocess(torch.from_numpy(np.ascontiguousarray(images)).to(self.device))
        return torch.as_tensor(self._model.encode_image(pixels.to(self._torch_dtype)))

    def text_features(self, texts: Sequence[str]) -> torch.Tensor:
        """n texts → (n, dimension)."""
        return torch.as_tensor(self._model.encode_text(self._tokenizer(list(texts)).to(self.device)))

    def _digest(self) -> str:
        """Digest of everything that an embedding depends on but the device."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps(open_clip.get_model_config(self.name), sort_keys=True).encode())
        digest.update(repr((self._preprocess, self.dtype)).encode())
        for path in _tokenizer_files(self.name):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        add_weights(digest, self._model)
        return digest.hexdigest()


def _model_name(name_or_dir: str | Path) -> str:
    """The name as open_clip takes it; a folder is checked first, for a message that helps."""
    name = str(name_or_dir)
    folder = Path(name.removeprefix(LOCAL_PREFIX))
    if not name.startswith(LOCAL_PREFIX) and not folder.is_dir():
        if isinstance(name_or_dir, Path) or name.startswith(("/", ".")):
            raise PrerequisiteMissing(f"There is no encoder in {folder}.")
        return name
    for required in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / required).is_file():
            raise PrerequisiteMissing(f"There is no encoder in {folder}: {required} is missing.")
    return f"{LOCAL_PREFIX}{folder}"


def _tokenizer_files(name: str) -> list[Path]:
    if not name.startswith(LOCAL_PREFIX):
        return []
    folder = Path(name.removeprefix(LOCAL_PREFIX))
    return sorted(p for p in folder.iterdir() if p.suffix in (".json", ".txt", ".model") and p.name != CONFIG_NAME)
