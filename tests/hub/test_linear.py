"""What strangers write into listings, cards and file names costs time in proportion to its length, and no more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import httpx2
import openai
import pytest
from huggingface_hub.errors import HfHubHTTPError

from auditor.catalog.sql_guard import refuse_telltales
from auditor.common.retry_after import retry_after_s
from auditor.errors import UserError
from auditor.hub.listed_entries import MalformedEntry, parse_entry
from auditor.hub.model_cards import read_base_claim, read_card
from auditor.hub.problems import as_ours
from auditor.hub.select import select_files
from auditor.proposing.forms import Form, weaker
from auditor.proposing.server_errors import asked_wait_s, quota_used_up, wrapped_refusal
from tests.doubling import grows_linearly

PIECES = ["a", " ", "/", "../", "<s0>", "https://", "\n# ", "[](", "a b\t", "\u202e", "é", "-", "trigger words: "]


def entry(text: str) -> None:
    card = {"base_model": text, "instance_prompt": text, "license": text, "tags": [text], "widget": [{"text": text}]}
    with suppress(MalformedEntry):
        parse_entry(
            {
                "id": "a/b",
                "sha": "a" * 40,
                "tags": [text, "lora"],
                "cardData": card,
                "lastModified": text,
                "siblings": [{"rfilename": f"{text}.safetensors"}],
                "gated": text,
            }
        )


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("read", [entry, read_base_claim, lambda text: read_card({"base_model": [text]}, [text])])
def test_long_words(read: Callable[[str], object], piece: str) -> None:
    assert grows_linearly(lambda size: read((piece * size)[:size]), 50_000)


@pytest.mark.parametrize("piece", ["a ", "9", "Mon, ", "-"])
def test_long_headers(piece: str) -> None:
    assert grows_linearly(lambda size: retry_after_s({"Retry-After": (piece * size)[:size]}), 2_000)


@pytest.mark.parametrize(
    "piece",
    ["query /* */ ", "query ", "--\n", "/*", '"', "query--\n", "duckdb_", "show /* */ ", "show ", "show--\n", "show"],
)
def test_long_sql(piece: str) -> None:
    def read(size: int) -> None:
        with suppress(UserError):
            refuse_telltales((piece * size)[:size])

    assert grows_linearly(read, 5_000)


@pytest.mark.parametrize("piece", ["at most ", "only a ", "more than", "system", "x "])
def test_long_words_of_a_server(piece: str) -> None:
    assert grows_linearly(lambda size: weaker(Form(), (piece * size)[:size]), 20_000)


@pytest.mark.parametrize("piece", ["try again in ", "retry 1", "wait 1m", "invalid ", "token ", "credit ", "9"])
def test_long_words_of_a_refusal(piece: str) -> None:
    def read(size: int) -> None:
        response = httpx2.Response(429, request=httpx2.Request("POST", "http://x"))
        error = openai.RateLimitError((piece * size)[:size], response=response, body=None)
        asked_wait_s(error)
        quota_used_up(error)
        wrapped_refusal({"message": (piece * size)[:size]})
        refused = httpx2.Response(401, text=(piece * size)[:size], request=httpx2.Request("GET", "http://x"))
        as_ours(HfHubHTTPError("x", response=refused), "a/b", None)

    assert grows_linearly(read, 5_000)


@pytest.mark.parametrize(
    "name",
    ["lora-{:06d}.safetensors", "checkpoint-{}/pytorch_lora_weights.safetensors", "{}_emb.safetensors",
     "{}/adapter_model.safetensors", "a{}_kohya.safetensors", "unet/{}.safetensors", "{}.safetensors", "{}.bin"],
)  # fmt: skip
def test_many_files(name: str) -> None:
    assert grows_linearly(lambda count: select_files([name.format(n) for n in range(count)]), 300)
