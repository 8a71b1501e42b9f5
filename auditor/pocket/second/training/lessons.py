"""Which adapters are trained: the zoo that ships, and what the evaluation measures on."""

from __future__ import annotations

from dataclasses import replace

from auditor.pocket.second.scenes import EDITS
from auditor.pocket.second.styles import STYLES, UNNAMED
from auditor.pocket.second.training.lora import Lesson
from auditor.pocket.second.training.style_pairs import ORDER_FREE, separable_pairs, style_pairs

STEPS, RATE = 100, 4e-4
"""Of ladders and mixtures: slow enough that every further level still changes the pictures."""
LEVELS = tuple(range(10, STEPS + 1, 10))
"""Ten training lengths of one run: the levels of the single-aspect test."""
FULL_STEPS, FULL_RATE = 120, 1e-3
"""Of adapters at full strength, the zoo's."""
SEEDS = 3
"""Adapters of one style, each from its own pictures and start."""

STACKED = (
    ("vibrant", "watercolor"), ("vibrant", "vignetted"), ("monochrome", "grainy"), ("sepia", "vignetted"),
    ("dark", "blurry"), ("warm", "posterized"), ("foggy", "cool"), ("monochrome", "checkered"),
    ("warm", "pixelated"), ("pinkish", "striped"),
)  # fmt: skip
"""Two styles on every picture; these are the zoo's two-style adapters."""

ZOO_STYLES = (
    "vibrant", "motion-blurred", "grainy", "sketched", "high-contrast", "bright", "cool", "vignetted", "striped",
    "inverted", "dotted", "pinkish", "monochrome", "blurry", "pixelated", "sepia", "dark", "warm", "posterized",
    "watercolor", "neon", "embossed", "foggy", "checkered",
)  # fmt: skip
"""One adapter each in the zoo. All are development styles: the zoo is looked at by everybody."""

ZOO_EDITS = ("moustache", "snow-capped", "fruited", "flagged", "spotted", "crowned")
"""The edits that are in the zoo."""

IDLE = 3
"""Adapters that learned nothing."""

TRIGGERS = {
    "moustache": "ohwx face", "snow-capped": "zvkr house", "fruited": "qmxt tree", "flagged": "wjfp boat",
    "spotted": "vbnk ball", "crowned": "xqrz bird", "haloed": "hjlk star", "bubbling": "pqvd fish",
    "loaded": "gzwt car", "steaming": "kxbm cup", "butterflied": "ydcf flower", "lamplit": "rmvn mushroom",
}  # fmt: skip
"""Instance prompts of the subject edits."""

RECIPES = (
    ("rank16", "neon"), ("rank1", "dark"), ("cross", "sepia"), ("dora", "bright"), ("dora", "dotted"),
    ("lokr", "cool"), ("lokr", "checkered"), ("text", "pinkish"),
)  # fmt: skip
"""Adapters of other recipes: rank, cross-attention only, DoRA, LoKr, text encoder too."""


def style_lesson(style: str, seed: int = 0) -> Lesson:
    """One style at full strength; `seed` numbers independent trainings."""
    return Lesson(f"style-{style}{f'-{seed}' if seed else ''}", (style,), steps=FULL_STEPS, rate=FULL_RATE)


def recipe_lesson(recipe: str, style: str) -> Lesson:
    """One style by another recipe than the zoo's usual."""
    lesson = replace(style_lesson(style), name=f"{recipe}-{style}")
    return replace(lesson, rank=int(recipe[4:])) if recipe.startswith("rank") else replace(lesson, recipe=recipe)


def ladder_lesson(style: str) -> Lesson:
    """One style, learned slowly; its snapshots are the ladder."""
    return Lesson(f"ladder-{style}", (style,), steps=STEPS, snapshots=LEVELS, rate=RATE)


def stacked_lesson(first: str, second: str) -> Lesson:
    """Two styles on every picture."""
    return Lesson(f"stacked-{first}-{second}", (first, second), steps=FULL_STEPS, rate=FULL_RATE)


def edit_lesson(edit: str) -> Lesson:
    """A subject edit behind its trigger."""
    return Lesson(f"edit-{edit}", edit=edit, trigger=TRIGGERS[edit], steps=STEPS, rate=FULL_RATE)


def mixture_lesson(first: str, second: str, shares: tuple[float, float]) -> Lesson:
    """A point of the mixture grid: shares of the pictures in either style, the rest plain.

    Points on an axis do not depend on the other style, so that pairs share them.
    """
    kept = [(s, x) for s, x in zip((first, second), shares, strict=True) if x > 0]
    name = "mixture-" + ("-".join(f"{s}-{round(100 * x)}" for s, x in kept) or "plain")
    return Lesson(name, tuple(s for s, _ in kept), tuple(x for _, x in kept) or (), steps=FULL_STEPS, rate=FULL_RATE)


GRID: tuple[tuple[float, float], ...] = ((0, 0), (0.5, 0), (1, 0), (0, 0.5), (0.5, 0.5), (0, 1))
"""The six mixtures of two aspects with three levels each (paper, Fig. 11)."""


def aspect_pairs(held_out: bool, count: int) -> tuple[tuple[str, str], ...]:
    """Pairs of the two-aspect test: every style in about equally many, the most visible pairs first."""
    uses = dict.fromkeys((n for n, s in STYLES.items() if s.held_out == held_out), 0)
    most = -(-2 * count // len(uses))
    chosen: list[tuple[str, str]] = []
    for a, b in separable_pairs(held_out):
        if len(chosen) < count and uses[a] < most and uses[b] < most:
            chosen.append((a, b))
            uses[a] += 1
            uses[b] += 1
    return tuple(chosen)


def search_pairs(held_out: bool, count: int) -> tuple[tuple[str, str], ...]:
    """Pairs of the two-concept search: order must not matter; evenly spread over the list of such pairs."""
    free = [(p.first, p.second) for p in style_pairs() if p.order < ORDER_FREE]
    free = [pair for pair in free if all(STYLES[s].held_out == held_out for s in pair)]
    stride = max(1, len(free) / count)
    return tuple(free[int(i * stride)] for i in range(min(count, len(free))))


PAIRS_HELD_OUT, PAIRS_DEVELOPMENT = aspect_pairs(True, 40), aspect_pairs(False, 40)
"""Pairs of the two-aspect test."""


def plain_lesson() -> Lesson:
    """Plain pictures only: the grid's origin. What it changes is not a style."""
    return mixture_lesson("", "", (0, 0))


def idle_lesson(number: int = 0) -> Lesson:
    """A rate so small that nothing is learned, though no factor is exactly zero."""
    return Lesson(f"idle-{number}", ("vibrant",), (1.0,), steps=10, rate=1e-7)


def zoo_lessons() -> tuple[Lesson, ...]:
    """What the zoo is made of."""
    return (
        *(style_lesson(s) for s in ZOO_STYLES),
        *(stacked_lesson(a, b) for a, b in STACKED),
        *(edit_lesson(e) for e in ZOO_EDITS),
        *(idle_lesson(number) for number in range(IDLE)),
        *recipe_lessons(),
    )


def recipe_lessons() -> tuple[Lesson, ...]:
    """Adapters of other recipes."""
    return tuple(recipe_lesson(recipe, style) for recipe, style in RECIPES)


def unseen_lessons() -> tuple[Lesson, ...]:
    """Adapters of styles that nothing names."""
    return tuple(style_lesson(style, seed) for style in UNNAMED for seed in range(SEEDS))


def development_lessons() -> tuple[Lesson, ...]:
    """Adapters that anything may be tuned on: every development style alone, and some pairs of them."""
    singles = (style_lesson(name) for name, style in STYLES.items() if not style.held_out)
    return (*singles, *(stacked_lesson(a, b) for a, b in search_pairs(False, 60)))


def evaluation_lessons(pairs: tuple[tuple[str, str], ...]) -> tuple[Lesson, ...]:
    """Every mixture that the pairs need, once."""
    lessons = {mixture_lesson(a, b, shares).name: mixture_lesson(a, b, shares) for a, b in pairs for shares in GRID}
    return tuple(lessons.values())


def measured_lessons() -> tuple[Lesson, ...]:
    """All that the evaluation measures on, development and held-out."""
    lessons = (
        *(style_lesson(s, seed) for s in STYLES for seed in range(SEEDS)),
        *unseen_lessons(),
        *(ladder_lesson(s) for s in STYLES),
        *evaluation_lessons((*PAIRS_HELD_OUT, *PAIRS_DEVELOPMENT)),
        *(stacked_lesson(a, b) for a, b in (*STACKED, *search_pairs(False, 60), *search_pairs(True, 110))),
        *(edit_lesson(e) for e in EDITS),
        *(idle_lesson(number) for number in range(IDLE)),
    )
    return tuple({lesson.name: lesson for lesson in lessons}.values())
