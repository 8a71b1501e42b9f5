"""Looks for attacks that are alive in what the program wrote; each function raises an AssertionError with the trace."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from html.parser import HTMLParser

from markdown_it import MarkdownIt

from tests.hostile.attacks import FORGED, MARK

_ELEMENTS = frozenset(re.findall(r"\w+", """
    html head meta title style body header main footer section article aside nav div span p h1 h2 h3 h4 a b i em strong
    code pre table thead tbody tr th td caption ul ol li dl dt dd figure figcaption img details summary svg g rect line
    path circle text polyline hr br small sup sub blockquote button input label select option datalist form dialog
    output time mark del s script link noscript
"""))  # fmt: skip
_RUNS = re.compile(r"^\s*(?:javascript|vbscript|data:(?!image/(?:png|jpeg|webp);base64,))", re.IGNORECASE)
_ADDRESSES = frozenset({"href", "src", "srcset", "action", "formaction", "xlink:href", "poster", "background", "data"})
_FORMULA = re.compile(r"[\s\u00a0\ufeff]*[=+@\uff1d\uff0b\uff0d\uff20-]")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def readable(text: str, allowed: str = "\n") -> None:
    """Nothing steers a terminal, hides letters or turns their order; two joiners that scripts need are let pass."""
    for character in set(text) - set(allowed) - set("\u200c\u200d"):
        assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"), repr(character)


def terminal(text: str) -> None:
    """A stream of a command: readable, and every line is the program's own."""
    readable(text)
    forged = [line for line in text.splitlines() if line.startswith(FORGED)]
    assert not forged, forged


def as_json(text: str) -> object:
    """One JSON value in ASCII."""
    assert text.isascii()
    value: object = json.loads(text)
    return value


def log(text: str) -> None:
    """JSON lines, each of them an event of ours."""
    assert text.isascii()
    for line in text.splitlines():
        record = json.loads(line)
        assert {"event", "timestamp", "level"} <= record.keys() and MARK not in "".join(record)


class _Page(HTMLParser):
    """Checks a page while it is read."""

    def __init__(self, scripts: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts, self.inside, self.text = scripts, "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _ELEMENTS, tag
        if tag == "script":
            assert dict(attrs).get("src") in self.scripts, attrs
        self.inside = tag
        for name, value in attrs:
            assert MARK not in name and not name.startswith("on"), (tag, name)
            assert name != "style" or MARK not in (value or ""), value
            if name in _ADDRESSES:
                assert not _RUNS.match(value or ""), value
                assert f"{MARK}.example" not in (value or "").partition("?")[0], value

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        assert self.inside not in ("script", "style") or MARK not in data, data

    def handle_comment(self, data: str) -> None:
        assert MARK not in data, data

    def handle_decl(self, decl: str) -> None:
        assert MARK not in decl, decl


def html(page: str, scripts: frozenset[str] = frozenset()) -> str:
    """A page, or a piece of one; returns its visible text."""
    readable(page)
    parser = _Page(scripts)
    parser.feed(page)
    parser.close()
    assert f"49{MARK}" not in page, "a template language was evaluated"
    return parser.text


def markdown(text: str) -> None:
    """A page in Markdown as the Hub renders it: raw HTML let through, addresses linked, tables."""
    readable(text)
    made = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    html(made)
    assert not re.search(rf"<(?:a|img|h\d|strong|em)\b[^>]*>[^<]*{MARK}", made), "markup of an uploader"
    linked = re.findall(rf"(?<!`)\b(?:https?://|www\.){MARK}", re.sub(r"`[^`]*`", "", text))
    assert not linked, "an address that is linked by itself"


def spreadsheet(text: str) -> None:
    """CSV in which no cell is a formula, in whatever way the cells are told apart."""
    for dialect in (",", ";"):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=dialect):
            for cell in row:
                assert _NUMBER.fullmatch(cell) or not _FORMULA.match(cell), cell
                assert not set(cell) & set("\n\r\t"), cell
    readable(text, "\r\n")


def script_data(text: str) -> object:
    """A piece of the site: one call with two JSON values, in which no element can end."""
    assert not set(text) & set("<>&\u2028\u2029")
    readable(text)
    arguments = re.fullmatch(r"piece\((.*)\);\n", text, re.DOTALL)
    assert arguments is not None
    name, value = json.loads(f"[{arguments[1]}]")
    assert MARK not in name
    return value


def sidecar(text: str) -> None:
    """A sidecar: JSON whose texts are readable, and no field that a manager shows as HTML holds any markup."""
    value = json.loads(text)
    for item in _texts(value):
        readable(item)
    assert "<" not in str(value.get("modelDescription", ""))


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (*_texts(key), *_texts(item))]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []
