"""The Hub that the settings name: a real one, a folder of repos served on loopback, or none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.common.package_paths import package_path
from auditor.errors import PrerequisiteMissing, UserError
from auditor.settings import Settings

if TYPE_CHECKING:
    from auditor.hub.client import HubClient
    from auditor.pocket.hub_server import HubServer


@contextmanager
def hub(settings: Settings) -> Iterator[HubClient]:
    """A client of the Hub of the settings; a folder of repos is served on loopback for as long as it is open."""
    with maybe_hub(settings) as client:
        if client is None:
            raise UserError("This needs the Hub, and hub.offline is set. What was prefetched: auditor audit --offline")
        yield client


@contextmanager
def maybe_hub(settings: Settings) -> Iterator[HubClient | None]:
    """The same, or None when the settings say that there is no Hub to ask."""
    from auditor.hub.client import DEFAULT_ENDPOINT, connect

    folder = settings.hub.serve_folder
    if settings.hub.offline:
        yield None
        return
    if folder is not None and not folder.is_dir():
        raise PrerequisiteMissing(f"there is no folder of repos in {folder}; see hub.serve_folder in the settings")
    with _served(folder, odd_repos=settings.hub.odd_repos, copies=settings.hub.copies) as server:
        endpoint = server.endpoint if server is not None else settings.hub.endpoint or os.environ.get("HF_ENDPOINT")
        yield connect(
            endpoint or DEFAULT_ENDPOINT,
            token=None if server is not None else os.environ.get("HF_TOKEN"),
            connect_timeout_s=settings.hub.connect_timeout_s,
            read_timeout_s=settings.hub.read_timeout_s,
            answer_s=settings.hub.answer_timeout_s,
        )


@contextmanager
def _served(folder: Path | None, *, odd_repos: bool, copies: bool) -> Iterator[HubServer | None]:
    """A folder of repos on loopback, if there is one to serve."""
    if folder is None:
        yield None
        return
    from auditor.pocket.hub_server import HubIndex, serve

    index = HubIndex.from_folder(folder)
    if odd_repos:
        from auditor.pocket.odd_repos import odd_repos as made

        index.add(odd.served() for odd in made(package_path("pocket/zoo"), package_path("pocket/weights/base")))
    if copies:
        index.add(HubIndex.from_folder(package_path("pocket/copies")).repos.values())
    with serve(index) as server:
        yield server
