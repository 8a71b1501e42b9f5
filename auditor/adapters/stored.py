"""Open a file's tensors for reading, with every library error as a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from safetensors import SafetensorError, safe_open

from auditor.adapters.adapter_file import AdapterFile
from auditor.common.text_safety import clean
from auditor.errors import Refused


@contextmanager
def opened(adapter: AdapterFile) -> Iterator[Any]:
    """The file, giving tensors by name.

    Raises:
        Refused: `corrupt_file`.
    """
    try:
        with safe_open(adapter.path, framework="pt", device="cpu") as stored:
            yield stored
    except (SafetensorError, OSError) as error:
        raise Refused("corrupt_file", f"The tensors cannot be read: {clean(str(error), limit=120)}.") from error
