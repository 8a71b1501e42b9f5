"""auditor: find out what the text-to-image adapters on the Hub do, and make it searchable."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """Looks up `__version__` when asked: importlib.metadata costs a quarter of the start-up time."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("auditor")
        except PackageNotFoundError:  # running from a source tree that was never installed
            return "0.0.0"
