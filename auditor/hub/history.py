"""What earlier complete crawls found out: where an incremental one may begin, and what the next one costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from auditor.common.atomic_files import write_bytes

Mode = Literal["full", "incremental"]


@dataclass(frozen=True, slots=True)
class FinishedCrawl:
    """One crawl that reached the last page of every query.

    Attributes:
        key: Of what was asked, where, and as whom: other questions have another history.
        finished_at: Our clock, ISO 8601, UTC.
        newest: The latest `last_modified` met, by the Hub's clock.
        pages: Per query.
        received: Bytes of all answers.
        seconds: Of the run that finished it.
    """

    key: str
    finished_at: str
    newest: str | None
    pages: tuple[int, ...]
    received: int
    seconds: float


@dataclass(frozen=True, slots=True)
class History:
    """The last complete crawl of each mode."""

    crawls: Mapping[Mode, FinishedCrawl] = field(default_factory=dict)

    def last(self, mode: Mode, key: str) -> FinishedCrawl | None:
        """The last complete crawl of this mode, if it asked the same."""
        found = self.crawls.get(mode)
        return found if found is not None and found.key == key else None

    def since(self, key: str, *, overlap: timedelta, full_every: timedelta) -> str | None:
        """Where an incremental crawl begins: the newest change seen less the overlap; None when a full one is due.

        Repos move to the front of a listing by change while one pages, hence the overlap; repos that vanish
        leave no trace there, hence a full crawl now and then.
        """
        full = self.last("full", key)
        if full is None or datetime.now(UTC) - datetime.fromisoformat(full.finished_at) >= full_every:
            return None
        latest = [c.newest for c in (full, self.last("incremental", key)) if c is not None and c.newest is not None]
        if not latest:
            return None
        return stamp(datetime.fromisoformat(max(latest)) - overlap)


def read_history(state_dir: Path) -> History:
    """Read the history; an absent or unreadable one is empty."""
    try:
        data = json.loads(_file(state_dir).read_text("utf-8"))
        crawls: dict[Mode, FinishedCrawl] = {}
        for mode in ("full", "incremental"):
            if mode in data:
                crawls[mode] = FinishedCrawl(**{**data[mode], "pages": tuple(data[mode]["pages"])})
        return History(crawls)
    except (OSError, ValueError, TypeError, KeyError):
        return History()


def remember(state_dir: Path, mode: Mode, crawl: FinishedCrawl) -> None:
    """Note a complete crawl."""
    crawls = {**read_history(state_dir).crawls, mode: crawl}
    write_bytes(_file(state_dir), json.dumps({k: asdict(v) for k, v in crawls.items()}, indent=1).encode())


def stamp(moment: datetime) -> str:
    """Time as listings spell it: ISO 8601, UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _file(state_dir: Path) -> Path:
    return state_dir / "history.json"
