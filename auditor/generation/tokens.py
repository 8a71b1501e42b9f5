"""New tokens for a pipeline's tokenizers and text encoders: on copies, so that taking them away leaves no trace."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

from auditor.adapters.normalised import TokenEmbedding
from auditor.errors import ItemError, Refused


class Vocabulary:
    """The tokenizers and input embeddings of one pipeline, with or without the words of one adapter."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._own: dict[str, tuple[Any, torch.nn.Module]] = {}
        self._extended: dict[str, tuple[Any, torch.nn.Module]] = {}

    def add(self, embeddings: Sequence[TokenEmbedding]) -> None:
        """Teach the words, and switch them on.

        Raises:
            Refused: `nonfinite_weights`, when a vector overflows the encoder's precision.
            ItemError: Failed as `not_applied`, when the tokenizer knows a token already.
        """
        for component in dict.fromkeys(c for embedding in embeddings for c in embedding.vectors):
            tokenizer_name = component.replace("text_encoder", "tokenizer")
            tokenizer, encoder = getattr(self._pipe, tokenizer_name), getattr(self._pipe, component)
            own = encoder.get_input_embeddings()
            taught = [embedding for embedding in embeddings if component in embedding.vectors]
            tokens = [token for embedding in taught for token in embedding.tokens]
            vectors = torch.cat([embedding.vectors[component] for embedding in taught])
            self._own[component] = (tokenizer, own)
            self._extended[component] = (_taught(tokenizer, tokens), _longer(own, vectors, len(tokenizer)))
        self.switch(True)

    def switch(self, on: bool) -> None:
        """With the words, or exactly as the base is."""
        for component, (tokenizer, embedding) in (self._extended if on else self._own).items():
            setattr(self._pipe, component.replace("text_encoder", "tokenizer"), tokenizer)
            getattr(self._pipe, component).set_input_embeddings(embedding)

    def clear(self) -> None:
        """Put the base's own back and forget the words."""
        self.switch(False)
        self._own, self._extended = {}, {}


def _taught(tokenizer: Any, tokens: list[str]) -> Any:
    extended = copy.deepcopy(tokenizer)
    if extended.add_tokens(tokens) != len(tokens):
        raise ItemError("failed", "not_applied", "The base's tokenizer knows a token of the file already.")
    return extended


def _longer(own: torch.nn.Module, vectors: torch.Tensor, vocabulary: int) -> torch.nn.Embedding:
    """The embedding with the new rows where the tokenizer numbers them: from the end of its own vocabulary."""
    weight: Any = own.weight
    added = vectors.to(device=weight.device, dtype=weight.dtype)
    if not torch.isfinite(added).all():
        raise Refused("nonfinite_weights", f"An embedding overflows {weight.dtype}.")
    rows = torch.cat([weight[:vocabulary], added, weight[vocabulary + len(added) :]])
    longer: torch.nn.Embedding = torch.nn.Embedding.from_pretrained(rows, freeze=True)
    return longer
