"""A model that loads with a warning is not used: what it computes may not be what its weights were trained for.

The first such warning that was read meant a wrong activation in every score: open_clip builds `ViT-L-14` with GELU
though the weights of its tag `openai` need QuickGELU, and says so in passing.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from auditor.errors import PrerequisiteMissing

LIBRARIES = ("diffusers", "transformers", "open_clip", "peft", "timm")

ALLOWED: tuple[tuple[str, str], ...] = (
    (
        r"The config attributes \{'block_out_channels': \[[\d, ]+\]\} were passed to AutoencoderTiny",
        "AutoencoderTiny derives the value and writes it into its own configuration",
    ),
    (
        r"Expected types for vae: .*AutoencoderKL.*, got .*AutoencoderTiny",
        "a tiny VAE in the place of the large one is meant: it takes the same calls",
    ),
    (
        r"Pipelines loaded with `dtype=torch\.\w+` cannot run with `cpu` device",
        "half precision on a CPU is slow, not wrong",
    ),
    (
        r"Model config: [be]os_token_id must be `None` or an integer within the vocabulary \(between 0 and 31999\), "
        r"got 4940[67]\.",
        "the library's own defaults for SigLIP's text tower, which it makes to compare a configuration with; the tower "
        "pools its last place and looks for no such token",
    ),
)
"""Pattern at the start of a warning's text → why it changes nothing that is computed."""

_NOTICES = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning)
"""Categories that speak to programmers of what a later version will do; this version does as before."""
_LOGGERS = (None, "diffusers", "transformers")  # the others log through the root


class _Collector(logging.Handler):
    """Keeps the texts of what the libraries log at WARNING or above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record of one of the libraries; others have their own handlers."""
        if any(f"/{library}/" in record.pathname.replace("\\", "/") for library in LIBRARIES):
            self.texts.append(record.getMessage())


@contextmanager
def warnings_refused(what: str) -> Iterator[None]:
    """Load a model inside; a warning that is not in `ALLOWED` ends the load.

    Args:
        what: The model, as the message shall name it.

    Raises:
        PrerequisiteMissing: With the text of the warnings.
    """
    collector = _Collector()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    try:
        for logger in loggers:
            # the root keeps its handlers, for other people's records; the libraries' own would write to the terminal
            logger.handlers = [*(logger.handlers if logger is logging.root else ()), collector]
            if logger is not logging.root:
                logger.setLevel(logging.WARNING)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        for logger, level, handlers in before:
            logger.handlers = handlers
            logger.setLevel(level)
    texts = [str(w.message) for w in caught if not issubclass(w.category, _NOTICES)]
    refused = [text for text in dict.fromkeys([*texts, *collector.texts]) if not _is_allowed(text)]
    if refused:
        shown = " / ".join(" ".join(text.split())[:400] for text in refused[:3])
        raise PrerequisiteMissing(
            f"{what} loads with a warning of its library, so its numbers may not be what its weights were trained "
            f"for: {shown}. Choose a model or a setting that loads without one, or fetch its files again."
        )


def _is_allowed(text: str) -> bool:
    return any(re.match(pattern, text, re.DOTALL) for pattern, _ in ALLOWED)
