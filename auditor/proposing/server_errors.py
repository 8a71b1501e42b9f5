"""What an error of a chat server is about: these pictures, the account, the settings, or a moment's trouble."""

from __future__ import annotations

import re
from typing import Any

import openai

from auditor.common.retry_after import retry_after_s
from auditor.errors import PrerequisiteMissing, UserError
from auditor.proposing.schema import printable

_FILTER_CODES = frozenset(
    {"content_filter", "content_policy_violation", "moderation_blocked", "data_inspection_failed", "safety"}
)
_FILTER_WORDS = re.compile(
    r"content.?(?:filter|policy|management)|moderation|flagged|safety system|usage polic", re.IGNORECASE
)
_FILTERED = re.compile(r"filter|safety|prohibited|recitation|refus|blocklist|moderat|sensitive", re.IGNORECASE)
_QUOTA_WORDS = re.compile(
    r"insufficient.(?:quota|balance|credit|funds)|exceeded your current quota|out of credit|credit balance is too low"
    r"|(?:spending|billing|hard) limit",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"(?:try again|retry|wait)\D{0,20}"
    r"((?:\d+(?:\.\d+)? ?(?:ms|milliseconds?|s|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?)\b ?|\d+[hm](?=\d))+)",
    re.IGNORECASE,
)
_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?(ms|mil|s|m|h)", re.IGNORECASE)
_UNIT_S = {"ms": 0.001, "mil": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def said(error: openai.APIStatusError) -> str:
    """The server's words, all of them: some put them where the client does not look. Printable."""
    body = error.body if isinstance(error.body, (str, dict)) else error.response.text
    return printable(f"{error.message} {body}", 1000)


def refuses_pictures(error: openai.APIStatusError) -> bool:
    """Whether the pictures themselves are refused: by a content filter, or for their size."""
    if error.status_code == 413:
        return True
    if error.status_code not in (400, 403, 422, 451):
        return False
    return _code(error) in _FILTER_CODES or _FILTER_WORDS.search(said(error)) is not None


def wrapped_refusal(wrapped: object) -> bool:
    """Whether an error inside a reply of status 200 is a content filter's."""
    code = wrapped.get("code") if isinstance(wrapped, dict) else None
    return (isinstance(code, str) and code in _FILTER_CODES) or _FILTER_WORDS.search(str(wrapped)[:1000]) is not None


def stopped_by_filter(finish_reason: object) -> bool:
    """Whether a reply ended because of what it shows or says, in any server's word for it."""
    return isinstance(finish_reason, str) and _FILTERED.search(finish_reason[:100]) is not None


def quota_used_up(error: openai.APIStatusError) -> bool:
    """Whether the account has nothing left, which no waiting mends."""
    if error.status_code == 402 or (error.status_code in (403, 429) and _code(error) == "insufficient_quota"):
        return True
    # some call a limit per minute a quota, too, and say when it ends
    in_words = _QUOTA_WORDS.search(said(error)) is not None and asked_wait_s(error) is None
    return error.status_code in (400, 403, 429) and in_words


def may_pass(error: openai.APIStatusError) -> bool:
    """Whether the same request may be answered a moment later."""
    return error.status_code >= 500 or error.status_code in (408, 409, 425, 429)


def asked_wait_s(error: openai.APIStatusError) -> float | None:
    """Seconds that the server asks to be left alone, where it says: in a header, or in words."""
    wait = retry_after_s(error.response.headers)
    if wait is None and (milliseconds := error.response.headers.get("retry-after-ms", "")).isdecimal():
        wait = int(milliseconds) / 1000
    if wait is None and error.status_code in (429, 503) and (later := _LATER.search(said(error))) is not None:
        wait = sum(float(number) * _UNIT_S[unit.lower()] for number, unit in _SPAN.findall(later[1]))
    return wait


def explain_refusal(error: openai.APIStatusError, base_url: str, model: str) -> UserError:
    """A refusal that is no adapter's fault, as an error that names its cause and the next step."""
    words = printable(said(error), 300)
    if error.status_code in (401, 403):
        return PrerequisiteMissing(f"{base_url} refused the API key ({words}); set OPENAI_API_KEY")
    if error.status_code == 404:
        return PrerequisiteMissing(
            f"{base_url} does not serve {model!r} ({words}); "
            "compare the proposer's model with what the server lists under /models"
        )
    return UserError(
        f"{base_url} refuses even a plain question of the same size ({error.status_code}: {words}); check its limits "
        "on images per prompt and context length against recipe.proposer.pairs_per_request, max_side and max_tokens"
    )


def _code(error: openai.APIStatusError) -> Any:
    return error.code or (error.body.get("code") if isinstance(error.body, dict) else None)
