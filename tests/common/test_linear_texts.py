"""What cleans, masks, quotes or reads strangers' texts costs time in proportion to their length, and no more.

Headers, names and metadata of files: tests/adapters/test_doubling.py. Listings, cards and SQL:
tests/hub/test_linear.py. Replies of a model: tests/proposing/test_schema.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from auditor.adapters.embeddings import respell
from auditor.adapters.normalised import TokenEmbedding
from auditor.adapters.scaling import read_sidecar
from auditor.catalog.export.flat import cell
from auditor.catalog.export.gallery_data import script_json
from auditor.catalog.questions.question import CatalogWords
from auditor.catalog.questions.question_reader import MAX_CHARS, read_question
from auditor.catalog.sql_guard import without_paths
from auditor.catalog.sql_texts import literal
from auditor.common.text_safety import clean
from auditor.errors import AuditorError, UserError
from auditor.hub.file_names import is_safe_name, without_suffix
from auditor.hub.training_steps import checkpoint_step, step_of
from auditor.lexicons import concept_key
from auditor.logs import mask_secrets
from auditor.proposing.schema import InvalidReply, clean_phrase, printable
from tests.doubling import grows_linearly

PIECES = [
    "a", " ", "\n", "\x1b", "\x1b[", "\x1b[1;", "\x9b0", "\x1b]0;", "\x1bP", "\x9d", "\x1b(", "\u202e", "\u200d", "=",
    ";=", "hf_", "hf-a ", "sk-", "<s0>", "../", "checkpoint-", "-1", "0", "_000", "<", "&", "'", '"', "\\", "a b ", "é",
]  # fmt: skip
READERS: dict[str, Callable[[str], object]] = {
    "clean": clean,
    "clean, cut": lambda text: clean(text, limit=80, multiline=True),
    "printable": printable,
    "phrase": clean_phrase,
    "log": lambda text: mask_secrets(None, "", {"event": text, "list": [text]}),
    "cell": lambda text: cell([text]),
    "script": script_json,
    "literal": literal,
    "message": lambda text: without_paths(text, Path("catalog.duckdb")),
    "concept": concept_key,
    "step": step_of,
    "checkpoint": checkpoint_step,
    "name": lambda text: (is_safe_name(text), without_suffix(text)),
    "words": lambda text: respell(text, (TokenEmbedding("s", ("<s-0>",), {"text_encoder": torch.ones(1, 1)}),)),
}


@pytest.mark.parametrize("reader", READERS)
def test_texts(reader: str) -> None:
    def work(piece: str, size: int) -> None:
        with suppress(InvalidReply, ValueError):
            READERS[reader]((piece * size)[:size])

    slow = [piece for piece in PIECES if not grows_linearly(lambda size, piece=piece: work(piece, size), 5_000)]
    assert slow == []


@pytest.mark.parametrize("piece", ["[", '{"a":', "9", '"', '{"r":1,', " ", '"\\'])
def test_settings_beside_a_file(tmp_path: Path, piece: str) -> None:
    def work(size: int) -> None:
        path = tmp_path / "adapter_config.json"
        path.write_text((piece * size)[:size])
        with suppress(AuditorError):
            read_sidecar(path)

    assert grows_linearly(work, 20_000)


def test_settings_with_many_patterns(tmp_path: Path) -> None:
    def work(size: int) -> None:
        path = tmp_path / "adapter_config.json"
        patterns = {f"blocks.{number}.(to_q|to_k)+$": 4 for number in range(size)}
        path.write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 4, "rank_pattern": patterns}))
        with suppress(AuditorError):
            rule = read_sidecar(path)
            for number in range(size):
                rule.scale((f"blocks.{number}.to_q",), 4)

    assert grows_linearly(work, 200)


@pytest.mark.parametrize("piece", ["more a than b ", "more ", "not ", "a/b ", "like a/b ", "vivd ", "or ", "<1 ", "un",
                                   "https://a/", "license ", "at least 3 ", "(", "'"])  # fmt: skip
def test_questions(piece: str) -> None:
    """They are cut off at a length; up to there the cost must not run away."""
    words = CatalogWords({"vivid": "vivid"}, ("vivid",), ("sdxl",), ("mit",), frozenset(), lambda text: False)

    def work(size: int) -> None:
        with suppress(UserError):
            read_question((piece * size)[:size], words)

    work(8)
    assert grows_linearly(work, MAX_CHARS // 8)
