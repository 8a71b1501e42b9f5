"""README front matter → the `cardData` object of the API, without trusting the YAML."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import yaml  # type: ignore[import-untyped]

MAX_FRONT_MATTER_CHARS = 64 * 1024
MAX_DEPTH = 64
"""Of nested brackets: the scanner's time grows with its square."""


class _CardLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Safe YAML without aliases (a few lines of them expand to gigabytes of JSON) and without dates."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed in front matter")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


_CardLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def front_matter(readme: str) -> dict[str, Any] | None:
    """Return the front matter as a JSON-ready object; None when absent, too long or not a mapping."""
    lines = readme.lstrip("\ufeff").splitlines()
    if not lines or lines[0].strip() != "---":
        return None
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.strip() == "---"), None)
    text = "\n".join(lines[1:end])
    if end is None or len(text) > MAX_FRONT_MATTER_CHARS or _depth(text) > MAX_DEPTH:
        return None
    try:
        data = yaml.load(text, Loader=_CardLoader)  # a SafeLoader subclass
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return _jsonable(data) if isinstance(data, dict) else None


def _depth(text: str) -> int:
    steps = (1 if char in "[{" else -1 for char in text if char in "[{]}")
    return max(accumulate(steps), default=0)


def _jsonable(value: Any) -> Any:
    """Return `value` with keys as strings and without what JSON cannot say."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
