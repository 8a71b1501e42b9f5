"""The looking glass itself: every attack, written out as it is, is seen."""

from __future__ import annotations

import json

import pytest

from tests.hostile import traces
from tests.hostile.attacks import ATTACKS

MARKUP = ("script", "element", "end-of-element", "end-of-script", "markdown-block")


@pytest.mark.parametrize("name", MARKUP)
def test_markup(name: str) -> None:
    with pytest.raises(AssertionError):
        traces.html(f"<title>{ATTACKS[name]}</title><p>{ATTACKS[name]}</p>")
    with pytest.raises(AssertionError):
        traces.script_data(f'piece("x",{json.dumps(ATTACKS[name], ensure_ascii=False)});\n')


@pytest.mark.parametrize("page", [
    '<p title="{attribute}\'>', "<style>{line}</style>", '<a href="javascript:{script}">x</a>', "<!-- {sql} -->",
    "49zqxj", "<iframe></iframe>", '<script src="other.js"></script>',
])  # fmt: skip
def test_places_in_a_page(page: str) -> None:
    with pytest.raises(AssertionError):
        traces.html(page.format(**ATTACKS))


@pytest.mark.parametrize("name", ["markdown", "markdown-block", "script", "element"])
def test_markdown(name: str) -> None:
    with pytest.raises(AssertionError):
        traces.markdown(f"{ATTACKS[name]}\n")


@pytest.mark.parametrize("name", ["title", "screen", "order", "invisible", "line"])
def test_terminals(name: str) -> None:
    with pytest.raises(AssertionError):
        traces.terminal(f"a {ATTACKS[name]}")
    with pytest.raises(AssertionError):
        traces.sidecar(json.dumps({"notes": ATTACKS[name]}))


@pytest.mark.parametrize("name", ["formula", "formula-sum", "formula-sign", "formula-cell", "line"])
def test_spreadsheets(name: str) -> None:
    with pytest.raises(AssertionError):
        traces.spreadsheet('a,"{}"\r\n'.format(ATTACKS[name].replace('"', '""')))


def test_logs() -> None:
    with pytest.raises((AssertionError, json.JSONDecodeError)):
        traces.log('{"event": "x", "timestamp": "y", "level": "z"}\nzqxj FORGED')


def test_harmless_text_is_let_pass() -> None:
    traces.html("<p title='zqxj'>zqxj &lt;script&gt;</p>")
    traces.markdown("a `zqxj` and \\[zqxj\\](javascript:x) &lt;b&gt;\n")
    traces.terminal("a zqxj FORGED 👩\u200d🎨")
    traces.spreadsheet("a,'=zqxj,-0.5,-1e-05\r\n")
