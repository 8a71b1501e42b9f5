"""The built package, installed in a fresh environment and used outside of any source tree."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from auditor.common.package_paths import package_path

REPOSITORY = Path(__file__).parents[2]
REPOS = ("ana-k/meadow-lora", "mkr/iris-lora", "qtest/ember-lora")
QUICK = (
    "hub.odd_repos=false",
    "recipe.probe_count=8",
    "recipe.bases.pocket.steps=4",
    "recipe.looks=[]",
    "recipe.dose_scales=[]",
    "recipe.trigger_arms=false",
    "recipe.solver.image_probes=1",
    "recipe.proposer.kind=none",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=REPOSITORY, check=True)
    return folder


class Installed:
    """The wheel in an environment of its own, which borrows the dependencies of this one and nothing else of it."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        environment = folder / "venv"
        venv.create(environment, with_pip=False, symlinks=True)
        self.python = environment / "bin" / "python"
        packages = next((environment / "lib").glob("python*/site-packages"))
        # A plain line of a .pth file: the .pth files over there, an editable install of this package, are not read.
        (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()) + "\n")
        install = ["-m", "pip", "--python", str(self.python), "install", "--quiet", "--no-deps", "--no-index"]
        subprocess.run([sys.executable, *install, str(wheel)], check=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The installed program, in a folder that holds nothing of ours."""
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith("AUDITOR_")}
        program = [str(self.python.with_name("auditor")), *arguments]
        return subprocess.run(program, cwd=self.folder, env=kept, capture_output=True, text=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, built: Path) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), next(built.glob("*.whl")))


def test_the_wheel_holds_types_migrations_batch_files_and_models(built: Path) -> None:
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    wanted = {"auditor/py.typed", "auditor/_slurm/audit.sbatch", "auditor/_slurm/cluster.env", "auditor/_jobs/audit.py"}
    assert wanted <= names
    assert {f"auditor/_schemas/{path.name}" for path in (REPOSITORY / "schemas").glob("*.sql")} <= names
    assert any(name.startswith("auditor/pocket/weights/base/unet/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]


def test_the_sdist_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    source = next(tmp_path.iterdir())
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again")]
    subprocess.run(command, cwd=source, check=True)
    again = zipfile.ZipFile(next((tmp_path / "again").glob("*.whl"))).namelist()
    assert sorted(again) == sorted(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())


def test_nothing_is_read_from_the_source_tree(installed: Installed) -> None:
    code = "import auditor; print(auditor.__file__)"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    where = subprocess.run(
        [installed.python, "-c", code],
        cwd=installed.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed.python.parents[1])


def test_help_and_doctor_answer(installed: Installed) -> None:
    shown = installed.run("--help")
    assert shown.returncode == 0 and "nightly" in shown.stdout
    doctor = installed.run("--profile", "pocket", "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr


def test_the_demo_over_a_few_adapters(installed: Installed) -> None:
    hub = installed.folder / "hub"
    for repo in REPOS:
        shutil.copytree(package_path("pocket/zoo") / repo, hub / repo)
    sets = [part for text in (*QUICK, f"hub.serve_folder={hub}") for part in ("--set", text)]
    demo = installed.run("--profile", "hub", "--work-dir", "work", *sets, "demo")
    assert demo.returncode == 0, demo.stderr
    assert "3 units" in demo.stderr + demo.stdout
    # The question is asked of the pocket world, whatever the settings name.
    assert "understood: vibrant; watercolor" in demo.stderr and "ana-k/meadow-lora" in demo.stdout


def test_submitting_needs_no_source_tree(installed: Installed) -> None:
    missing = installed.run("--profile", "pocket", "submit", "--dry-run")
    assert missing.returncode == 3 and "auditor cluster init" in missing.stderr
    written = installed.run("cluster", "init", ".")
    assert written.returncode == 0, written.stderr
    environment = (installed.folder / "slurm" / "cluster.env").read_text()
    assert str(installed.python) in environment and ".venv" not in environment
    shown = installed.run("--profile", "pocket", "submit", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert str(installed.folder / "slurm" / "crawl.sbatch") in shown.stdout


def test_what_a_site_edited_is_kept(installed: Installed) -> None:
    folder = installed.folder / "site"
    assert installed.run("cluster", "init", str(folder)).returncode == 0
    edited = folder / "slurm" / "cluster.env"
    edited.write_text("mine")
    again = installed.run("cluster", "init", str(folder))
    assert again.returncode == 0 and again.stdout == ""
    assert edited.read_text() == "mine"
