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

from auditor.common.device_memory import in_batches, memory_named
from auditor.common.model_warnings import warnings_refused
from auditor.encoding.encoder import EncoderCalls
from auditor.encoding.preprocessing import Preprocessing
from auditor.errors import PrerequisiteMissing, UserError

LOCAL_PREFIX = "local-dir:"
CONFIG_NAME = "open_clip_config.json"
WEIGHTS_NAME = "open_clip_model.safetensors"
_PRECISION = {"float32": "fp32", "float16": "pure_fp16", "bfloat16": "pure_bf16"}


class OpenClipEncoder:
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
        self.name = _model_name(name_or_dir)
        if not self.name.startswith(LOCAL_PREFIX) and pretrained is None:
            raise UserError(f"Encoder {self.name!r} needs a pretrained tag; without one its weights are random.")
        self.batch_size, self.device, self.dtype = batch_size, device, dtype
        self.calls = EncoderCalls()
        try:
            with warnings_refused(f"The encoder {self.name}"):
                self._model: Any = open_clip.create_model(
                    self.name, pretrained=pretrained, precision=_PRECISION[dtype], device=device
                )
            self._tokenizer: Any = open_clip.get_tokenizer(self.name)
        except (OSError, RuntimeError, ValueError) as error:
            raise PrerequisiteMissing(
                f"The encoder {self.name} cannot be loaded ({type(error).__name__}: {str(error)[:200]}). "
                "Check its name and files, or fetch it again."
            ) from error
        self._model.eval().requires_grad_(False)
        self._preprocess = Preprocessing.from_model(self._model)
        self._torch_dtype = next(self._model.parameters()).dtype
        self.dimension = int(self._encode_texts([""]).shape[1])
        self.identity = self._digest()

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, height, width, 3) uint8 → (n, dimension) float32, L2-normalised.

        Images of the model's own size are normalised as they are; others are resized as open_clip does.
        """
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise ValueError(f"expected (n, height, width, 3) uint8, got {images.shape} {images.dtype}")
        self.calls.images += len(images)
        features = np.zeros((len(images), self.dimension), np.float32)

        def encode(rows: slice) -> None:
            features[rows] = self._encode_images(images[rows])

        with memory_named(f"The encoder {self.name} with one picture"):
            self.batch_size = in_batches(len(images), self.batch_size, encode)
        return features

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts → (n, dimension) float32, L2-normalised. Texts beyond the model's window are cut there."""
        self.calls.texts += len(texts)
        rows = [self._encode_texts(texts[start:end]) for start, end in self._batches(len(texts))]
        return self._joined(rows)

    @torch.inference_mode()
    def _encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = self._preprocess(torch.from_numpy(np.ascontiguousarray(images)).to(self.device))
        return _unit_rows(self._model.encode_image(pixels.to(self._torch_dtype)))

    @torch.inference_mode()
    def _encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        tokens = self._tokenizer(list(texts)).to(self.device)
        return _unit_rows(self._model.encode_text(tokens))

    def _batches(self, count: int) -> list[tuple[int, int]]:
        return [(start, min(start + self.batch_size, count)) for start in range(0, count, self.batch_size)]

    def _joined(self, rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.concatenate(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def _digest(self) -> str:
        """Digest of everything that an embedding depends on but the device."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps(open_clip.get_model_config(self.name), sort_keys=True).encode())
        digest.update(repr((self._preprocess, self.dtype)).encode())
        for path in _tokenizer_files(self.name):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
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


def _unit_rows(features: torch.Tensor) -> NDArray[np.float32]:
    # in float32 even for a half-precision model, so that every row has length 1 to float32 precision
    unit: NDArray[np.float32] = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
    return unit
