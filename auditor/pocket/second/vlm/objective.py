"""What the pocket VLM is trained on: the reply's tokens, and for the vision tower a plain list of concepts.

The second loss is a head on the mean difference between a case's personalised and base picture tokens. It
teaches the tower to see styles within minutes; the language model then learns to read them out. The head is
thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Qwen2VLForConditionalGeneration, Qwen2VLProcessor

from auditor.pocket.second.vlm.architecture import GRID, TEXT_WIDTH, TOKENS_PER_IMAGE, encode_pictures, to_patches
from auditor.pocket.second.vlm.pairs import CONCEPTS, Pool, answer_text
from auditor.pocket.second.words import synonyms
from auditor.proposing.template import TEMPLATE

IGNORED = -100


class ConceptHead(nn.Module):
    """Concept logits from picture tokens; used in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * TEXT_WIDTH, len(CONCEPTS))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (cases, pairs, 2, 4, width) picture tokens to (cases, concepts) logits."""
        pooled = tokens.mean(3)
        change = pooled[:, :, 1] - pooled[:, :, 0]
        features = torch.cat([change.mean(1), pooled[:, :, 1].mean(1)], dim=-1)
        return torch.as_tensor(self.linear(features))


@dataclass(frozen=True)
class Batch:
    """`pictures` (cases, pairs, 2, 64, 64, 3) float in [0, 1]; `present` (cases, concepts) 0 or 1."""

    pictures: Tensor
    present: Tensor
    replies: tuple[str, ...]
    concepts: tuple[tuple[str, ...], ...]


def sample_batch(
    pools: list[Pool], weights: list[float], size: int, rng: np.random.Generator, two_share: float | None = None
) -> Batch:
    """Draw cases, pairs within them, synonyms, and small changes of light and noise per picture.

    Mostly three pairs a case, as in production; one or two in a fifth of the batches, as in a last group.

    Args:
        pools: Where cases come from.
        weights: Share of each pool.
        size: Cases.
        rng: Source of chance.
        two_share: Share of cases with two concepts or more; None leaves it to the pools.
    """
    pairs = int(rng.choice([1, 2, 3], p=[0.1, 0.1, 0.8]))
    chosen = rng.choice(len(pools), size, p=weights)
    drawn, concepts = [], []
    for p in chosen:
        if two_share is None:
            case = int(rng.integers(len(pools[p].concepts)))
        else:
            case = int(rng.choice(pools[p].of_size(several=bool(rng.random() < two_share))))
        rows = rng.permutation(pools[p].images.shape[1])[:pairs]
        drawn.append(pools[p].images[case][np.sort(rows)])
        concepts.append(pools[p].concepts[case])
    pictures = _jitter(np.stack(drawn), rng)
    present = np.array([[c in case for c in CONCEPTS] for case in concepts], dtype=np.float32)
    replies = tuple(answer_text(case, rng) for case in concepts)
    return Batch(torch.from_numpy(pictures), torch.from_numpy(present), replies, tuple(concepts))


def _jitter(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    shape = (*images.shape[:3], 1, 1, 1)
    gain = rng.normal(1, 0.015, shape).astype(np.float32)
    offset = rng.normal(0, 0.01, shape).astype(np.float32)
    sigma = rng.uniform(0, 0.015, shape).astype(np.float32)
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    return np.clip(images.astype(np.float32) / 255 * gain + offset + sigma * noise, 0, 1)


class Objective:
    """The losses, with prompts tokenised once per number of pairs."""

    def __init__(self, model: Qwen2VLForConditionalGeneration, processor: Qwen2VLProcessor) -> None:
        self.model, self.processor = model, processor
        self.tokenizer = processor.tokenizer
        self.image_token: int = model.config.image_token_id
        self._prompts: dict[int, list[int]] = {}

    def prompt(self, pairs: int) -> list[int]:
        """Token ids of the production prompt with `pairs` base and as many personalised pictures."""
        if pairs not in self._prompts:
            image = {"type": "image"}
            messages: Any = TEMPLATE.messages([image] * pairs, [image] * pairs)
            text = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            pad = self.processor.image_token
            self._prompts[pairs] = self.tokenizer(text.replace(pad, pad * TOKENS_PER_IMAGE))["input_ids"]
        return self._prompts[pairs]

    def picture_tokens(self, pictures: Tensor) -> Tensor:
        """Encode (cases, pairs, 2, 64, 64, 3) pictures to (cases, pairs, 2, 4, width)."""
        lead = pictures.shape[:3]
        tokens = encode_pictures(self.model.model.visual, to_patches(pictures.flatten(0, 2)))
        return tokens.view(*lead, TOKENS_PER_IMAGE, -1)

    def reply_logits(self, tokens: Tensor, replies: list[list[int]]) -> Tensor:
        """Teacher-forced logits over the reply.

        Args:
            tokens: (cases, pairs, 2, 4, width) picture tokens.
            replies: Token ids per case, padded to one length L.

        Returns:
            (cases, L, vocabulary): row t predicts reply token t.
        """
        cases, pairs = tokens.shape[:2]
        prompt = self.prompt(pairs)
        device = tokens.device
        ids = torch.tensor([prompt + r[:-1] for r in replies], device=device)
        embedded = self.model.get_input_embeddings()(ids)
        # All base pictures come before all personalised ones: (case, pair, side) -> (case, side, pair).
        filling = tokens.transpose(1, 2).reshape(cases, -1, tokens.shape[-1])
        embedded = embedded.masked_scatter((ids == self.image_token)[..., None], filling.to(embedded.dtype))
        hidden = self.model.model.language_model(
            inputs_embeds=embedded,
            position_ids=self._positions(ids[:1]).expand(3, cases, -1),
            use_cache=False,
        ).last_hidden_state
        return torch.as_tensor(self.model.lm_head(hidden[:, len(prompt) - 1 :]))

    def _positions(self, ids: Tensor) -> Tensor:
        kinds = (ids == self.image_token).int()
        count = int(kinds.sum()) // TOKENS_PER_IMAGE
        grids = torch.tensor([[1, GRID, GRID]] * count, device=ids.device)
        positions, _ = self.model.model.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=grids)
        return torch.as_tensor(positions)

    def encode_replies(self, replies: tuple[str, ...]) -> tuple[list[list[int]], Tensor]:
        """Token ids padded to one length, and the targets with padding ignored."""
        end, pad = self.tokenizer.eos_token_id, self.tokenizer.pad_token_id
        ids = [[*self.tokenizer(r)["input_ids"], end] for r in replies]
        longest = max(map(len, ids))
        targets = torch.tensor([r + [IGNORED] * (longest - len(r)) for r in ids])
        return [r + [pad] * (longest - len(r)) for r in ids], targets

    def losses(self, batch: Batch, head: ConceptHead, *, vision_only: bool) -> tuple[Tensor, Tensor]:
        """Concept loss of the head and cross-entropy of the reply (zero when `vision_only`)."""
        tokens = self.picture_tokens(batch.pictures)
        # Scaled by the number of concepts, so that one missed concept weighs like one missed token.
        seen = F.binary_cross_entropy_with_logits(head(tokens), batch.present) * len(CONCEPTS)
        if vision_only:
            return seen, torch.zeros_like(seen)
        padded, targets = self.encode_replies(batch.replies)
        logits = self.reply_logits(tokens, padded)
        said = F.cross_entropy(logits.flatten(0, 1), targets.flatten().to(logits.device), ignore_index=IGNORED)
        return seen, said

    @torch.inference_mode()
    def first_named(self, batch: Batch) -> float:
        """Share of cases whose first word, or empty list, is right, synonyms included; one forward pass."""
        opening = self.tokenizer('{"concepts": ["')["input_ids"]
        nothing = self.tokenizer('{"concepts": []}')["input_ids"][-1]
        logits = self.reply_logits(self.picture_tokens(batch.pictures), [[*opening, opening[0]] for _ in batch.replies])
        starts = logits[:, len(opening) - 1].argmax(-1).tolist()  # an opened or an empty list
        words = logits[:, len(opening)].argmax(-1).tolist()
        right = 0
        for case, start, word in zip(batch.concepts, starts, words, strict=True):
            accepted = {self.tokenizer(w)["input_ids"][0] for c in case for w in (c, *synonyms(c))}
            right += (start == nothing) if not case else (start != nothing and word in accepted)
        return right / len(batch.concepts)
