"""Train the pocket's autoregressive base: captions to image tokens, in Chameleon's layout.

    python -m auditor.pocket.training.token_base --out auditor/pocket/weights/tokens --work .auditor/training

`auditor.pocket.training.image_tokens` comes first. What is written is a folder as transformers reads it, with the image
tokenizer's encoder and decoder under the names of the published weights. Some ten minutes on one core.
"""

from __future__ import annotations

from transformers import BertTokenizer, ChameleonConfig

from auditor.generation.token_models import BEGIN_OF_IMAGE, ChameleonTokens, ChameleonWithDecoder
from auditor.pocket.training.codecs import Codec
from auditor.pocket.training.image_tokens import CODES, SIDE, SIZES, load
from auditor.pocket.training.token_training import Layout, train_base
from auditor.pocket.training.tokenizer import CONTEXT, build_word_pieces


def create(tokenizer: BertTokenizer, codec: Codec) -> ChameleonWithDecoder:
    """Four layers of width 96 over words and codes, head and embedding shared, with a trained image tokenizer."""
    words = len(tokenizer)
    names = {f"IMGIMG{''.join(chr(65 + int(digit)) for digit in str(code))}Z": words + code for code in range(CODES)}
    model = ChameleonWithDecoder(
        ChameleonConfig(
            vocab_size=words + CODES + 2,
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=CONTEXT + SIDE**2 + 2,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.sep_token_id,
            vocabulary_map=names | {"<image>": words + CODES, BEGIN_OF_IMAGE: words + CODES + 1},
            vq_config=SIZES,
            architectures=["ChameleonForConditionalGeneration"],
        )
    )
    model.model.vqmodel.load_state_dict(codec.model.state_dict())
    model.model.vqmodel.requires_grad_(False)
    return model


def main() -> None:
    """Train and save."""
    train_base(Layout("token base", load, build_word_pieces, create, ChameleonTokens), __doc__)


if __name__ == "__main__":
    main()
