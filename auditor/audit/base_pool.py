"""The bases of a task: one is open at a time, encoder and proposer loaded once, and the bases that are not here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from auditor.audit.finishing import Finisher
from auditor.audit.opening import open_base
from auditor.audit.proposers import load_proposer, works_ahead
from auditor.common.device_memory import memory_named
from auditor.encoding.encoder import Encoder
from auditor.errors import ItemError, MemoryTooSmall, PrerequisiteMissing
from auditor.generation.trouble import release
from auditor.measuring.opened_base import OpenedBase
from auditor.planning.encoder_opening import load_encoder
from auditor.planning.local_models import use_own_cpus
from auditor.proposing.proposer import Proposer
from auditor.settings import Settings

log = structlog.get_logger(__name__)


class OtherBaseOpen(Exception):
    """An item is for another base than the one that is open; it is put off until that one is."""

    def __init__(self, base_name: str) -> None:
        super().__init__(base_name)
        self.base_name = base_name


class BasePool:
    """Opens bases as they are needed, and remembers their recipes when they are closed again.

    Args:
        settings: Of the run.
        finisher: Explains with the scorer of the base that is open, and asks the proposer if that is to be done inline.
        on_reference: Told about the making of references.
        stopping: Whether the task was told to stop.
    """

    def __init__(
        self,
        settings: Settings,
        finisher: Finisher,
        *,
        on_reference: Callable[[str, int, int], None] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings, self._finisher = settings, finisher
        self._on_reference, self._stopping = on_reference, stopping
        self._shared: tuple[Encoder, Proposer | None] | None = None
        self._absent: dict[str, str] = {}
        self.current: OpenedBase | None = None
        self.recipe_ids: dict[str, str] = {}
        """Of every base that was opened, by its name."""

    def open(self, base_name: str) -> OpenedBase:
        """A base, opened in place of the one before.

        Raises:
            PrerequisiteMissing: The base, the encoder or the proposer is not here, or does not fit into memory.
            Interrupted: The task was told to stop while the reference was made.
        """
        if self.current is None or self.current.base_name != base_name:
            self._finisher.drain()  # with the scorer of the base that goes
            self.current = None  # two bases need not fit into memory
            release()
            encoder, proposer = self._models()
            with memory_named(f"The base {base_name}"):
                self.current = open_base(
                    self._settings,
                    base_name,
                    encoder=encoder,
                    proposer=proposer,
                    on_step=self._on_reference,
                    stopping=self._stopping,
                )
            self.recipe_ids[base_name] = self.current.recipe.recipe_id
            self._finisher.use(self.current.scorer)
        return self.current

    def open_or_skip(self, base_name: str) -> OpenedBase:
        """A base, opened, that may not be here: its adapters are skipped, those of the others go on.

        Raises:
            ItemError: `base_unavailable`; tried again on the next run.
            PrerequisiteMissing: It is the only base there is, or what all bases share is not here.
        """
        if base_name not in self._absent:
            self._models()  # no base is at fault when these are missing
            try:
                return self.open(base_name)
            except PrerequisiteMissing as error:
                if len(self._settings.recipe.active_bases) == 1:
                    raise
                log.error("base unavailable", base=base_name, error=str(error))
                self._absent[base_name] = str(error)
        message = f"The base {base_name} is not here: {self._absent[base_name]}"
        raise ItemError("skipped", "base_unavailable", message)

    @contextmanager
    def memory(self, base_name: str) -> Iterator[None]:
        """Measure an adapter in this block.

        Raises:
            ItemError: `base_unavailable`; memory did not suffice. The base is given up for the rest of the task if it
                no longer fits without the adapter either.
        """
        try:
            with memory_named(f"An adapter on the base {base_name}"):
                yield
        except MemoryTooSmall as error:
            reason = str(error)
            release()
            if self.current is not None and not _fits_alone(self.current):
                log.error("base does not fit", base=base_name, error=reason)
                self._absent[base_name] = reason
                self._finisher.drain()
                self.current = None
            raise ItemError("skipped", "base_unavailable", reason) from None

    def recipe_id(self, base_name: str) -> str | None:
        """The recipe of a base, which is opened once to know it; None for one that is switched off or not here."""
        if base_name not in self.recipe_ids and base_name in self._settings.recipe.active_bases:
            try:
                self.open_or_skip(base_name)
            except ItemError:
                return None
        return self.recipe_ids.get(base_name)

    def _models(self) -> tuple[Encoder, Proposer | None]:
        """What all bases share. The proposer is asked by the finisher when concepts are named while auditing."""
        if self._shared is None:
            use_own_cpus()
            encoder, proposer = load_encoder(self._settings), load_proposer(self._settings)
            if proposer is not None and self._settings.serving.when == "inline":
                self._finisher.open(proposer, ahead=works_ahead(self._settings))
            self._shared = encoder, proposer
        return self._shared


def _fits_alone(opened: OpenedBase) -> bool:
    """Whether a base still renders one picture without an adapter."""
    try:
        opened.generator.generate(opened.probes.prompts[:1], opened.probes.seeds[:1], adapter=False)
    except MemoryTooSmall:
        return False
    return True
