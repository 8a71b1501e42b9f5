"""Chat servers as they are: each takes the question in its own form, or says of one adapter that it will not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest

from auditor.errors import PrerequisiteMissing, UserError
from auditor.proposing.endpoint import Endpoint
from auditor.proposing.forms import Form, weaker
from auditor.proposing.images import contact_sheet
from auditor.proposing.openai_proposer import OpenAIProposer
from auditor.proposing.proposer import ProposerOptions, Sampling, VlmUnavailable
from auditor.proposing.readiness import check_questions
from auditor.proposing.reply_cache import ReplyCache
from auditor.proposing.server_errors import asked_wait_s, quota_used_up
from tests.stub_vlm import GOOD, Refused, StubServer, completion
from tests.written_table import check_table

Pairs = tuple[np.ndarray, np.ndarray]
Body = dict[str, Any]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
SETTINGS = ProposerOptions(Sampling(attempts=3, seed=100))


def proposer(url: str, cache: ReplyCache | None = None, **patience: Any) -> OpenAIProposer:
    options = {"deadline_s": 5.0, "pause_s": 0.01, "parallel": 2} | patience
    return OpenAIProposer(Endpoint(url, "m", "r1", **options), SETTINGS, cache)


def pictures(body: Body) -> int:
    parts = [p for m in body["messages"] if isinstance(m["content"], list) for p in m["content"]]
    return sum(part["type"] == "image_url" for part in parts)


def keywords(body: Body) -> set[str]:
    def walk(value: Any) -> Iterator[str]:
        for key, inner in value.items() if isinstance(value, dict) else ():
            yield key
            yield from walk(inner)

    return set(walk(body.get("response_format", {})))


def asked_for(body: Body) -> str | None:
    return body.get("response_format", {}).get("type")


@dataclass(frozen=True)
class Server:
    """A kind of server: what makes it refuse, with which words, and the form in which it answers."""

    refuses: Any
    words: Refused
    form: str


SERVERS = {
    "schema keywords": Server(
        lambda b: keywords(b) & {"pattern", "minItems", "maxItems"},
        Refused(400, "Invalid schema for response_format 'concepts': 'maxItems' is not permitted."), "schema plain"),
    "no schema, in other words": Server(
        lambda b: asked_for(b) == "json_schema",
        Refused(422, "Template error / unknown variant json_schema"), "schema json_object"),
    "no response format": Server(
        lambda b: asked_for(b), Refused(400, "'response_format.type' must be 'text'"), "schema none"),
    "no reason given": Server(lambda b: asked_for(b), Refused(400, "Bad Request"), "schema none"),
    "no grammar backend": Server(
        lambda b: asked_for(b) == "json_schema", Refused(400, "guided decoding is unsupported"), "schema json_object"),
    "another name of the limit": Server(
        lambda b: "max_tokens" in b,
        Refused(400, "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
        "max_completion_tokens"),
    "a temperature of its own": Server(
        lambda b: b.get("temperature", 1) != 1,
        Refused(400, "Unsupported value: 'temperature' does not support 0."), "no temperature"),
    "no seed": Server(lambda b: "seed" in b, Refused(400, "Unknown field: seed"), "no seed"),
    "no system role": Server(
        lambda b: b["messages"][0]["role"] == "system", Refused(400, "System role not supported"), "no system role"),
    "system and pictures": Server(
        lambda b: b["messages"][0]["role"] == "system",
        Refused(400, "Prompting with images is incompatible with system messages."), "no system role"),
    "one picture (vLLM)": Server(
        lambda b: pictures(b) > 1, Refused(400, "At most 1 image(s) may be provided in one prompt."), "one sheet"),
    "one picture (5xx)": Server(
        lambda b: pictures(b) > 1, Refused(500, "vision model only supports a single image per message"), "one sheet"),
    "one picture (vLLM, older)": Server(
        lambda b: pictures(b) > 1,
        Refused(400, "You set image=1 in `--limit-mm-per-prompt`, but passed 6 image items in the same prompt."),
        "one sheet"),
    "one picture (a count)": Server(
        lambda b: pictures(b) > 1, Refused(400, "The number of images (6) exceeds the limit of 1"), "one sheet"),
    "two roles": Server(
        lambda b: b["messages"][0]["role"] == "system",
        Refused(400, "Only user and assistant roles are supported!"), "no system role"),
    "a system text in parts": Server(
        lambda b: b["messages"][0]["role"] == "system",
        Refused(422, "messages.0.content: Input should be a valid string"), "schema none, no seed, no system role"),
    "one picture, no reason given": Server(
        lambda b: pictures(b) > 1, Refused(400, "Bad Request"),
        "schema none, max_completion_tokens, no temperature, no seed, no system role, one sheet"),
    "all of it": Server(
        lambda b: asked_for(b) or pictures(b) > 1 or b["messages"][0]["role"] == "system",
        Refused(400, "multiple images, response_format and system messages are not supported"),
        "schema none, no system role, one sheet"),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_asked_in_the_form_that_it_takes(stub: StubServer, pairs: Pairs, name: str) -> None:
    server = SERVERS[name]
    stub.behave = lambda body, _: server.words if server.refuses(body) else GOOD
    asking = proposer(stub.url)
    for _ in range(2):
        proposals = asking.propose(*pairs)
        assert [p.text for p in proposals.phrases] == ["vibrant"]
        assert {r.form for r in proposals.replies} == {server.form}
    before = len(stub.requests)
    asking.propose(*pairs)
    assert len(stub.requests) - before == 3  # it remembers
    check = check_questions(Endpoint(stub.url, "m", "r"), SETTINGS)
    assert check.ready and server.form in check.detail
    answered = [b for b in stub.requests[-4:] if not server.refuses(b)]
    assert all(pictures(b) in (1, 2, 6) and json.dumps(b).count("List the visual concepts") == 1 for b in answered)


REFUSALS = {
    "content filter (400)": Refused(400, "The response was filtered ... content management policy.", "content_filter"),
    "content filter by its words": Refused(400, "Input was flagged by our moderation system"),
    "content filter (403)": Refused(403, "Your input was flagged", "moderation_blocked"),
    "too large": Refused(413, "Request too large"),
    "refusal field": completion(None, refusal="I'm sorry, I can't assist with that request."),
    "finish reason": completion("", "content_filter"),
    "finish reason, in other words": completion(None, "SAFETY"),
    "filter inside a 200": b'{"error": {"message": "Input was flagged by moderation", "code": 403}}',
    "a firewall's 403": Refused(403, "Forbidden"),
    "not found": Refused(404, "no handler for this content"),
    "these pictures alone": Refused(400, "Unable to process input image"),
    "these pictures alone (422)": Refused(422, "cannot decode"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_one_adapters_and_the_next_is_named(stub: StubServer, pairs: Pairs, name: str) -> None:
    base, adapted = pairs[0][:3], pairs[1][:3]
    asking = proposer(stub.url)
    known = json.dumps(asking.form.request("m", SETTINGS.template, _question(base, adapted), 96)["messages"])
    stub.behave = lambda body, _: REFUSALS[name] if json.dumps(body["messages"]) == known else GOOD
    refused = asking.propose(base, adapted)
    assert (refused.reason, [r.invalid for r in refused.replies]) == ("vlm_invalid", ["refused"])
    assert refused.replies[0].text and asking.form == Form()
    assert [p.text for p in asking.propose(adapted, base).phrases] == ["vibrant"]


def test_the_page_says_what_was_tried() -> None:
    rows = [(name, f"`{s.words.status}` {s.words.message}", s.form) for name, s in SERVERS.items()]
    check_table(PAGE, "chat servers", ("chat server", "what it says", "asked with, and answered"), rows)
    refused = [(name, "that adapter is `proposals_missing`, the next is named") for name in REFUSALS]
    check_table(PAGE, "refusals", ("a chat server refuses one adapter's pictures by", "what happens"), refused)


def _question(base: np.ndarray, adapted: np.ndarray) -> Any:
    from auditor.proposing.rounds import VlmQuestion

    return VlmQuestion(0, 0, tuple(base), tuple(adapted), 100, 0.0)


def test_one_refused_group_of_three_does_not_cost_the_others(stub: StubServer, pairs: Pairs) -> None:
    stub.behave = lambda body, _: REFUSALS["content filter (400)"] if pictures(body) == 2 else GOOD
    proposals = proposer(stub.url).propose(*pairs)
    assert (proposals.reason, proposals.groups_answered, proposals.groups) == (None, 2, 3)


def test_a_server_that_takes_no_form_is_named(stub: StubServer, pairs: Pairs) -> None:
    stub.script = [Refused(400, "This model's maximum context length is 512 tokens")]
    with pytest.raises(UserError, match=r"512 tokens.*pairs_per_request"):
        proposer(stub.url).propose(*pairs)
    check = check_questions(Endpoint(stub.url, "m", "r"), SETTINGS)
    assert not check.ready and "512 tokens" in check.detail


@pytest.mark.parametrize(
    "content",
    [
        "<think>\nhmm\n</think>\n\n" + GOOD,
        "Here is the JSON:\n```json\n" + GOOD + "\n```",
        [{"type": "text", "text": GOOD}],
        [{"type": "text", "text": GOOD[:9]}, {"type": "text", "text": GOOD[9:]}],
        '["vibrant"]',
        json.loads(GOOD),
        ["vibrant"],
        "hmm {not this}</think>" + GOOD,
        "<thinking>{x}</thinking>" + GOOD,
        "[THINK]{x}[/THINK]" + GOOD,
        "<|channel|>analysis<|message|>{x}<|end|><|start|>assistant<|channel|>final<|message|>" + GOOD,
        '{"concepts": ["1. **Vibrant**"]}',
    ],
)
def test_replies_are_read_however_they_come(stub: StubServer, pairs: Pairs, content: Any) -> None:
    stub.script = [completion(content)]
    assert [p.text for p in proposer(stub.url).propose(*pairs).phrases] == ["vibrant"]


def test_a_model_that_never_stops_thinking_is_cut_off(stub: StubServer, pairs: Pairs) -> None:
    stub.script = [completion(None, "length", reasoning_content="First I look at ...")]
    proposals = proposer(stub.url).propose(*pairs)
    assert {r.invalid for r in proposals.replies} == {"truncated"}


def test_a_model_that_thinks_first_gets_room_for_it(stub: StubServer, pairs: Pairs) -> None:
    enough = 96 * 8
    stub.behave = lambda body, _: (
        completion(None, "length") if body["max_tokens"] < enough else "<think>x</think>" + GOOD
    )
    asking = proposer(stub.url)
    proposals = asking.propose(*pairs)
    assert [p.text for p in proposals.phrases] == ["vibrant"]
    assert {r.form for r in proposals.replies} == {"room for thoughts"}
    assert "room for thoughts" in check_questions(Endpoint(stub.url, "m", "r"), SETTINGS).detail
    before = len(stub.requests)
    asking.propose(*pairs)
    assert len(stub.requests) - before == 3  # it remembers


@pytest.mark.parametrize("page", [b"<html>please log in</html>", b'{"detail": "moved"}', b"null", b"[]"])
def test_a_page_in_place_of_a_reply_is_no_adapters_fault(stub: StubServer, pairs: Pairs, page: bytes) -> None:
    stub.script = [page]
    with pytest.raises(VlmUnavailable, match=r"no chat completion|failed"):
        proposer(stub.url).propose(*pairs)


@pytest.mark.parametrize(
    ("words", "headers", "seconds"),
    [
        ("", {"Retry-After": "4"}, 4.0),
        ("", {"retry-after-ms": "1500"}, 1.5),
        ("Rate limit reached. Please try again in 20s.", {}, 20.0),
        ("Please try again in 250ms", {}, 0.25),
        ("Please try again in 1m30.5s.", {}, 90.5),
        ("You exceeded your current quota. Please retry in 36.2 seconds", {}, 36.2),
        ("Retry after 2 minutes", {}, 120.0),
        ("Rate limit reached", {}, None),
        ("retry with 3 pictures", {}, None),
    ],
)
def test_a_rate_limit_says_its_end_in_a_header_or_in_words(
    words: str, headers: dict[str, str], seconds: float | None
) -> None:
    error = openai.RateLimitError(words, response=_response(429, headers), body=None)
    assert asked_wait_s(error) == (None if seconds is None else pytest.approx(seconds))
    assert not quota_used_up(error)


def _response(status: int, headers: dict[str, str]) -> httpx2.Response:
    return httpx2.Response(status, headers=headers, request=httpx2.Request("POST", "http://x"))


@pytest.mark.parametrize("wait", ["0", "1", "date"])
def test_a_rate_limit_that_names_its_end_is_sat_out(stub: StubServer, pairs: Pairs, wait: str) -> None:
    until = formatdate(time.time() - 5, usegmt=True) if wait == "date" else wait
    limit = Refused(429, "Rate limit reached", "rate_limit_exceeded", {"Retry-After": until})
    stub.behave = lambda _, number: limit if number <= 4 else GOOD
    assert [p.text for p in proposer(stub.url).propose(*pairs).phrases] == ["vibrant"]


def test_a_longer_wait_than_the_deadline_is_left_for_later(stub: StubServer, pairs: Pairs) -> None:
    stub.script = [Refused(429, "Rate limit reached", headers={"Retry-After": "3600"})]
    with pytest.raises(VlmUnavailable, match="3600 s"):
        proposer(stub.url).propose(*pairs)


@pytest.mark.parametrize(
    "words",
    [
        Refused(429, "You exceeded your current quota", "insufficient_quota"),
        Refused(429, "You exceeded your current quota"),
        Refused(402, ""),
        Refused(403, "Insufficient Balance"),
        Refused(400, "Your credit balance is too low to access the API."),
    ],
)
def test_a_used_up_quota_is_not_asked_again(stub: StubServer, pairs: Pairs, words: Refused) -> None:
    stub.script = [words]
    with pytest.raises(VlmUnavailable, match="add credit"):
        proposer(stub.url).propose(pairs[0][:3], pairs[1][:3])
    assert len(stub.requests) == 1


def test_an_error_inside_a_200_is_trouble_and_no_reply(stub: StubServer, pairs: Pairs) -> None:
    stub.script = [b'{"error": {"message": "provider \\u001b[31m is away", "code": 502}}', GOOD]
    assert [p.text for p in proposer(stub.url, parallel=1).propose(*pairs).phrases] == ["vibrant"]


def test_a_wrong_key_is_no_adapters_fault(stub: StubServer, pairs: Pairs) -> None:
    stub.script = [Refused(401, "Incorrect API key provided")]
    with pytest.raises(PrerequisiteMissing, match="OPENAI_API_KEY"):
        proposer(stub.url).propose(*pairs)


def test_the_form_is_kept_with_the_reply(stub: StubServer, pairs: Pairs, tmp_path: Any) -> None:
    stub.behave = lambda body, _: SERVERS["no seed"].words if "seed" in body else GOOD
    proposer(stub.url, ReplyCache(tmp_path)).propose(*pairs)
    again = proposer(stub.url, ReplyCache(tmp_path)).propose(*pairs)
    assert all(r.cached and r.form == "no seed" for r in again.replies)


def test_forms_only_ever_get_weaker() -> None:
    for words in ("", "max_tokens temperature seed system schema; only one image"):
        form: Form | None = Form()
        seen = []
        while form is not None:
            seen.append(form)
            form = weaker(form, words)
        assert len(seen) == len(set(seen)) <= 12


def test_the_sheet_holds_every_picture_unchanged(pairs: Pairs) -> None:
    base, adapted = pairs[0][:3], pairs[1][:3]
    sheet = contact_sheet(base, adapted)
    side, label, gap = 16, 14, 4
    assert sheet.shape == (3 * (side + label), 2 * side + gap, 3)
    for row in range(3):
        top = row * (side + label) + label
        assert np.array_equal(sheet[top : top + side, :side], base[row])
        assert np.array_equal(sheet[top : top + side, side + gap :], adapted[row])
    assert (sheet[:label, :side] < 128).any()  # the label is written
