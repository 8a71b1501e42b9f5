"""The generated reference is what the program says today."""

import importlib.util

import pytest


@pytest.fixture(scope="module")
def generated():
    from pathlib import Path

    path = Path(__file__).resolve().parent.parent / "docs" / "generate.py"
    spec = importlib.util.spec_from_file_location("docs_generate", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["cli.md", "settings.md", "schema.md"])
def test_page_is_up_to_date(generated, page):
    written = (generated.REFERENCE / page).read_text(encoding="utf-8")
    assert written == generated.pages()[page], "run `make docs` and commit the result"
