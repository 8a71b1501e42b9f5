"""Concepts from a Qwen2-VL in this process, through transformers. The pocket profile's proposer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoProcessor, Qwen2VLForConditionalGeneration
from transformers.utils import logging as transformers_logging

from auditor.common.model_warnings import warnings_refused
from auditor.common.pictures import Pictures
from auditor.errors import PrerequisiteMissing
from auditor.proposing.proposer import ProposerOptions, VlmUnavailable
from auditor.proposing.reply_cache import ReplyCache
from auditor.proposing.revision import folder_revision
from auditor.proposing.rounds import Answer, VlmQuestion, propose_in_rounds
from auditor.records.proposals import Proposals

# Every filter of the sampling that a model's own generation_config.json may set, switched off: what is not named here
# is taken from that file, and Qwen2-VL-7B's (top_k 1, top_p 0.001) would make all retries alike.
_NEUTRAL: Mapping[str, Any] = {
    "do_sample": True,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "repetition_penalty": 1.0,
}


class TransformersProposer:
    """Qwen2-VL from a local folder, greedy on the first attempt, several groups per batch."""

    def __init__(
        self,
        folder: Path | str,
        settings: ProposerOptions | None = None,
        cache: ReplyCache | None = None,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_size: int = 8,
    ) -> None:
        self.folder = Path(folder)
        if not (self.folder / "config.json").is_file():
            raise PrerequisiteMissing(f"no vision-language model in {self.folder}; download or train one first")
        self.settings = settings or ProposerOptions()
        self.cache = cache
        self.batch_size = batch_size
        self.model_id = f"transformers:{dtype}@{folder_revision(self.folder)}"
        self._device, self._dtype = device, dtype

    @cached_property
    def processor(self) -> Any:
        """Turns pictures and messages into tensors."""
        load_processor: Any = AutoProcessor
        processor = load_processor.from_pretrained(self.folder, local_files_only=True)
        processor.tokenizer.padding_side = "left"
        return processor

    @cached_property
    def model(self) -> Any:
        """The weights, loaded when first asked: a task that leaves the naming for later needs the identity alone."""
        transformers_logging.disable_progress_bar()  # it would draw into logs
        load_model: Any = Qwen2VLForConditionalGeneration
        with warnings_refused(f"The vision-language model in {self.folder}"):
            model = load_model.from_pretrained(self.folder, dtype=self._dtype, local_files_only=True).eval()
        return model.to(self._device)

    @property
    def identity(self) -> str:
        """Hash over model revision, prompt, schema and sampling."""
        return self.settings.identity(self.model_id)

    def propose(self, base_images: Pictures, adapted_images: Pictures) -> Proposals:
        """See `Proposer.propose`; never raises VlmUnavailable."""
        return propose_in_rounds(
            base_images,
            adapted_images,
            settings=self.settings,
            model=self.model_id,
            cache=self.cache,
            ask=self._ask,
        )

    def _ask(self, questions: Sequence[VlmQuestion]) -> list[Answer | VlmUnavailable]:
        answers: list[Answer | VlmUnavailable] = []
        # Only groups of equal size share a batch: no padding, so a reply never depends on its neighbours.
        for _, run in groupby(questions, key=lambda q: len(q.base)):
            same_size = list(run)
            for start in range(0, len(same_size), self.batch_size):
                answers.extend(self._answer_batch(same_size[start : start + self.batch_size]))
        return answers

    @torch.inference_mode()
    def _answer_batch(self, batch: Sequence[VlmQuestion]) -> list[Answer]:
        started = time.monotonic()
        image = {"type": "image"}
        pairs = len(batch[0].base)
        messages = self.settings.template.messages([image] * pairs, [image] * pairs)
        prompt = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        pictures = [[np.asarray(i) for i in (*q.base, *q.adapted)] for q in batch]
        inputs = self.processor(text=[prompt] * len(batch), images=pictures, return_tensors="pt", padding=True)
        inputs = inputs.to(self.model.device)
        limit = self.settings.sampling.max_tokens
        drawn = self._generate(dict(inputs), batch[0].seed, batch[0].temperature, limit)
        new_tokens = drawn[:, inputs["input_ids"].shape[1] :]
        texts = self.processor.batch_decode(new_tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        ended = self._ended(new_tokens)
        share_s = (time.monotonic() - started) / len(batch)
        return [Answer(text, not end, share_s) for text, end in zip(texts, ended, strict=True)]

    def _generate(self, inputs: dict[str, torch.Tensor], seed: int, temperature: float, limit: int) -> torch.Tensor:
        options = {**_NEUTRAL} | ({"do_sample": False} if temperature == 0 else {"temperature": temperature})
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            drawn = self.model.generate(**inputs, **options, max_new_tokens=limit, use_cache=True)
        return torch.as_tensor(drawn)

    def _ended(self, new_tokens: torch.Tensor) -> list[bool]:
        """Whether each row reached an end-of-sequence token before its limit."""
        ends = self.model.generation_config.eos_token_id
        wanted = torch.tensor(ends if isinstance(ends, list) else [ends], device=new_tokens.device)
        return [bool(row) for row in torch.isin(new_tokens, wanted).any(1)]
