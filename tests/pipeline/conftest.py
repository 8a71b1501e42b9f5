"""Fixtures of this room."""

from tests.audit.conftest import world

__all__ = ["world"]
