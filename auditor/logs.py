"""Logging: JSON lines in a file for machines, short lines on stderr for people.

Stages log with `structlog.get_logger(__name__)` and bind what a line is about:

    log = structlog.get_logger(__name__).bind(run=run_id, repo_id=repo_id)
    log.info("adapter audited", outcome="scored", duration_s=3.2)

Third-party libraries log through the standard library and end in the same two places.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from auditor.common.text_safety import clean

SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY")
MASK = "[secret]"
_TOKEN_SHAPES = re.compile(r"\b(?:hf|sk)[_-][A-Za-z0-9_-]{16,}")
_SHORTEST_SECRET = 8  # masking a shorter value would blank ordinary words
_STDERR_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}


def configure_logging(log_file: Path | None = None, *, verbosity: int = 0, stream: TextIO | None = None) -> None:
    """Sets up logging for this process; calling it again replaces the earlier set-up.

    Args:
        log_file: Appended to as JSON lines: ours from DEBUG, of others from INFO. Unset: no file.
        verbosity: For stderr: -1 errors only, 0 warnings, 1 info, 2 debug.
        stream: Instead of stderr.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    human = logging.StreamHandler(stream or sys.stderr)
    human.setLevel(_STDERR_LEVELS.get(verbosity, logging.DEBUG))
    human.setFormatter(_formatter(shared, [_human_line]))
    handlers: list[logging.Handler] = [human]
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        # Append: a requeued task continues the file of its first attempt.
        machine = _LogFile(log_file, mode="a", encoding="utf-8")
        machine.setFormatter(_formatter(shared, [structlog.processors.JSONRenderer(ensure_ascii=True)]))
        handlers.append(machine)
    _install(handlers)


class _LogFile(logging.FileHandler):
    """A log that cannot be written is told once and does not stop the work that it is about."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told:
            self._told = True
            with suppress(OSError):
                sys.stderr.write(f"{self.baseFilename}: {error.strerror}; the work goes on without this log\n")


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces tokens in every text of an event, whether known from the environment or by their shape."""
    secrets = [value for name in SECRET_VARIABLES if len(value := os.environ.get(name, "")) >= _SHORTEST_SECRET]
    for key, value in event.items():
        event[key] = _masked(value, secrets)
    return event


def _masked(value: object, secrets: Iterable[str]) -> object:
    if isinstance(value, dict):
        return {key: _masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item, secrets) for item in value]
    if value is None or isinstance(value, bool | int | float | logging.LogRecord):
        return value
    text = str(value)
    for secret in secrets:
        text = text.replace(secret, MASK)
    return _TOKEN_SHAPES.sub(MASK, text)


def _human_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """`12:04:31 warning  adapter skipped  repo_id=a/b reason=gated`, then a traceback if there is one."""
    time = str(event.pop("timestamp", ""))[11:19]
    level = str(event.pop("level", "info"))
    message = clean(str(event.pop("event", "")), limit=2000)
    traceback = event.pop("exception", None)
    event.pop("logger", None)
    fields = " ".join(f"{key}={clean(str(value), limit=300)}" for key, value in event.items())
    line = f"{time} {level:<8} {message}  {fields}".rstrip()
    return f"{line}\n{clean(str(traceback), multiline=True)}" if traceback else line


def _formatter(shared: list[Processor], last: list[Processor]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _install(handlers: list[logging.Handler]) -> None:
    """Makes these the only handlers of the process's root logger."""
    root = logging.getLogger()
    for old in list(root.handlers):
        # Only our own: a test runner or a notebook keeps its handlers.
        if cast(bool, getattr(old, "_auditor", False)):
            root.removeHandler(old)
            old.close()
    for handler in handlers:
        handler._auditor = True  # type: ignore[attr-defined]
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("auditor").setLevel(logging.DEBUG)
    # One line per request is noise at INFO, and its URLs may carry signed query strings.
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "openai", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
