"""What somebody writes who wants to know what one LoRA does: diffusers, open_clip and transformers as their pages show.

Every picture is drawn alone, the base's again for every adapter, every picture is embedded alone, and the
vision-language model is asked about each pair alone. Nothing of this package draws, embeds or asks here; the wording of
the question and the lexicon's way of adding a concept are shared, so that both ask for the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoProcessor, Qwen2VLForConditionalGeneration

from auditor.lexicons.loader import Lexicon
from auditor.proposing.template import TEMPLATE

MAX_TOKENS = 96


@dataclass(frozen=True)
class NaiveResult:
    """What the script finds: V (D,), its concepts with their weights, and denoiser evaluations."""

    mean: NDArray[np.float64]
    weights: dict[str, float]
    evaluations: int


class NaiveScript:
    """The script with its models loaded; `audit` is what it does for one adapter."""

    def __init__(self, base: Path, clip: Path, vlm: Path, lexicon: Lexicon) -> None:
        """Load the three models.

        Args:
            base: Folder of the pipeline.
            clip: Folder of the open_clip model.
            vlm: Folder of the Qwen2-VL.
            lexicon: Says how a concept is added to a prompt.
        """
        self.pipe: Any = StableDiffusionPipeline.from_pretrained(base, torch_dtype=torch.float32, local_files_only=True)
        self.pipe.set_progress_bar_config(disable=True)
        self.pipe.unet.register_forward_hook(self._count, with_kwargs=True)
        self.clip: Any
        self.clip, _, self.preprocess = open_clip.create_model_and_transforms(f"local-dir:{clip}")
        self.clip.eval()
        self.tokenizer = open_clip.get_tokenizer(f"local-dir:{clip}")
        self.processor: Any = AutoProcessor.from_pretrained(vlm, local_files_only=True)
        self.vlm: Any = Qwen2VLForConditionalGeneration.from_pretrained(vlm, local_files_only=True)
        self.lexicon = lexicon
        self.evaluations = 0

    def audit(
        self, adapter: Path, prompts: Sequence[str], seeds: Sequence[int], *, steps: int | None, guidance: float
    ) -> NaiveResult:
        """One adapter.

        Args:
            adapter: Its file.
            prompts: One per pair.
            seeds: Noise of each pair.
            steps: Denoising steps; None: the default of diffusers (50).
            guidance: Guidance scale.
        """
        before = self.evaluations
        more = {} if steps is None else {"num_inference_steps": steps}
        self.pipe.load_lora_weights(str(adapter.parent), weight_name=adapter.name)
        adapted = self._draw(prompts, seeds, guidance_scale=guidance, **more)
        self.pipe.unload_lora_weights()
        base = self._draw(prompts, seeds, guidance_scale=guidance, **more)
        features = [np.stack([self._embed(picture) for picture in pictures]) for pictures in (base, adapted)]
        mean = (features[1] - features[0]).mean(0)
        phrases = sorted({phrase for pair in zip(base, adapted, strict=True) for phrase in self._ask(*pair)})
        return NaiveResult(mean, self._weights(mean, phrases, prompts), self.evaluations - before)

    def _draw(self, prompts: Sequence[str], seeds: Sequence[int], **options: Any) -> list[Image.Image]:
        return [
            self.pipe(prompt, generator=torch.Generator().manual_seed(seed), **options).images[0]
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]

    @torch.no_grad()
    def _embed(self, picture: Image.Image) -> NDArray[np.float64]:
        features = self.clip.encode_image(self.preprocess(picture).unsqueeze(0), normalize=True)
        return np.asarray(features[0].double().numpy())

    @torch.no_grad()
    def _ask(self, base: Image.Image, adapted: Image.Image) -> list[str]:
        image = {"type": "image"}
        prompt = self.processor.apply_chat_template(
            TEMPLATE.messages([image], [image]), tokenize=False, add_generation_prompt=True
        )
        inputs = self.processor(text=[prompt], images=[[base, adapted]], return_tensors="pt")
        drawn = self.vlm.generate(**inputs, max_new_tokens=MAX_TOKENS, do_sample=False)
        reply = self.processor.batch_decode(drawn[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)[0]
        try:
            return [str(concept) for concept in json.loads(reply)["concepts"]]
        except (ValueError, KeyError, TypeError):
            return []

    @torch.no_grad()
    def _weights(self, mean: NDArray[np.float64], phrases: Sequence[str], prompts: Sequence[str]) -> dict[str, float]:
        """Least squares on f(C) of the phrases (Eq. 6 and 10)."""
        if not phrases:
            return {}
        plain = self._texts(prompts)
        vectors = [
            (self._texts([self.lexicon.phrase(prompt, phrase) for prompt in prompts]) - plain).mean(0)
            for phrase in phrases
        ]
        found = np.linalg.lstsq(np.stack(vectors).T, mean, rcond=None)[0]
        return dict(zip(phrases, map(float, found), strict=True))

    def _texts(self, texts: Sequence[str]) -> NDArray[np.float64]:
        features = self.clip.encode_text(self.tokenizer(list(texts)), normalize=True)
        return np.asarray(features.double().numpy())

    def _count(self, module: torch.nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        self.evaluations += len(args[0])
