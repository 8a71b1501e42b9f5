"""Files of one commit: where the bytes are, and the hashes by which git, LFS and the CDN name them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

LFS_SUFFIXES = frozenset(
    {
        ".safetensors",
        ".sft",
        ".bin",
        ".pt",
        ".pth",
        ".ckpt",
        ".pkl",
        ".pickle",
        ".onnx",
        ".gguf",
        ".msgpack",
        ".h5",
        ".npy",
        ".npz",
        ".zip",
        ".gz",
        ".tar",
        ".7z",
        ".parquet",
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
        ".gif",
        ".mp4",
    }
)
LFS_THRESHOLD_BYTES = 10 * 1024 * 1024
"""Git on the Hub refuses larger files, so whatever the suffix they are stored by LFS."""

PRIVATE_NAMES = frozenset({".hub.json", ".git", ".cache", "__pycache__"})
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class RepoFile:
    """One file of a commit.

    Attributes:
        path: Slash-separated path inside the repo.
        size: Bytes.
        sha256: Hex digest of the content; names LFS files and CDN blobs.
        git_oid: sha1 of the git blob: of the content, or of the pointer text for an LFS file.
        lfs: Whether the Hub would store it by LFS and redirect its download to the CDN.
        on_disk: Where the bytes are, or None when `content` holds them.
    """

    path: str
    size: int
    sha256: str
    git_oid: str
    lfs: bool
    on_disk: Path | None = None
    content: bytes | None = field(default=None, repr=False)

    @property
    def etag(self) -> str:
        """What the Hub sends as (linked) ETag: sha256 for LFS files, the git blob id for the rest."""
        return self.sha256 if self.lfs else self.git_oid

    @property
    def pointer_size(self) -> int:
        """Bytes of the LFS pointer that git holds in place of the content."""
        return len(lfs_pointer(self.sha256, self.size))

    @property
    def has_content(self) -> bool:
        """Whether there are bytes behind the entry: a synthetic file may be a name and a size only."""
        return self.content is not None or self.on_disk is not None

    def open(self) -> BinaryIO:
        """Open the content for reading."""
        if self.content is not None:
            return io.BytesIO(self.content)
        if self.on_disk is None:
            raise FileNotFoundError(f"{self.path}: a synthetic file has no content")
        return self.on_disk.open("rb")

    def read(self) -> bytes:
        """Return the whole content."""
        with self.open() as stream:
            return stream.read()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """Return the pointer text that git stores for an LFS file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def git_blob_oid(content: bytes) -> str:
    """Return the sha1 under which git stores `content`."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_lfs(path: str, size: int) -> bool:
    """Return whether the Hub's default rules store the file by LFS."""
    return Path(path).suffix.lower() in LFS_SUFFIXES or size > LFS_THRESHOLD_BYTES


def file_from_bytes(path: str, content: bytes) -> RepoFile:
    """Build a file held in memory."""
    sha256 = hashlib.sha256(content).hexdigest()
    lfs = is_lfs(path, len(content))
    oid = git_blob_oid(lfs_pointer(sha256, len(content)) if lfs else content)
    return RepoFile(path, len(content), sha256, oid, lfs, content=content)


def file_from_disk(path: str, on_disk: Path) -> RepoFile:
    """Build a file whose bytes stay on disk; the content is read once, to hash it."""
    size = on_disk.stat().st_size
    if not is_lfs(path, size):
        content = on_disk.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        return RepoFile(path, len(content), sha256, git_blob_oid(content), False, on_disk=on_disk)
    digest = hashlib.sha256()
    with on_disk.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    sha256 = digest.hexdigest()
    return RepoFile(path, size, sha256, git_blob_oid(lfs_pointer(sha256, size)), True, on_disk=on_disk)


def walk_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path inside the repo, path on disk), sorted; links that lead out of the folder are left out."""
    inside = folder.resolve()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in PRIVATE_NAMES)
        for name in sorted(names):
            on_disk = Path(parent) / name
            if name in PRIVATE_NAMES or not on_disk.is_file():
                continue
            if on_disk.is_symlink() and not on_disk.resolve().is_relative_to(inside):
                continue
            yield on_disk.relative_to(folder).as_posix(), on_disk


def commit_sha(files: dict[str, RepoFile]) -> str:
    """Return 40 hex digits that change with any path or content of the commit."""
    digest = hashlib.sha1()
    for path in sorted(files):
        digest.update(f"{path}\0{files[path].sha256}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
