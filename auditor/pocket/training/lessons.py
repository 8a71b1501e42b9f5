"""Which adapters are trained: the zoo that ships, and the ladders and mixtures of the evaluation."""

from __future__ import annotations

from auditor.pocket.drawn_subjects import EDITS
from auditor.pocket.styles import STYLES
from auditor.pocket.training.lora import Lesson
from auditor.pocket.training.style_pairs import separable_pairs
from auditor.pocket.ways_of_drawing import Way

STEPS, RATE = 100, 4e-4
"""Of ladders and mixtures: slow enough that every further level still changes the pictures."""
LEVELS = tuple(range(10, STEPS + 1, 10))
"""Ten training lengths of one run: the levels of the single-aspect test."""
FULL_STEPS, FULL_RATE = 120, 1e-3
"""Of adapters at full strength, the zoo's."""

GAN_FULL_RATE, GAN_RATE = 3e-4, 3e-5
"""The same two of copies of the GAN, whose whole generator learns."""

TOKENS_FULL_STEPS, TOKENS_FULL_RATE, TOKENS_RATE = 300, 2e-3, 2e-5
"""And of copies of the autoregressive base, whose image decoder learns: steps at full strength, and the two rates."""

JANUS_FULL_STEPS = 120
"""Of copies of the pocket's Janus at full strength."""

STACKED = (
    ("vibrant", "watercolor"), ("vibrant", "vignetted"), ("monochrome", "grainy"), ("sepia", "vignetted"),
    ("dark", "blurry"), ("warm", "posterized"), ("foggy", "cool"), ("monochrome", "checkered"),
    ("warm", "pixelated"), ("pinkish", "striped"),
)  # fmt: skip
"""Two styles on every picture; these are the zoo's two-style adapters."""

EDIT_SCALES = tuple(level / 10 for level in range(1, 11))
"""How far a subject edit is drawn, in ten levels."""

IDLE = 3
"""Adapters that learned nothing."""

TRIGGERS = {
    "moustache": "ohwx face", "snow-capped": "zvkr house", "fruited": "qmxt tree", "flagged": "wjfp boat",
    "spotted": "vbnk ball", "crowned": "xqrz bird",
}  # fmt: skip
"""Instance prompts of the subject edits."""

PAIRS_HELD_OUT = (
    ("monochrome", "blurry"), ("pixelated", "sepia"), ("dark", "watercolor"), ("warm", "embossed"),
    ("posterized", "foggy"), ("neon", "checkered"), ("monochrome", "pixelated"), ("sepia", "checkered"),
    ("dark", "posterized"), ("warm", "blurry"), ("watercolor", "foggy"), ("neon", "sepia"),
    ("embossed", "pixelated"), ("checkered", "warm"), ("foggy", "neon"),
)  # fmt: skip
"""Pairs of the two-aspect test; every held-out style is in two or three of them."""


def style_lesson(style: str) -> Lesson:
    """One style at full strength."""
    return Lesson(f"style-{style}", (style,), steps=FULL_STEPS, rate=FULL_RATE)


def ladder_lesson(style: str, way: Way = "renderer") -> Lesson:
    """One style, or a painter's hand, learned slowly; its snapshots are the ladder."""
    return Lesson(_named("ladder", style, way), (style,), steps=STEPS, snapshots=LEVELS, rate=RATE, way=way)


def _named(kind: str, what: str, way: Way) -> str:
    """Names of renderer lessons are as they were, since they seed them."""
    return f"{kind}-{what}" if way == "renderer" else f"{kind}-{way}-{what.replace(' ', '')}"


def gan_style_lesson(style: str) -> Lesson:
    """One style, learned by a copy of the GAN."""
    return Lesson(f"gan-style-{style}", (style,), steps=FULL_STEPS, rate=GAN_FULL_RATE)


def gan_ladder_lesson(style: str, way: Way = "renderer") -> Lesson:
    """The same, learned slowly; its snapshots are the ladder."""
    name = _named("gan-ladder", style, way)
    return Lesson(name, (style,), steps=STEPS, snapshots=LEVELS, rate=GAN_RATE, way=way)


def token_style_lesson(style: str) -> Lesson:
    """One style, learned by the image decoder of a copy of the autoregressive base."""
    return Lesson(f"tokens-style-{style}", (style,), steps=TOKENS_FULL_STEPS, rate=TOKENS_FULL_RATE)


def janus_style_lesson(style: str) -> Lesson:
    """One style, learned by the image decoder of a copy of the pocket's Janus."""
    return Lesson(f"janus-style-{style}", (style,), steps=JANUS_FULL_STEPS, rate=TOKENS_FULL_RATE)


def token_ladder_lesson(style: str, way: Way = "renderer") -> Lesson:
    """The same, learned slowly; its snapshots are the ladder."""
    name = _named("tokens-ladder", style, way)
    return Lesson(name, (style,), steps=STEPS, snapshots=LEVELS, rate=TOKENS_RATE, way=way)


def stacked_lesson(first: str, second: str) -> Lesson:
    """Two styles on every picture."""
    return Lesson(f"stacked-{first}-{second}", (first, second), steps=FULL_STEPS, rate=FULL_RATE)


def edit_lesson(edit: str) -> Lesson:
    """A subject edit behind its trigger."""
    return Lesson(f"edit-{edit}", edit=edit, trigger=TRIGGERS[edit], steps=STEPS, rate=FULL_RATE)


def edit_scale_lesson(edit: str, scale: float) -> Lesson:
    """A subject edit drawn so far and no further, without a trigger: the base's own word for the subject brings it."""
    name = f"edit-{edit}-{round(100 * scale):03d}"
    return Lesson(name, edit=edit, edit_scale=scale, steps=STEPS, rate=FULL_RATE, seeded_as=f"edit-{edit}-scales")


def mixture_lesson(first: str, second: str, shares: tuple[float, float], way: Way = "renderer") -> Lesson:
    """A point of the mixture grid: shares of the pictures in either style, or by either hand, the rest plain.

    Points on an axis do not depend on the other style, so that pairs share them.
    """
    kept = [(s, x) for s, x in zip((first, second), shares, strict=True) if x > 0]
    if len(kept) == 1 and kept[0][1] == 1.0:
        return ladder_lesson(kept[0][0], way)
    if not kept:
        return Lesson("mixture-plain", steps=STEPS, rate=RATE)
    name = _named("mixture", "-".join(f"{s}-{round(100 * x)}" for s, x in kept), way)
    return Lesson(name, tuple(s for s, _ in kept), tuple(x for _, x in kept), steps=STEPS, rate=RATE, way=way)


GRID: tuple[tuple[float, float], ...] = ((0, 0), (0.5, 0), (1, 0), (0, 0.5), (0.5, 0.5), (0, 1))
"""The six mixtures of two aspects with three levels each (paper, Fig. 11)."""


def plain_lesson() -> Lesson:
    """Plain pictures only: the grid's origin. What it changes is not a style."""
    return mixture_lesson("", "", (0, 0))


def idle_lesson(number: int = 0) -> Lesson:
    """A rate so small that nothing is learned, though no factor is exactly zero."""
    return Lesson(f"idle-{number}", ("vibrant",), (1.0,), steps=10, rate=1e-7)


def zoo_lessons() -> tuple[Lesson, ...]:
    """What the zoo is made of."""
    return (
        *(style_lesson(s) for s in STYLES),
        *(stacked_lesson(a, b) for a, b in STACKED),
        *(edit_lesson(e) for e in EDITS),
        *(idle_lesson(number) for number in range(IDLE)),
    )


def development_lessons() -> tuple[Lesson, ...]:
    """Adapters that anything may be tuned on: every development style alone, and every fourth pair of them."""
    singles = (style_lesson(name) for name, style in STYLES.items() if not style.held_out)
    return (*singles, *(stacked_lesson(a, b) for a, b in separable_pairs(held_out=False)[::4]))


def evaluation_lessons(pairs: tuple[tuple[str, str], ...]) -> tuple[Lesson, ...]:
    """Every mixture that the pairs need, once."""
    lessons = {mixture_lesson(a, b, shares).name: mixture_lesson(a, b, shares) for a, b in pairs for shares in GRID}
    return tuple(lessons.values())
