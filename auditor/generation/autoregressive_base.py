"""A transformer that draws image tokens as a base: a picture is sampled token by token, then decoded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from auditor.errors import UserError
from auditor.generation.pipeline_loading import dtype_named
from auditor.generation.replaced_weights import ReplacedWeightsBase
from auditor.generation.token_models import TokenModel, load_token_model

PROOF_PROMPT = "a photo"
_NOT_DRAWN = -1
"""Stands for a code that could not be drawn: its picture counts as not finite."""
_KEPT_PICTURES = 4096
"""Most pictures whose tokens are remembered, those used last; at 1,024 tokens each 4 MB per thousand."""


class AutoregressiveBase(ReplacedWeightsBase):
    """A model of Chameleon's layout (Anole) or Janus, loaded from a local folder.

    Each picture has one stream of random numbers, its seed's: token i is the code whose logit plus the stream's i-th
    Gumbel noise is largest, which draws from the softmax at the set temperature. Base and copy thus draw the same token
    wherever their logits agree: a copy that changes the image decoder alone draws the very tokens of the base, which
    are remembered and not drawn again.
    """

    def _open(self) -> Any:
        dtype = dtype_named(self.options.dtype)
        self._tokens: TokenModel = load_token_model(self.path, self.options.device, dtype)
        if self.options.size != self._tokens.resolution:
            raise UserError(
                f"The base in {self.path} draws pictures of {self._tokens.resolution} pixels, not of "
                f"{self.options.size}: set recipe.bases.NAME.size."
            )
        self._remembered: OrderedDict[tuple[str, int], torch.Tensor] = OrderedDict()
        return self._tokens.model

    def _draw(self, prompts: Sequence[str], seeds: Sequence[int]) -> torch.Tensor:
        codes = self._codes(prompts, seeds).to(self.options.device)
        pictures = self._tokens.decode(codes.clamp_min(0)) / 2 + 0.5
        pictures[(codes == _NOT_DRAWN).any(dim=1)] = torch.nan
        return pictures

    def _proof(self) -> torch.Tensor:
        """Logits of every token of one fixed picture, and the picture."""
        model = self._tokens
        codes = (torch.arange(model.side**2, device=self.options.device) * 7919 % model.codes)[None]
        prefix = model.prefix([model.prompt_ids(PROOF_PROMPT)])
        inputs = torch.cat([prefix.embeddings, model.fed_back(codes[:, :-1])], dim=1)
        hidden = model.body(inputs_embeds=inputs).last_hidden_state[0, prefix.mask.shape[1] - 1 :]
        self.calls.proof += codes.shape[1]
        return torch.cat([model.logits(hidden).flatten(), model.decode(codes).float().flatten()])

    def _codes(self, prompts: Sequence[str], seeds: Sequence[int]) -> torch.Tensor:
        """Codes (n, tokens) of a batch; those that the base's own transformer draws are remembered."""
        if self.adapted and not all(name.startswith(self._tokens.decoder_parts) for name in self._merger.differing):
            return self._sample(prompts, seeds)
        keys = list(zip(prompts, seeds, strict=True))
        new = [number for number, key in enumerate(keys) if key not in self._remembered]
        if new:
            drawn = self._sample([prompts[i] for i in new], [seeds[i] for i in new])
            self._remembered |= {keys[i]: row for i, row in zip(new, drawn.cpu().to(torch.int32), strict=True)}
        found = torch.stack([self._remembered[key] for key in keys]).long()
        for key in keys:  # the plain probes are every copy's, prompts with a word of its own one copy's
            self._remembered.move_to_end(key)
        while len(self._remembered) > _KEPT_PICTURES:
            self._remembered.popitem(last=False)
        return found

    def _sample(self, prompts: Sequence[str], seeds: Sequence[int]) -> torch.Tensor:
        """Draw codes (n, tokens) token by token; `_NOT_DRAWN` where the logits are not finite."""
        model, options = self._tokens, self.options
        guided = options.guidance > 1
        rows = [model.prompt_ids(prompt) for prompt in prompts]
        prefix = model.prefix([*rows, *map(model.unasked_ids, prompts)] if guided else rows)
        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        inputs, mask, cache = prefix.embeddings, prefix.mask, DynamicCache()
        drawn: list[torch.Tensor] = []
        for _ in range(model.side**2):
            positions = (mask.cumsum(1) - 1).clamp_min(0)[:, -inputs.shape[1] :]
            hidden = model.body(
                inputs_embeds=inputs,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state[:, -1]
            logits = model.logits(hidden)
            if guided:
                asked, unasked = logits.chunk(2)
                logits = unasked + options.guidance * (asked - unasked)
            uniform = torch.stack([torch.rand(model.codes, generator=stream) for stream in streams])
            gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
            codes = (logits / options.temperature + gumbel.to(logits.device)).argmax(1)
            drawn.append(codes.where(torch.isfinite(logits).all(dim=1), _NOT_DRAWN))
            self._count(len(hidden))
            inputs = model.fed_back((torch.cat([codes, codes]) if guided else codes)[:, None])
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        return torch.stack(drawn, dim=1)
