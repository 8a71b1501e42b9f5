"""Logging: JSON lines for machines, safe lines for people, no secrets in either."""

import io
import json
import logging

import pytest
import structlog

from auditor.logs import configure_logging


@pytest.fixture
def streams(tmp_path):
    stream, file = io.StringIO(), tmp_path / "logs" / "run.jsonl"
    configure_logging(file, verbosity=1, stream=stream)
    yield stream, file
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if getattr(handler, "_auditor", False)]:
        root.removeHandler(handler)
        handler.close()
    structlog.reset_defaults()


def _records(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_bound_fields_reach_both_places(streams):
    stream, file = streams
    structlog.get_logger("auditor.x").bind(repo_id="a/b").info("audited", outcome="scored")
    (record,) = _records(file)
    assert (record["event"], record["repo_id"], record["outcome"]) == ("audited", "a/b", "scored")
    assert record["timestamp"].endswith("Z")
    assert "audited  repo_id=a/b outcome=scored" in stream.getvalue()


def test_verbosity_is_for_people_only(streams):
    stream, file = streams
    structlog.get_logger("auditor.x").debug("detail")
    assert "detail" not in stream.getvalue()
    assert _records(file)[0]["event"] == "detail"


def test_other_libraries_end_in_the_same_places(streams):
    stream, file = streams
    logging.getLogger("somelibrary").warning("odd %s", "thing")
    assert _records(file)[0]["event"] == "odd thing"
    assert "odd thing" in stream.getvalue()


def test_secrets_are_masked_by_value_and_by_shape(streams, monkeypatch):
    stream, file = streams
    monkeypatch.setenv("HF_TOKEN", "correct-horse-battery")
    structlog.get_logger("auditor.x").warning(
        "using correct-horse-battery", headers={"authorization": "Bearer hf_abcdefghijklmnopqrstu"}
    )
    for text in (stream.getvalue(), file.read_text()):
        assert "correct-horse" not in text
        assert "hf_abcdef" not in text
        assert "[secret]" in text


def test_hostile_text_stays_one_line_without_escapes(streams):
    stream, file = streams
    structlog.get_logger("auditor.x").warning("repo", name="x\x1b[2J\ny\u202e")
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1
    assert len(file.read_text().splitlines()) == 1


def test_exceptions_keep_their_traceback(streams):
    stream, file = streams
    try:
        raise ValueError("why")
    except ValueError:
        structlog.get_logger("auditor.x").exception("failed")
    assert "ValueError: why" in _records(file)[0]["exception"]
    assert "ValueError: why" in stream.getvalue()


def test_configuring_again_replaces_the_handlers(streams, tmp_path):
    _, first = streams
    second = tmp_path / "second.jsonl"
    configure_logging(second, stream=io.StringIO())
    structlog.get_logger("auditor.x").warning("once")
    assert first.read_text() == ""
    assert len(_records(second)) == 1
