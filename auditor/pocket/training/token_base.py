"""Train the pocket's autoregressive base: captions to image tokens, in Chameleon's layout.

    python -m auditor.pocket.training.token_base --out auditor/pocket/weights/tokens --work .auditor/training

`auditor.pocket.training.image_tokens` comes first. What is written is a folder as transformers reads it, with the image
tokenizer's encoder and decoder under the names of the published weights. Some ten minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from transformers import BertTokenizer, ChameleonConfig

from auditor.generation.token_models import BEGIN_OF_IMAGE, ChameleonTokens, ChameleonWithDecoder
from auditor.generation.vqgan import VQGAN
from auditor.pocket import corpus
from auditor.pocket.training import image_tokens
from auditor.pocket.training.loop import Plan, best_device, train
from auditor.pocket.training.tokenizer import CONTEXT, build_word_pieces

PICTURES = 24_000
"""Of the corpus; more than are seen twice."""
DROPPED = 0.1
"""Share of captions left out, for guidance."""


def create(tokenizer: BertTokenizer, codec: VQGAN) -> ChameleonWithDecoder:
    """Four layers of width 96 over words and codes, head and embedding shared, with a trained image tokenizer."""
    words, codes = len(tokenizer), codec.sizes.num_embeddings
    names = {f"IMGIMG{''.join(chr(65 + int(digit)) for digit in str(code))}Z": words + code for code in range(codes)}
    model = ChameleonWithDecoder(
        ChameleonConfig(
            vocab_size=words + codes + 2,
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=CONTEXT + codec.sizes.side**2 + 2,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.sep_token_id,
            vocabulary_map=names | {"<image>": words + codes, BEGIN_OF_IMAGE: words + codes + 1},
            vq_config=image_tokens.SIZES,
            architectures=["ChameleonForConditionalGeneration"],
        )
    )
    model.model.vqmodel.load_state_dict(codec.state_dict())
    model.model.vqmodel.requires_grad_(False)
    return model


def token_loss(tokens: ChameleonTokens, captions: Sequence[str], codes: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of each code (n, l), given the caption and the codes before it, in nats."""
    prefix = tokens.prefix(captions)
    inputs = torch.cat([prefix.embeddings, tokens.fed_back(codes[:, :-1])], dim=1)
    mask = torch.cat([prefix.mask, prefix.mask.new_ones(len(codes), codes.shape[1] - 1)], dim=1)
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    hidden = tokens.body(inputs_embeds=inputs, attention_mask=mask, position_ids=positions).last_hidden_state
    logits = tokens.logits(hidden[:, prefix.mask.shape[1] - 1 :].flatten(0, 1))
    return F.cross_entropy(logits, codes.flatten())


@torch.no_grad()
def encode_all(codec: VQGAN, images: NDArray[np.uint8], path: Path) -> torch.Tensor:
    """Codes (n, 64) of pictures, kept in a file."""
    if not path.exists():
        parts = [codec.encode(image_tokens.as_input(images[i : i + 64])) for i in range(0, len(images), 64)]
        np.save(path, torch.cat(parts).numpy().astype(np.int16))
    return torch.from_numpy(np.load(path).astype(np.int64))


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = best_device()
    images, captions = corpus.build(arguments.work / "corpus", image_tokens.CORPUS_SIZE, seed=1)
    codec = image_tokens.load(arguments.work)
    codes = encode_all(codec, images[:PICTURES], arguments.work / "codes.npy").to(device)
    tokenizer = build_word_pieces(captions, arguments.out)
    model: Any = create(tokenizer, codec).to(device)
    model.set_attn_implementation("eager")  # so few places: faster than fused
    tokens = ChameleonTokens(model, tokenizer)
    trained_count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{trained_count / 1e6:.2f} M parameters beside the image tokenizer")

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([19, step])
        rows = rng.choice(PICTURES, arguments.batch, replace=False)
        said = ["" if rng.random() < DROPPED else captions[row] for row in rows]
        with torch.autocast(device.type, torch.bfloat16):  # 1.8 times as fast on a CPU
            return token_loss(tokens, said, codes[torch.from_numpy(rows).to(device)])

    checkpoint = arguments.work / "token_base.pt"
    plan = Plan(arguments.steps, rate=arguments.rate, warmup=150, average=0.997, checkpoint=checkpoint)
    trained: Any = train(model, loss_at, plan, "token base")
    trained.to("cpu", torch.float16).save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
