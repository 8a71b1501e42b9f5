"""Train the pocket's Janus: captions to image tokens, in the layout in which transformers writes Janus.

    python -m auditor.pocket.training.janus_base --out auditor/pocket/weights/janus --work .auditor/training

`auditor.pocket.training.janus_tokens` comes first. What learns here is what draws: the language model,
the embedding of codes with its aligner, and the generation head. The tower that reads pictures is there because the
layout has one; it is as small as may be, and its weights stay random.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import (
    BertTokenizer,
    GenerationConfig,
    JanusConfig,
    JanusForConditionalGeneration,
    JanusVisionConfig,
    JanusVQVAEConfig,
    LlamaConfig,
)

from auditor.generation.token_models import JanusTokens
from auditor.pocket.training.codecs import Codec
from auditor.pocket.training.image_tokens import RESOLUTION, SIDE
from auditor.pocket.training.janus_tokens import SIZES, load
from auditor.pocket.training.token_training import Layout, train_base
from auditor.pocket.training.tokenizer import CONTEXT, build_word_pieces

BEGIN, PLACEHOLDER = "<begin_of_image>", "<image_placeholder>"
TURNS = ("<|User|>", "<|Assistant|>")
WIDTH = 96


def build_tokenizer(captions: Sequence[str], folder: Path) -> BertTokenizer:
    """Words of the captions, and under the published names the tokens that make a turn and a picture."""
    tokenizer = build_word_pieces(captions, folder)
    tokenizer.add_special_tokens(
        {
            "bos_token": tokenizer.cls_token,
            "eos_token": tokenizer.sep_token,
            "additional_special_tokens": [BEGIN, PLACEHOLDER, *TURNS],
        }
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def create(tokenizer: BertTokenizer, codec: Codec) -> JanusForConditionalGeneration:
    """Four layers of width 96 over words, a head and an embedding of codes, with a trained image tokenizer."""
    begin, placeholder = tokenizer.convert_tokens_to_ids([BEGIN, PLACEHOLDER])
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT + SIDE**2 + 8,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    vision = JanusVisionConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        mlp_ratio=1.0,
        image_size=RESOLUTION,
        patch_size=RESOLUTION // SIDE,
        num_image_tokens=SIDE**2,
        projection_dim=WIDTH,
    )
    codes = JanusVQVAEConfig(**SIZES)
    config = JanusConfig(text_config=text, vision_config=vision, vq_config=codes, image_token_id=placeholder)
    model = JanusForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        generation_kwargs={"boi_token_id": begin},
    )
    model.model.vqmodel.load_state_dict(codec.model.state_dict())
    for part in (model.model.vqmodel, model.model.vision_model, model.model.aligner):
        part.requires_grad_(False)
    return model


def main() -> None:
    """Train and save."""
    train_base(Layout("janus base", load, build_tokenizer, create, JanusTokens), __doc__)


if __name__ == "__main__":
    main()
