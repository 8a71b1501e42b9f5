from __future__ import annotations

import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.sniff import sniff
from auditor.errors import ItemError, Refused


def _zip() -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "corrupt_file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "corrupt_file"),
        (b"<!DOCTYPE html><html><body>504</body></html>", "corrupt_file"),
        (b'{"error": "Repository not found"}', "corrupt_file"),
        (b"just some text, long enough to hold a prefix", "corrupt_file"),
        (pickle.dumps({"state_dict": {}}), "refused_format"),
        (_zip(), "refused_format"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "refused_format"),
        (b"GGUF\x03\x00\x00\x00", "refused_format"),
    ],
)
def test_content_decides_not_the_name(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "lora.safetensors"
    path.write_bytes(content)
    with pytest.raises(Refused) as refused:
        inspect_file(path)
    assert refused.value.reason == reason


def test_a_header_of_640_bytes_is_no_pickle() -> None:
    head = (640).to_bytes(8, "little") + b'{"a"'
    assert head[:2] == b"\x80\x02"
    assert sniff(head) == "safetensors"


def test_too_large_is_skipped_unread(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(100))
    with pytest.raises(ItemError) as skipped:
        inspect_file(path, max_bytes=99)
    assert (skipped.value.outcome, skipped.value.reason) == ("skipped", "too_large")
