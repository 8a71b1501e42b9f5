"""Every error the package raises on purpose, as one tree.

AuditorError
├── UserError              the user can fix it; shown without a traceback, exit code 2
│   └── PrerequisiteMissing    a model, token, server or program is absent; exit code 3
│       └── MemoryTooSmall     the device's memory does not suffice, even for one picture at a time
├── ItemError              one item cannot be audited; becomes a recorded outcome, the run goes on
│   └── Refused                the file is unsafe, malformed or not ours to score
├── TransientError         worth another attempt later; exit code 75 when nothing else is left to do
│   └── Interrupted            told to stop amid work that is kept and can go on
└── BaseDamaged            the base model no longer matches its fingerprint; the pipeline is rebuilt

Anything else that escapes is a bug and keeps its traceback (exit code 1).
"""

from __future__ import annotations

from auditor.records.outcomes import Outcome, Reason

EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_PREREQUISITE = 3
EXIT_ITEMS_FAILED = 4
EXIT_REQUEUE = 75


class AuditorError(Exception):
    """Root of the tree; `exit_code` is what a command ends with when this reaches it."""

    exit_code = EXIT_BUG


class UserError(AuditorError):
    """The user can fix this. The message names the cause and the next step."""

    exit_code = EXIT_USAGE


class PrerequisiteMissing(UserError):
    """Something that must be installed, started or granted first is absent."""

    exit_code = EXIT_PREREQUISITE


class MemoryTooSmall(PrerequisiteMissing):
    """The device's memory does not suffice for a model, or for one picture of it."""


class ItemError(AuditorError):
    """One item ends with a recorded outcome other than `scored`.

    Args:
        outcome: The closed-set outcome to record.
        reason: Machine-readable reason, for filters and counts.
        message: One sentence for people.
    """

    exit_code = EXIT_ITEMS_FAILED

    def __init__(self, outcome: Outcome, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.reason = reason
        self.message = message


class Refused(ItemError):
    """The file is quarantined: unsafe or malformed. Nothing of it was applied."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__("quarantined", reason, message)


class TransientError(AuditorError):
    """Another attempt may succeed: a server was away, a connection was cut."""

    exit_code = EXIT_REQUEUE


class Interrupted(TransientError):
    """The process was told to stop amid work that is kept in parts; the next one goes on with it."""


class BaseDamaged(AuditorError):
    """The base model differs from its fingerprint after an adapter was removed."""
