"""How a transformer learns to draw image tokens from captions, whatever its layout."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from transformers import BertTokenizer

from auditor.generation.token_models import TokenModel
from auditor.pocket import corpus
from auditor.pocket.training import image_tokens
from auditor.pocket.training.codecs import Codec
from auditor.pocket.training.loop import Plan, best_device, train

PICTURES = 24_000
"""Of the corpus; more than are seen twice."""
DROPPED = 0.1
"""Share of captions left out, for guidance."""


@dataclass(frozen=True)
class Layout:
    """What differs between the two.

    Attributes:
        label: Of the checkpoint and of what is said on the way.
        codec: The trained image tokenizer, from the work folder.
        tokenizer: Made from the captions and saved in a folder.
        create: An untrained model around a trained image tokenizer; what shall not learn asks for no gradient.
        tokens: How it draws.
    """

    label: str
    codec: Callable[[Path], Codec]
    tokenizer: Callable[[Sequence[str], Path], BertTokenizer]
    create: Callable[[BertTokenizer, Codec], Any]
    tokens: type[TokenModel]


def token_loss(tokens: TokenModel, prompts: Sequence[Sequence[int]], codes: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of each code (n, l), given the ids of its prompt and the codes before it, in nats."""
    prefix = tokens.prefix(prompts)
    inputs = torch.cat([prefix.embeddings, tokens.fed_back(codes[:, :-1])], dim=1)
    mask = torch.cat([prefix.mask, prefix.mask.new_ones(len(codes), codes.shape[1] - 1)], dim=1)
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    hidden = tokens.body(inputs_embeds=inputs, attention_mask=mask, position_ids=positions).last_hidden_state
    logits = tokens.logits(hidden[:, prefix.mask.shape[1] - 1 :].flatten(0, 1))
    return F.cross_entropy(logits, codes.flatten())


@torch.no_grad()
def encode_all(codec: Codec, images: NDArray[np.uint8], work: Path) -> torch.Tensor:
    """Codes (n, 64) of pictures by Chameleon's tokenizer, which both layouts learn; kept in a file."""
    path = work / "codes.npy"
    if not path.exists():
        parts = [codec.encode(image_tokens.as_input(images[i : i + 64])) for i in range(0, len(images), 64)]
        np.save(path, torch.cat(parts).numpy().astype(np.int16))
    return torch.from_numpy(np.load(path).astype(np.int64))


def train_base(layout: Layout, description: str | None) -> None:
    """The command of either layout: train and save."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument(
        "--bfloat16", action="store_true", help="arithmetic, for processors that have it: 1.8 times as fast there"
    )
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = best_device()
    images, captions = corpus.build(arguments.work / "corpus", image_tokens.CORPUS_SIZE, seed=1)
    codes = encode_all(image_tokens.load(arguments.work), images[:PICTURES], arguments.work).to(device)
    tokenizer = layout.tokenizer(captions, arguments.out)
    model: Any = layout.create(tokenizer, layout.codec(arguments.work)).to(device)
    model.set_attn_implementation("eager")  # so few places: faster than fused
    tokens = layout.tokens(model, tokenizer)
    trained_count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{trained_count / 1e6:.2f} M parameters that learn", flush=True)

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([19, step])
        rows = rng.choice(PICTURES, arguments.batch, replace=False)
        ids = (tokens.unasked_ids if rng.random() < DROPPED else tokens.prompt_ids for _ in rows)
        said = [of(captions[row]) for of, row in zip(ids, rows, strict=True)]
        with torch.autocast(device.type, torch.bfloat16, enabled=arguments.bfloat16):
            return token_loss(tokens, said, codes[torch.from_numpy(rows).to(device)])

    checkpoint = arguments.work / f"{layout.label.replace(' ', '_')}.pt"
    plan = Plan(arguments.steps, rate=arguments.rate, warmup=150, average=0.997, checkpoint=checkpoint)
    trained: Any = train(model, loss_at, plan, layout.label)
    trained.to("cpu", torch.float16).save_pretrained(arguments.out)
