"""Replies and refusals of the pocket Hub, before they become bytes on a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.pocket.hub_server.files import RepoFile


@dataclass(slots=True)
class Reply:
    """One answer: either `body`, or a `file` that is streamed (with Range) from where it lies."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: RepoFile | None = None


class HubError(Exception):
    """A refusal in the Hub's form: status, `X-Error-Code`, `X-Error-Message` and a JSON body."""

    def __init__(self, status: int, code: str | None, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def reply(self) -> Reply:
        """Return the refusal as a reply."""
        headers = {**self.headers, "X-Error-Message": self.message}
        if self.code is not None:
            headers["X-Error-Code"] = self.code
        return json_reply({"error": self.message}, status=self.status, headers=headers)


def json_reply(data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return `data` as JSON."""
    body = json.dumps(data, separators=(",", ":")).encode()
    return Reply(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, body)


def repo_not_found() -> HubError:
    """Missing, renamed away and private-to-us look the same, on purpose."""
    return HubError(404, "RepoNotFound", "Repository not found")


def revision_not_found(revision: str) -> HubError:
    """No such branch, tag or commit."""
    return HubError(404, "RevisionNotFound", f"Invalid rev id: {_header_text(revision)}")


def entry_not_found(path: str, sha: str) -> HubError:
    """No such file; the commit is named so that the client can remember the absence."""
    return HubError(404, "EntryNotFound", f'Entry not found: "{_header_text(path)}"', X_Repo_Commit=sha)


def disabled() -> HubError:
    """Taken down; the client recognises this exact text."""
    return HubError(403, None, "Access to this resource is disabled.")


def gated(repo_id: str, *, signed_in: bool) -> HubError:
    """Terms not accepted: 401 for strangers, 403 for those who have signed in."""
    status, hint = (403, "you are not in the authorized list") if signed_in else (401, "please log in")
    return HubError(status, "GatedRepo", f"Access to model {repo_id} is restricted and {hint}.")


def _header_text(text: str) -> str:
    """Keep what a header can carry: a requested path is not to be trusted with line breaks."""
    return text.encode("ascii", "backslashreplace").decode().replace("\r", " ").replace("\n", " ")[:200]
