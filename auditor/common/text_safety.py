"""Makes text that strangers wrote safe to show on a terminal, in a log line or in a prompt.

Repository names, cards, file metadata and model replies are uploads. Printed raw they can move the cursor,
retitle the window, hide letters or reverse the reading order of a line.
"""

from __future__ import annotations

import re
import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "…"

# CSI (also as one C1 byte), then OSC/DCS/SOS/PM/APC strings up to their terminator, then two-byte escapes.
_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)

_ZERO_WIDTH_JOINERS = frozenset("\u200c\u200d")  # kept: emoji and several scripts need them
_LINE_BREAKS = frozenset("\u2028\u2029")


def clean(text: str, *, limit: int | None = None, multiline: bool = False) -> str:
    """`text` without terminal escapes, control characters, bidirectional overrides or invisible characters.

    Args:
        text: Anything, lone surrogates included.
        limit: Longest result in characters; a longer text ends in an ellipsis.
        multiline: Keep line feeds and tabs. Otherwise all white space control becomes one space each.

    Returns:
        Printable text. Cleaning it again changes nothing.
    """
    without_escapes = _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n"))
    shown = "".join(_shown(character, multiline) for character in without_escapes)
    if limit is not None and len(shown) > limit:
        shown = shown[: max(limit - 1, 0)] + ELLIPSIS
    return shown


def _shown(character: str, multiline: bool) -> str:
    """What stands for one character: itself, a space, the replacement character or nothing."""
    if character in "\n\t\r\v\f" or character in _LINE_BREAKS:
        return character if multiline and character in "\n\t" else " "
    category = unicodedata.category(character)
    if category == "Cs":
        return REPLACEMENT
    # Cf: bidirectional controls, zero-width spaces, soft hyphens, tag characters. Cc: C0 and C1.
    if category in {"Cc", "Cf"} and character not in _ZERO_WIDTH_JOINERS:
        return ""
    return character


def markdown_code(text: str, *, limit: int | None = None) -> str:
    """Text as a Markdown code span, in which nothing is a link, a heading or HTML; also inside of a table.

    The fence is longer than any run of backticks in the text. A bar, which would end a table's cell even there, becomes
    a broken bar.
    """
    shown = clean(text, limit=limit).replace("|", "¦").strip() or " "
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    blank = " " if longest else ""
    return f"{fence}{blank}{shown}{blank}{fence}"
