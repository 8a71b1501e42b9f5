"""Transformers that draw a picture token by token: Chameleon's and Anole's layout, and Janus.

Their loops differ in what stands before the tokens, how a drawn token is fed back and which head names the next. The
loop itself is in `AutoregressiveBase`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoTokenizer,
    ChameleonForConditionalGeneration,
    ChameleonVQVAEConfig,
    JanusForConditionalGeneration,
)
from transformers.utils import logging as transformers_logging

from auditor.common.device_memory import out_of_memory
from auditor.common.model_warnings import warnings_refused
from auditor.errors import PrerequisiteMissing, UserError
from auditor.generation.vqgan import VQGAN, VQGANConfig

BEGIN_OF_IMAGE = "<racm3:break>"
"""Chameleon's token before a picture."""


@dataclass(frozen=True, eq=False)
class Prefix:
    """What stands before the tokens of n pictures, padded on the left to one length L.

    Attributes:
        embeddings: (n, L, width).
        mask: (n, L), 1 where a token stands.
    """

    embeddings: torch.Tensor
    mask: torch.Tensor


class TokenModel(ABC):
    """One loaded model: its prompt, its head, its decoder.

    Attributes:
        model: All weights, by the names in the files.
        tokenizer: Of the prompts.
        side: Tokens along one side of a picture.
        codes: Codes that a token may be.
        resolution: Height and width of the pictures, pixels.
        decoder_parts: Beginnings of the names of the weights that turn tokens into pictures.
    """

    decoder_parts = tuple(f"model.vqmodel.{part}" for part in ("decoder.", "post_quant_conv.", "quantize."))
    model: Any
    side: int
    codes: int
    resolution: int

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

    @property
    @abstractmethod
    def body(self) -> Any:
        """The transformer under the heads."""

    @abstractmethod
    def prompt_ids(self, prompt: str) -> list[int]:
        """Ids of a prompt and of what stands between it and the picture."""

    @abstractmethod
    def unasked_ids(self, prompt: str) -> list[int]:
        """What stands there for guidance, which leads away from it: nothing of the prompt but its end."""

    @abstractmethod
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, width) -> (n, codes), float32."""

    @abstractmethod
    def fed_back(self, codes: torch.Tensor) -> torch.Tensor:
        """Drawn codes (n, l) as inputs (n, l, width)."""

    @abstractmethod
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes (n, side x side) -> pictures (n, 3, resolution, resolution), about [-1, 1]."""

    def prefix(self, rows: Sequence[Sequence[int]]) -> Prefix:
        """Ids of n prompts, or of what stands in their place, as the transformer takes them."""
        length = max(map(len, rows))
        device = self.model.device
        ids = torch.zeros((len(rows), length), dtype=torch.long)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, length - len(row) :] = torch.tensor(row)
            mask[number, length - len(row) :] = 1
        return Prefix(self.model.get_input_embeddings()(ids.to(device)), mask.to(device))


class ChameleonTokens(TokenModel):
    """Chameleon's layout: one vocabulary for words and codes, one head for both."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, tokenizer)
        sizes: VQGANConfig = model.model.vqmodel.sizes
        self.side, self.codes, self.resolution = sizes.side, sizes.num_embeddings, sizes.resolution
        mapping = model.model.vocabulary_mapping
        ids = [mapping.img2bpe.get(code) for code in range(self.codes)]
        if None in ids or BEGIN_OF_IMAGE not in (model.config.vocabulary_map or {}):
            raise PrerequisiteMissing("The vocabulary_map in config.json does not name every image token.")
        self._ids = torch.tensor(ids, device=model.device)
        self._begin = int(model.config.vocabulary_map[BEGIN_OF_IMAGE])

    @property
    def body(self) -> Any:
        """The transformer under the head."""
        return self.model.model

    def prompt_ids(self, prompt: str) -> list[int]:
        """Begin of text, the words, the end of the turn where the tokenizer has one, begin of picture."""
        around = (self.tokenizer.bos_token_id, self.tokenizer.sep_token_id)
        begin, end = ([] if token is None else [int(token)] for token in around)
        words = self.tokenizer(prompt, add_special_tokens=False).input_ids if prompt else []
        return [*begin, *words, *end, self._begin]

    def unasked_ids(self, prompt: str) -> list[int]:
        """An empty prompt."""
        return self.prompt_ids("")

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, width) -> (n, codes): the rows of the head that stand for codes."""
        return torch.as_tensor(hidden @ self.model.lm_head.weight[self._ids].T).float()

    def fed_back(self, codes: torch.Tensor) -> torch.Tensor:
        """Drawn codes (n, l) as inputs (n, l, width)."""
        return torch.as_tensor(self.model.get_input_embeddings()(self._ids[codes]))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes (n, side x side) -> pictures (n, 3, resolution, resolution), about [-1, 1]."""
        return torch.as_tensor(self.model.model.vqmodel.decode(codes))


class JanusTokens(TokenModel):
    """Janus: codes have a head and an embedding of their own; transformers has its decoder."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, tokenizer)
        sizes = model.config.vq_config
        self.side, self.codes = int(sizes.num_patches), int(sizes.num_embeddings)
        self.resolution = self.side * 2 ** (len(sizes.channel_multiplier) - 1)
        self._begin = tokenizer.convert_tokens_to_ids(getattr(tokenizer, "boi_token", "<begin_of_image>"))
        if self._begin is None:
            raise PrerequisiteMissing("The tokenizer has no token that begins a picture.")
        if tokenizer.pad_token_id is None:
            raise PrerequisiteMissing("The tokenizer has no padding, which guidance puts in the place of words.")

    @property
    def body(self) -> Any:
        """The language model under the heads."""
        return self.model.model.language_model

    def prompt_ids(self, prompt: str) -> list[int]:
        """The turn of a user who asks for the picture, as published, and begin of picture."""
        start = [] if self.tokenizer.bos_token_id is None else [int(self.tokenizer.bos_token_id)]
        turn = f"<|User|>: {prompt}\n\n<|Assistant|>:"
        words = self.tokenizer(turn, add_special_tokens=False).input_ids
        return [*start, *words, int(self._begin)]

    def unasked_ids(self, prompt: str) -> list[int]:
        """As published: padding, which is attended to, in the place of the whole turn."""
        kept = (self.tokenizer.bos_token_id, self._begin)
        return [token if token in kept else int(self.tokenizer.pad_token_id) for token in self.prompt_ids(prompt)]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, width) -> (n, codes)."""
        return torch.as_tensor(self.model.model.generation_head(hidden)).float()

    def fed_back(self, codes: torch.Tensor) -> torch.Tensor:
        """Drawn codes (n, l) as inputs (n, l, width)."""
        return torch.as_tensor(self.model.prepare_embeddings_for_image_generation(codes))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes (n, side x side) -> pictures (n, 3, resolution, resolution), about [-1, 1]."""
        return torch.as_tensor(self.model.model.vqmodel.decode(codes))


_SMALLEST: Mapping[str, Any] = {
    "embed_dim": 1, "num_embeddings": 1, "latent_channels": 1, "base_channels": 32, "channel_multiplier": (1,),
    "num_res_blocks": 0,
}  # fmt: skip
"""Of the library's own image tokenizer, which is made and thrown away."""


class ChameleonWithDecoder(ChameleonForConditionalGeneration):  # type: ignore[misc]  # the library is untyped here
    """transformers' Chameleon with an image tokenizer that decodes too, under the published names."""

    def __init__(self, config: Any) -> None:
        own, config.vq_config = config.vq_config, ChameleonVQVAEConfig(**_SMALLEST)
        super().__init__(config)
        config.vq_config = own
        self.model.vqmodel = VQGAN(VQGANConfig.of(own.to_dict()))


LAYOUTS: Mapping[str, tuple[Any, type[TokenModel]]] = {
    "chameleon": (ChameleonWithDecoder, ChameleonTokens),
    "janus": (JanusForConditionalGeneration, JanusTokens),
}
"""`model_type` of config.json → class of transformers, and how it draws."""


def load_token_model(folder: Path, device: str, dtype: torch.dtype) -> TokenModel:
    """Load a model of a known layout, safetensors weights only, ready to draw.

    Raises:
        PrerequisiteMissing: The folder is not there or lacks weights, or the library warns while it loads.
        UserError: A layout that does not draw here.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise PrerequisiteMissing(f"There is no base model in {folder}: config.json cannot be read.") from error
    layout = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(layout, str) or layout not in LAYOUTS:
        said = repr(layout)[:80]
        raise UserError(f"The model in {folder} is of type {said}; autoregressive bases: {', '.join(LAYOUTS)}.")
    loader, tokens = LAYOUTS[layout]
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        with warnings_refused(f"The base model in {folder}"):
            model, report = loader.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
            )
            _require_all(report["missing_keys"], folder)  # before the library's own warning of it
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    except (OSError, ValueError, ImportError, RuntimeError, StrictDataclassError) as error:
        if out_of_memory(error):
            raise
        said = " ".join(str(error).split())[:200]
        raise PrerequisiteMissing(
            f"The base model in {folder} cannot be loaded ({type(error).__name__}: {said}). Fetch it again with its "
            "safetensors weights and its tokenizer."
        ) from error
    return tokens(model.to(device).eval(), tokenizer)


def _require_all(missing: Iterable[str], folder: Path) -> None:
    if names := sorted(missing):
        raise PrerequisiteMissing(
            f"The base model in {folder} lacks {len(names)} weights ({names[0]} is one). Chameleon itself is "
            "published without its image decoder; Anole has it."
        )
