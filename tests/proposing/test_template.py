from __future__ import annotations

from dataclasses import replace

import pytest

from auditor.proposing.template import TEMPLATE


def test_base_images_come_before_all_adapted_ones_and_the_instruction_last() -> None:
    base = [{"type": "image", "n": i} for i in range(3)]
    adapted = [{"type": "image", "n": i} for i in range(3, 6)]
    system, user = TEMPLATE.messages(base, adapted)
    assert system["role"] == "system"
    content = user["content"]
    assert [p["n"] for p in content if p["type"] == "image"] == [0, 1, 2, 3, 4, 5]  # type: ignore[attr-defined]
    assert content[-1]["text"] == TEMPLATE.instruction  # type: ignore[index]
    # Everything up to the first adapted image is the same for all adapters: a server can reuse it.
    assert content[:5] == TEMPLATE.messages(base, adapted[::-1])[1]["content"][:5]  # type: ignore[index]


def test_prompt_is_short() -> None:
    words = " ".join([TEMPLATE.system, TEMPLATE.before, TEMPLATE.after, TEMPLATE.instruction]).split()
    assert len(words) <= 65


def test_hash_moves_with_every_word() -> None:
    fields = ("system", "before", "after", "instruction")
    changed = {replace(TEMPLATE, **{f: getattr(TEMPLATE, f) + "!"}).hash for f in fields}  # type: ignore[arg-type]
    assert len(changed | {TEMPLATE.hash, replace(TEMPLATE, version=99).hash}) == 6


@pytest.mark.parametrize(("base", "adapted"), [(0, 0), (2, 3)])
def test_unpaired_images_are_refused(base: int, adapted: int) -> None:
    with pytest.raises(ValueError, match="as many base as adapted"):
        TEMPLATE.messages([{}] * base, [{}] * adapted)
