"""Fixtures of this room."""

from tests.cli.conftest import auditor

__all__ = ["auditor"]
