"""Which weights a recipe says were asked: a commit, a folder's hash, or a provider's name of the version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from auditor.audit.proposers import load_proposer
from auditor.errors import PrerequisiteMissing
from auditor.settings import resolve


def identity(tmp_path: Path, *overrides: str) -> str:
    wanted = ("recipe.proposer.kind=openai", "recipe.proposer.model=gpt-4o", *overrides)
    settings = resolve(config=None, profile="hub", work_dir=tmp_path, overrides=wanted, environment={}).settings
    proposer = load_proposer(settings)
    assert proposer is not None
    return proposer.identity


HOSTED = "serving.address=https://api.example/v1"


def test_a_hosted_model_goes_by_its_providers_name_of_the_version(tmp_path: Path) -> None:
    one = identity(tmp_path, HOSTED, "recipe.proposer.revision=2024-08-06")
    assert one == identity(tmp_path, "serving.address=https://other/v1", "recipe.proposer.revision=2024-08-06")
    assert one != identity(tmp_path, HOSTED, "recipe.proposer.revision=2024-11-20")


def test_main_names_no_version(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteMissing, match="provider of a hosted model"):
        identity(tmp_path, HOSTED, "recipe.proposer.revision=main")


def test_a_server_of_our_own_needs_the_commit(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteMissing, match="not in the Hub cache"):
        identity(tmp_path, "recipe.proposer.revision=2024-08-06")


def test_only_a_server_needs_the_client_library() -> None:
    """It takes as long to load as a tenth of all that a task loads."""
    code = "import sys, auditor.audit.proposers; print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
