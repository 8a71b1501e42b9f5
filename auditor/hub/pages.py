"""Pages of a crawl on disk: the raw bodies, and how far each query got. Written after every page."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auditor.common.atomic_files import write_bytes
from auditor.errors import TransientError

_FORMAT = 2


@dataclass(slots=True)
class QueryProgress:
    """How far one query got.

    Attributes:
        received: Bytes of those pages as they came.
        next_url: Where to go on, without the server; None at the start and at the end.
        restarted: Its cursor had expired once already, and it was walked anew.
    """

    pages: int = 0
    entries: int = 0
    received: int = 0
    next_url: str | None = None
    complete: bool = False
    restarted: bool = False
    error: str | None = None


@dataclass(slots=True)
class _State:
    key: str
    queries: list[QueryProgress]
    finished: bool = False


class PageStore:
    """The stored pages of one crawl, keyed by what was asked: other questions start an empty store."""

    def __init__(self, state_dir: Path, urls: Sequence[str], salt: tuple[str, ...] = ()) -> None:
        self._pages = state_dir / "pages"
        self._file = state_dir / "crawl.json"
        self._count = len(urls)
        self._key = hashlib.sha256(json.dumps([_FORMAT, *urls, *salt]).encode()).hexdigest()
        stored = self._read()
        self._unfinished = stored is not None and not stored.finished
        self._state = stored or self._fresh()

    def open(self) -> None:
        """Take up an unfinished crawl of the same questions, or begin a new one."""
        if self._unfinished:
            for number, progress in enumerate(self._state.queries):
                if progress.pages and not progress.complete and progress.next_url is None:
                    self.restart(number)  # it had no way on
                self._state.queries[number].restarted = False  # each run may walk a query anew once
            return
        self._state = self._fresh()
        shutil.rmtree(self._pages, ignore_errors=True)
        self._save()

    def progress(self, number: int) -> QueryProgress:
        """Return how far a query got."""
        return self._state.queries[number]

    def add_page(
        self, number: int, body: bytes, entries: int, next_url: str | None, *, error: str | None = None
    ) -> QueryProgress:
        """Store a page, then the link to the next: killed in between, the page is fetched again.

        With an `error` a page without a link is kept, and its query still not complete.
        """
        progress = self._state.queries[number]
        write_bytes(self._page_file(number, progress.pages), gzip.compress(body, 1, mtime=0))
        progress.pages += 1
        progress.entries += entries
        progress.received += len(body)
        progress.next_url = next_url
        progress.complete = next_url is None and error is None
        progress.error = error
        self._save()
        return progress

    def fail(self, number: int, error: str) -> QueryProgress:
        """Note what stopped a query; its next link stays, for the next run."""
        self._state.queries[number].error = error
        self._save()
        return self._state.queries[number]

    def restart(self, number: int) -> QueryProgress:
        """Forget the pages of a query whose cursor the Hub no longer honours."""
        for page in range(self._state.queries[number].pages):
            self._page_file(number, page).unlink(missing_ok=True)
        self._state.queries[number] = QueryProgress(restarted=True)
        self._save()
        return self._state.queries[number]

    def finish(self) -> None:
        """Mark the crawl as done: its listing is written, and the next one starts anew."""
        self._state.finished = True
        self._save()

    def pages(self) -> Iterator[tuple[int, int, list[Any]]]:
        """Yield (query number, page number, entries) of every stored page, in walking order."""
        for number, progress in enumerate(self._state.queries):
            for page in range(progress.pages):
                yield number, page, self._load(number, self._page_file(number, page))

    def _load(self, number: int, path: Path) -> list[Any]:
        try:
            entries: list[Any] = json.loads(gzip.decompress(path.read_bytes()))  # gzip has a checksum of its own
        except (OSError, EOFError, ValueError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
                raise
            self.restart(number)
            raise TransientError(
                f"The stored page {path} is damaged; its query is listed anew by the next run"
            ) from error
        return entries

    def _page_file(self, number: int, page: int) -> Path:
        return self._pages / f"{number:03d}-{page:06d}.json.gz"

    def _fresh(self) -> _State:
        return _State(self._key, [QueryProgress() for _ in range(self._count)])

    def _read(self) -> _State | None:
        """Return the stored state; None when absent, unreadable or of other questions: all is asked anew."""
        try:
            data = json.loads(self._file.read_text("utf-8"))
            queries = [QueryProgress(**item) for item in data.pop("queries")]
            state = _State(queries=queries, **data)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return state if state.key == self._key and len(queries) == self._count else None

    def _save(self) -> None:
        write_bytes(self._file, json.dumps(asdict(self._state), indent=1).encode())
