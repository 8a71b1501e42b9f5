"""The program as a whole: help, start-up cost, exit codes."""

import json
import subprocess
import sys

import pytest
import typer
from typer.main import get_command

from auditor import errors
from auditor.cli import main as cli

HEAVY = ("torch", "diffusers", "transformers", "open_clip", "peft", "duckdb", "pyarrow", "openai", "scipy")


def test_help_needs_nothing_heavy():
    """Start-up time follows from what is imported; modules do not depend on how busy the machine is."""
    code = (
        "import json, sys\n"
        "from auditor.cli.main import run\n"
        "try:\n    run(['--help'])\n"
        "except SystemExit:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stderr)}
    assert "Usage" in done.stdout
    assert loaded.isdisjoint({*HEAVY, "numpy", "pydantic", "huggingface_hub", "structlog", "rich"})


def _commands(command, path=()):
    children = getattr(command, "commands", {})
    if not children:
        yield path, command
    for name, child in children.items():
        yield from _commands(child, (*path, name))


def test_every_command_explains_itself_with_an_example():
    for path, command in _commands(get_command(cli.app)):
        text = command.help or ""
        first = text.partition("\n")[0]
        assert first.endswith("."), f"{path}: the first line of the help is not a sentence"
        assert "Example:" in text, f"{path}: no example"
        assert f"auditor {' '.join(path)}" in text or " ".join(path) in text.partition("Example:")[2], path


def test_lists_of_commands_show_whole_sentences(auditor):
    for group in ((), ("evaluate",), ("lexicon",)):
        listed = auditor(*group, "--help").stdout
        assert "Example:" in listed
        assert "..." not in listed.partition("-h, --help")[2]
    assert "swap it in; readers never wait" in " ".join(auditor("--help").stdout.split())


def test_version_is_printed(auditor):
    done = auditor("--version")
    assert done.code == 0
    assert done.stdout.startswith("auditor ")


def test_no_arguments_shows_help(auditor):
    done = auditor()
    assert "Usage" in done.stdout + done.stderr
    assert done.code in (0, 2)


def test_unknown_command_is_wrong_use(auditor):
    done = auditor("cnofig")
    assert done.code == errors.EXIT_USAGE
    assert "config" in done.stderr


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (errors.UserError("give a file"), errors.EXIT_USAGE),
        (errors.PrerequisiteMissing("no weights"), errors.EXIT_PREREQUISITE),
        (errors.TransientError("server away"), errors.EXIT_REQUEUE),
        (errors.Refused("corrupt_file", "truncated"), errors.EXIT_ITEMS_FAILED),
        (KeyboardInterrupt(), cli.EXIT_INTERRUPTED),
    ],
)
def test_errors_become_exit_codes(auditor, monkeypatch, raised, code):
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def break_down() -> None:
        raise raised

    monkeypatch.setattr(cli, "app", app)
    done = auditor()
    assert done.code == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    if str(raised):
        assert str(raised) in done.stderr


def test_a_bug_keeps_its_traceback_and_shows_no_values():
    code = (
        "import typer\n"
        "from auditor.cli import main\n"
        "main.app = typer.Typer(pretty_exceptions_enable=False)\n"
        "@main.app.command()\n"
        "def f():\n    token = 'hf_verysecretvalue12345'[::1]\n    return 1 / 0\n"
        "main.run([])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == errors.EXIT_BUG
    assert "ZeroDivisionError" in done.stderr
    assert "token" not in done.stderr
    assert "verysecret" not in done.stderr
