"""The `auditor` program: global options, the commands, and how errors become exit codes.

CONTRIBUTING.md says how to add a command.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.main import get_command, get_group

from auditor.cli import output
from auditor.cli.ask import QuestionCommand, search_command, sql_command
from auditor.cli.calibrate import calibrate_command
from auditor.cli.checkpoints import compare_bases_command
from auditor.cli.cluster import app as cluster_app
from auditor.cli.cluster import retry_command, submit_command
from auditor.cli.compare import compare_command, diff_command, duplicates_command, similar_command
from auditor.cli.config import config_command
from auditor.cli.context import GlobalOptions
from auditor.cli.cost import cost_command
from auditor.cli.demo import demo_command
from auditor.cli.doctor import doctor_command
from auditor.cli.evaluate_paper import evaluate_app
from auditor.cli.explain import explain_command
from auditor.cli.export import export_command
from auditor.cli.help_text import HELP_WIDTH, OnDemand, SummaryGroup
from auditor.cli.lexicon import app as lexicon_app
from auditor.cli.propose import propose_command
from auditor.cli.report import report_command
from auditor.cli.run import (
    audit_command,
    crawl_command,
    merge_command,
    nightly_command,
    plan_command,
    prefetch_command,
)
from auditor.cli.run_status import status_command
from auditor.cli.show import show_command
from auditor.cli.start import replace_closed_streams
from auditor.errors import EXIT_PREREQUISITE, EXIT_REQUEUE, AuditorError

if TYPE_CHECKING:
    from typer._click.core import Command

_DISK_TROUBLE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "make it writable",
    errno.ESTALE: "see to the disk",
    errno.EIO: "see to the disk",
    errno.ENODEV: "see to the disk",
    errno.EISDIR: "move the folder away that lies where a file belongs",
    errno.ENOTDIR: "move the file away that lies where a folder belongs",
}
"""Error number → what helps."""
_NO_ROOM = re.compile(
    r"failed to map segment|can(?:no|')t allocate memory|bad_alloc"
    r"|error return without exception set|returned NULL without setting an exception",
    re.IGNORECASE,
)
"""How loaders, libraries and, in the last two, an interpreter without room for its own error say that memory is out."""
_TOO_LITTLE_MEMORY = (
    b"error: there is not enough memory; raise the limit (ulimit, --mem of the job, the container's), or ask for "
    b"smaller batches (recipe.bases.NAME.batch_size), and run the same command again\n"
)
EXIT_INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended
EXIT_BROKEN_PIPE = 141  # and for one whose reader went away

_ASK = "Ask the catalog"
_COMMANDS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "Start here": {
        "demo": demo_command,
        "doctor": doctor_command,
        "config": config_command,
        "nightly": nightly_command,
        "explain": explain_command,
        "compare-bases": compare_bases_command,
    },
    "Stages of a run, in order": {
        "crawl": crawl_command,
        "cost": cost_command,
        "plan": plan_command,
        "calibrate": calibrate_command,
        "prefetch": prefetch_command,
        "audit": audit_command,
        "propose": propose_command,
        "merge": merge_command,
        "report": report_command,
        "export": export_command,
    },
    _ASK: {
        "search": search_command,
        "show": show_command,
        "similar": similar_command,
        "compare": compare_command,
        "duplicates": duplicates_command,
        "diff": diff_command,
        "sql": sql_command,
    },
    "Run on Slurm": {"submit": submit_command, "status": status_command, "retry": retry_command},
}
_GROUPS = {
    "cluster": (cluster_app, "Run on Slurm"),
    "lexicon": (lexicon_app, _ASK),
    "evaluate": (evaluate_app, "Check the method"),
}


def _command(name: str, heading: str, function: Callable[..., None]) -> Command:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    kind = QuestionCommand if name == "search" else None
    alone.command(name, rich_help_panel=heading, cls=kind)(function)
    return get_command(alone)


def _group(name: str, heading: str, members: typer.Typer) -> Command:
    around = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    around.add_typer(members, name=name, rich_help_panel=heading)
    return get_group(around).commands[name]


class _Commands(SummaryGroup):
    """All commands, by the names and headings above."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        makers: dict[str, Callable[[], Command]] = {
            name: partial(_command, name, heading, function)
            for heading, commands in _COMMANDS.items()
            for name, function in commands.items()
        }
        makers |= {name: partial(_group, name, heading, members) for name, (members, heading) in _GROUPS.items()}
        self.commands = OnDemand(makers)


app = typer.Typer(
    name="auditor",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    # Plain tracebacks: the decorated ones can show local variables, and those may hold tokens.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH},
)


def _version(wanted: bool) -> None:
    if wanted:
        from auditor import __version__

        typer.echo(f"auditor {__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file. Default: auditor.toml here, if any.")
    ] = None,
    profile: Annotated[str | None, typer.Option("--profile", help="pocket, hub, or pocket-2 (for evaluate).")] = None,
    work_dir: Annotated[Path | None, typer.Option("--work-dir", help="Folder for everything a run makes.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting, as section.key=value. Repeatable."),
    ] = None,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="More talk; twice for debugging.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors and warnings only.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Find out what text-to-image adapters do, and search them by it.

    Settings come from flags, AUDITOR_* variables, auditor.toml and the profile, in this order.

    Exit codes: 0 done, 1 bug, 2 wrong use or settings, 3 something required is missing, 4 finished with
    failed items, 75 stopped early and worth running again.

    Example:

        auditor --profile pocket doctor
    """
    output.set_quiet(quiet)
    context.obj = GlobalOptions(
        config=config,
        profile=profile,
        work_dir=work_dir,
        overrides=tuple(overrides or ()),
        verbosity=-1 if quiet else verbose,
    )


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the program and exits with the code that errors.py assigns.

    Args:
        arguments: Instead of the process's own.
    """
    replace_closed_streams()
    try:
        try:
            app(args=list(arguments) if arguments is not None else None, standalone_mode=True)
        finally:
            sys.stdout.flush()  # a full disk shows here, while there is somebody to say so
    except AuditorError as error:
        output.fail(str(error))
        if error.exit_code == EXIT_REQUEUE:
            output.say("this may pass: run the same command again, it goes on where it stopped")
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever read our output has had enough
        _forget_stdout()
        sys.exit(EXIT_BROKEN_PIPE)
    except OSError as error:
        step = _DISK_TROUBLE.get(error.errno or 0)
        if step is None:
            raise
        place = error.filename2 or error.filename or "standard output"  # of two the one that was to be written
        output.fail(f"{place}: {error.strerror}; {step} and run the same command again")
        _forget_stdout()
        sys.exit(EXIT_PREREQUISITE)
    except (MemoryError, ImportError, RuntimeError, SystemError) as error:
        if not isinstance(error, MemoryError) and not _NO_ROOM.search(str(error)):
            raise
        # At once, and past all libraries: what they do at an exit fails for want of memory too, and prints pages.
        os.write(2, _TOO_LITTLE_MEMORY)
        os._exit(EXIT_PREREQUISITE)
    except KeyboardInterrupt:
        output.say("interrupted; run the same command again, it goes on where it stopped")
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(0)


def _forget_stdout() -> None:
    """Keep the interpreter from trying, and failing, to write once more what is left in the buffer."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    run()
