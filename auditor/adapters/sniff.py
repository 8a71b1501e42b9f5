"""Tell what a file really is from its first bytes, whatever its name says."""

from __future__ import annotations

from typing import Literal

from auditor.adapters import limits
from auditor.errors import Refused

Content = Literal[
    "safetensors", "empty", "lfs_pointer", "html", "zip", "pickle", "compressed", "gguf", "json", "unknown"
]

SNIFF_BYTES = 512
_MAGIC: tuple[tuple[bytes, Content], ...] = (
    (b"version https://git-lfs.github.com/spec/", "lfs_pointer"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "compressed"),
    (b"\x1f\x8b", "compressed"),
    (b"BZh", "compressed"),
    (b"\xfd7zXZ\x00", "compressed"),
    (b"\x28\xb5\x2f\xfd", "compressed"),
    (b"Rar!", "compressed"),
    (b"GGUF", "gguf"),
)


def sniff(head: bytes) -> Content:
    """Name the content from its first `SNIFF_BYTES` bytes.

    Safetensors is tried first: its length prefix can start with the two bytes of a pickle
    (a header of 640 bytes begins 80 02).
    """
    if not head:
        return "empty"
    length = int.from_bytes(head[:8], "little")
    if len(head) > 8 and head[8:9] == b"{" and 2 <= length < 2**40:
        return "safetensors"
    for magic, content in _MAGIC:
        if head.startswith(magic):
            return content
    if len(head) > 1 and head[0] == 0x80 and head[1] in range(2, 6):
        return "pickle"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")):
        return "html"
    if text.startswith((b'{"', b"[")):
        return "json"
    return "unknown"


def require_safetensors(head: bytes) -> None:
    """Refuse anything but safetensors, saying what it is instead.

    Raises:
        Refused: `refused_format` for pickles and archives, `corrupt_file` for what a failed
            download or upload leaves behind.
    """
    content = sniff(head)
    match content:
        case "safetensors":
            return
        case "pickle" | "zip":
            message = f"The content is a {content} (Python pickles load code); only safetensors is opened."
            raise Refused("refused_format", message)
        case "compressed" | "gguf":
            raise Refused("refused_format", f"The content is {content}; only safetensors is opened.")
        case "empty":
            raise Refused("corrupt_file", "The file is empty.")
        case "lfs_pointer":
            raise Refused("corrupt_file", "The file is a Git LFS pointer; its content was never uploaded.")
        case "html" | "json":
            raise Refused("corrupt_file", f"The content is {content} text, probably a server's error page.")
        case _:
            raise Refused("corrupt_file", "The content is no safetensors file.")


def within_size(file_bytes: int, max_bytes: int = limits.MAX_FILE_BYTES) -> bool:
    """Whether a file is small enough to be an adapter."""
    return file_bytes <= max_bytes
