from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.common.package_paths import package_path
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.render_options import RenderOptions
from tests.tiny_models import SIZE, save_sd, save_sdxl

SETTINGS = {"sampler": "ddim", "steps": 3, "guidance": 3.0, "size": SIZE, "batch_size": 4}


@pytest.fixture(scope="session")
def sd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sd(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sdxl(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="session")
def shared_base(sd_folder: Path) -> DiffusersBase:
    return DiffusersBase(sd_folder, RenderOptions(**SETTINGS))


@pytest.fixture
def base(shared_base: DiffusersBase) -> Iterator[DiffusersBase]:
    """The tiny base without an adapter; the check after each test is that it was left so."""
    yield shared_base
    shared_base.remove()


@pytest.fixture(scope="session")
def shared_pocket_base() -> DiffusersBase:
    return DiffusersBase(
        package_path("pocket/weights/base"),
        RenderOptions(sampler="ddim", steps=2, guidance=1.0, size=64, application="merge"),
    )


@pytest.fixture
def pocket_base(shared_pocket_base: DiffusersBase) -> Iterator[DiffusersBase]:
    """The base that ships with the package, merging; the check after each test is that it was left pristine."""
    yield shared_pocket_base
    shared_pocket_base.remove()
