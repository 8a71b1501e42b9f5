"""The files of a cluster run that a site edits: written from the installed package into a folder of its own."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from auditor.common.atomic_files import write_bytes
from auditor.common.package_paths import shipped_dir
from auditor.errors import UserError

FOLDERS = ("slurm", "jobs")
_INTERPRETER = '"${PYTHON_BIN:-$PWD/.venv/bin/python}"'
_PROGRAM = ".venv/bin/auditor"


def write_site_files(folder: Path, interpreter: Path | None = None) -> tuple[Path, ...]:
    """Write `slurm/` and `jobs/` into a folder, for a package that was installed without its source tree.

    Files that are there already are left as they are: the site may have edited them.

    Args:
        folder: Made when it is missing. It must lie on a file system that all nodes see.
        interpreter: What the jobs start; default: the one that runs now.

    Returns:
        The files that were written, in order of their names.

    Raises:
        UserError: The folder is a file, or cannot be written.
    """
    python = Path(interpreter or sys.executable)
    written = []
    try:
        for name in FOLDERS:
            for source in sorted(path for path in shipped_dir(name).iterdir() if path.is_file()):
                target = folder / name / source.name
                if target.exists():
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(target, _fitted(source, python))
                target.chmod(source.stat().st_mode & 0o777)
                written.append(target)
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror}; choose another folder") from error
    return tuple(written)


def _fitted(source: Path, python: Path) -> bytes:
    """A file's content, with the interpreter and the program that are installed here in place of the source tree's."""
    text = source.read_text("utf-8")
    inside_quotes = re.sub(r'(["$`\\}])', r"\\\1", str(python))
    text = text.replace(_INTERPRETER, f'"${{PYTHON_BIN:-{inside_quotes}}}"')
    return text.replace(_PROGRAM, shlex.quote(str(python.with_name("auditor")))).encode()
