"""What a crawl of the Hub yields: repos, files, units of work, and the counts that must reconcile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from auditor.records.outcomes import Outcome, Reason

TriggerSource = Literal["instance_prompt", "widget"]
"""Where on the card a trigger candidate was found, most trusted first; file metadata comes later."""

BaseRelation = Literal["adapter", "finetune", "merge", "quantized"]


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a repo at its listed commit.

    Attributes:
        path: Slash-separated path inside the repo; hostile text.
        size_bytes: None until asked for: a listing names files only.
        sha256: Content hash, known for LFS files once asked for.
    """

    path: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class TriggerCandidate:
    """A text that may activate the adapter, and where it was found."""

    text: str
    source: TriggerSource


@dataclass(frozen=True, slots=True)
class ListedRepo:
    """One repo as listed. All texts are claims by an uploader, cleaned of control characters and capped.

    Attributes:
        repo_id: `owner/name`.
        commit_sha: 40 hex digits; everything later is pinned to it.
        last_modified: ISO 8601, UTC; moves on README edits too.
        created_at: ISO 8601, UTC.
        license: Card licence, or the Hub's `license:` tag.
        base_models: Claimed bases that look like repo ids, card first, then Hub tags.
        base_claims: The claims as written (local paths, URLs, titles), for the record.
        base_relation: How the repo says it relates to its base.
        instance_prompt: The prompt it was trained with, when the card has one.
        triggers: Trigger candidates, most trusted first.
        gated: None where it is open to all, "auto" or "manual".
        nsfw: Tagged as not for all audiences.
        files: Files at `commit_sha`, in the order listed.
        found_by: Names of the queries that found the repo.
        card_json: The card's metadata as canonical JSON, capped; None without a card.
        gone: It was listed once, and the Hub has confirmed that it is there no more.
        renamed_to: Where it is now, when it only changed its name.
    """

    repo_id: str
    commit_sha: str
    last_modified: str | None = None
    created_at: str | None = None
    tags: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    library_name: str | None = None
    license: str | None = None
    base_models: tuple[str, ...] = ()
    base_claims: tuple[str, ...] = ()
    base_relation: BaseRelation | None = None
    instance_prompt: str | None = None
    triggers: tuple[TriggerCandidate, ...] = ()
    gated: Literal["auto", "manual"] | None = None
    private: bool = False
    disabled: bool = False
    downloads: int = 0
    likes: int = 0
    nsfw: bool = False
    files: tuple[ListedFile, ...] = ()
    found_by: tuple[str, ...] = ()
    card_json: str | None = None
    gone: bool = False
    renamed_to: str | None = None


@dataclass(frozen=True, slots=True)
class QuarantinedEntry:
    """A list entry that could not be read; the crawl went on without it.

    Attributes:
        query: Name of the query on whose page it stood.
        page: Page number, from 0.
        position: Place on the page, from 0.
        repo_id: The id, when the entry had a usable one.
        message: What is wrong with it.
        excerpt: The start of the raw JSON.
    """

    query: str
    page: int
    position: int
    repo_id: str | None
    message: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class QueryReport:
    """How far one query of the union got.

    Attributes:
        pages: Pages stored, in this and earlier runs.
        entries: Entries on those pages.
        complete: The last page was reached.
        error: Why it stopped before, if it did.
    """

    name: str
    pages: int
    entries: int
    complete: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """Counts of one crawl: `entries == repos + duplicates + quarantined`.

    Attributes:
        since: An incremental crawl's beginning, ISO 8601, UTC; None for a full one.
        identity: As whom: `anonymous` or `token`. It decides what is visible.
        carried: Repos of the earlier listing that an incremental crawl did not meet again.
        vanished: Fate → repos of the earlier listing that a full crawl did not meet again: `gone`, `renamed`,
            `disabled`, `present` (found by no query any more, and kept), `unknown` (could not be asked, and kept).
        requests: Requests made by this run (0 when everything was resumed from disk).
        received: Bytes of answers in this run.
        seconds: Wall-clock time of this run.
        estimated_requests: From a dry run: what a run needs; a lower bound unless `estimate_known`.
        estimated_seconds: Likewise, by the server's quota and the speed seen.
        estimated_bytes: Likewise, of answers.
    """

    queries: tuple[QueryReport, ...]
    entries: int = 0
    repos: int = 0
    duplicates: int = 0
    quarantined: int = 0
    since: str | None = None
    identity: str = "anonymous"
    carried: int = 0
    vanished: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    received: int = 0
    seconds: float = 0.0
    estimated_requests: int | None = None
    estimated_seconds: float | None = None
    estimated_bytes: int | None = None
    estimate_known: bool = False

    @property
    def complete(self) -> bool:
        """Whether every query reached its last page."""
        return all(query.complete for query in self.queries)

    @property
    def pages(self) -> int:
        """Pages stored over all queries."""
        return sum(query.pages for query in self.queries)


@dataclass(frozen=True, slots=True)
class Unit:
    """One adapter file to audit.

    Attributes:
        why: The rule by which this file was chosen.
        companions: Files of the same repo that belong to it (peft config, embeddings, text-encoder half).
    """

    repo_id: str
    commit_sha: str
    path: str
    why: str
    companions: tuple[str, ...] = ()
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class SettledItem:
    """A repo or a file whose outcome is known without opening it.

    Attributes:
        path: The file, or None for the repo as a whole.
        variant_of: For `variant_of_audited`: the file that is audited in its place.
    """

    repo_id: str
    commit_sha: str
    path: str | None
    outcome: Outcome
    reason: Reason
    message: str
    variant_of: str | None = None
