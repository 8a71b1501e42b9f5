"""Which family's base a file was made for, by how much of it lands on each published architecture.

Shapes give the family, never the exact base: Pony, Illustrious and SDXL are alike, and so are FLUX.1 dev and schnell.
Evidence must be positive: what lands nowhere has no family, and a tie is left open for the file's and the card's words.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from auditor.adapters.keys import DENOISER, NUMBERED_PREFIX
from auditor.adapters.landing import fits
from auditor.adapters.layout import BaseLayout
from auditor.adapters.tensor_groups import Entry
from auditor.errors import Refused
from auditor.families.family import Family
from auditor.families.shapes import architectures
from auditor.families.table import FAMILIES

COVERAGE_FLOOR = 0.9
"""Least share of a file's parts that must fit: below, it is another model's file."""
_LEAST_BLOCKS = 4
"""Fewest blocks whose exact number says anything."""
_DENOISERS = frozenset({DENOISER, "unet", "transformer"})
_TEXT_ENCODERS = frozenset({"text_encoder", "text_encoder_2", "text_encoder_3"})
# Names that only one architecture's own implementation has, where no table of ours leads from them to diffusers'.
_FOREIGN: tuple[tuple[str, str], ...] = (
    (r"(?:^|\.)double_blocks[._]\d+[._](?:img|txt)_(?:mlp[._]fc[12]|mod[._]linear)(?:$|[._])", "hunyuan_video"),
    (r"(?:^|\.)blocks[._]\d+[._](?:self|cross)_attn[._](?:q|k|v|output)_proj$", "anima"),
    (r"(?:^|\.)blocks[._]\d+[._](?:self|cross)_attn[._][qkvo]$", "wan_14b"),
    (r"(?:^|\.)llm[._]layers[._]\d+[._]self_attn", "omnigen"),
    (r"(?:^|\.)(?:double|single)_stream_blocks[._]\d+[._]", "hidream"),
)
_FOREIGN_COMPILED = tuple((re.compile(pattern), family) for pattern, family in _FOREIGN)
_BLOCK = re.compile(r"^([a-z_]+?)[._](\d{1,3})[._]")


@dataclass(frozen=True, slots=True)
class FamilyEvidence:
    """A family and why; `family` is null when nothing positive points to one."""

    family: str | None
    reasons: tuple[str, ...]
    candidates: frozenset[str] = frozenset()
    """Every family that fits equally well, `family` included. A claim may choose among them, nothing else."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Family → share of the file's parts that fit it, for all that are not 0."""
    by_blocks: frozenset[str] = frozenset()
    """Those of the candidates whose blocks the file changes exactly, all of them and no other; empty where that tells
    none from the others."""


@cache
def published_layout(family: str) -> BaseLayout:
    """The layout of a published architecture, from the table of shapes."""
    known = architectures()[family]
    return BaseLayout(
        known.denoiser,
        {
            component: {path: module.parameters["weight"] for path, module in modules.items() if module.adaptable}
            for component, modules in known.components.items()
        },
        family,
        {
            component: {
                f"{path}.{name}": shape for path, module in modules.items() for name, shape in module.parameters.items()
            }
            for component, modules in known.components.items()
        },
    )


def recognise_family(entries: Collection[Entry]) -> FamilyEvidence:
    """Name the family of the base that has the modules which a file changes.

    Args:
        entries: Of the file. Parts for T5 are left aside: no base takes them.
    """
    counted = [entry for entry in entries if not is_t5(entry)]
    if not counted:
        return FamilyEvidence(None, ("no module that a base could have",))
    if (foreign := _foreign(counted)) is not None:
        return FamilyEvidence(foreign, (f"module names of {FAMILIES[foreign].title}",), frozenset({foreign}))
    landed = Counter(family for entry in counted for family in _homes(entry) if _lands(entry, published_layout(family)))
    shares = {family: count / len(counted) for family, count in landed.items()}
    best = max(shares.values(), default=0.0)
    if best < COVERAGE_FLOOR:
        return FamilyEvidence(None, (_nearest(shares),), shares=shares)
    fitting = {family for family, share in shares.items() if share == best}
    if not any(map(_of_denoiser, counted)):
        return _by_text_encoders(counted, fitting, shares)
    return _chosen(counted, fitting, shares)


def recognise_layout(layout: BaseLayout) -> str | None:
    """The family of a base by the modules of its denoiser."""
    modules = layout.components[layout.denoiser].items()
    return recognise_family(
        [
            Entry(
                DENOISER,
                module,
                False,
                "diffusers",
                "full",
                {"diff": module},
                0,
                shape[0],
                shape[1],
                math.prod(shape[1:]),
                shape[2:] or (1, 1),
            )
            for module, shape in modules
        ]
    ).family


def _chosen(entries: Collection[Entry], fitting: set[str], shares: Mapping[str, float]) -> FamilyEvidence:
    """The family among those that fit alike, if the blocks or the many decide."""
    kin = {name: known for name, known in FAMILIES.items() if known.shapes in fitting}
    within = {name: _blocks_within(known, entries) for name, known in kin.items()}
    large = {n for n, found in within.items() if any(b >= kin[n].depths[stem] for stem in found for b in found[stem])}
    smaller = {
        n for n, found in within.items() if found and all(b == set(range(kin[n].depths[s])) for s, b in found.items())
    }
    candidates = frozenset(fitting | (set(kin) - large))
    counts = _block_counts(entries)
    exact = smaller | {family for family in fitting if counts and _has_blocks(family, counts)}
    pool = exact or fitting
    by_blocks = frozenset(exact if smaller or len(fitting) > len(exact) else ())
    rivals = {family for family in pool if FAMILIES[family].stands_back_for not in pool}
    share = shares[next(iter(fitting))]
    fit = "all parts" if share == 1 else f"{share:.1%} of the parts"
    if len(rivals) != 1:
        alike = " and ".join(FAMILIES[name].title for name in sorted(rivals))
        return FamilyEvidence(None, (f"{fit} fit {alike} alike",), candidates, shares, by_blocks)
    family = next(iter(rivals))
    reasons = [f"{fit} fit {FAMILIES[family].title}"]
    if by_blocks:
        reasons.append("the file has exactly its number of blocks")
    return FamilyEvidence(family, tuple(reasons), candidates, shares, by_blocks)


def _by_text_encoders(entries: Collection[Entry], fitting: set[str], shares: Mapping[str, float]) -> FamilyEvidence:
    """Files for text encoders alone: several families share theirs, but only SDXL is that often trained on CLIP-G."""
    candidates = frozenset(fitting | {name for name, kin in FAMILIES.items() if kin.shapes in fitting})
    if "sdxl" in fitting and any(entry.component == "text_encoder_2" for entry in entries):
        return FamilyEvidence("sdxl", ("text encoder of width 1280",), candidates, shares)
    family = next(iter(fitting)) if len(fitting) == 1 else None
    return FamilyEvidence(family, ("parts for text encoders alone",), candidates, shares)


@cache
def _denoisers_with() -> Mapping[str, tuple[str, ...]]:
    """Module name with underscores for dots → families whose denoiser has it, by its own or its original name."""
    found: dict[str, list[str]] = {}
    for family in architectures():
        layout = published_layout(family)
        for name in {module.replace(".", "_") for module in (*layout.modules[layout.denoiser], *layout.originals)}:
            found.setdefault(name, []).append(family)
    return {name: tuple(families) for name, families in found.items()}


def _homes(entry: Entry) -> tuple[str, ...]:
    """Families that may have the entry's module; all that are worth a closer look."""
    if entry.component in _TEXT_ENCODERS or entry.module.startswith(NUMBERED_PREFIX):
        return tuple(family for family, known in architectures().items() if entry.component in known.components)
    homes = _denoisers_with().get(entry.module.replace(".", "_"), ())
    if homes or entry.component is not None:
        return homes
    return tuple(architectures()) if "self_attn" in entry.module or "mlp" in entry.module else ()


def _lands(entry: Entry, layout: BaseLayout) -> bool:
    """Whether the entry finds a module of its shape."""
    if entry.component is None:
        named = tuple(layout.components)
    else:
        own = layout.component(entry.component)
        named = () if own is None else (own,)
    for component in named:
        try:
            targets = layout.targets(component, entry.module, flat=entry.flat)
        except Refused:  # one flattened name for two modules
            continue
        if targets and fits(entry, targets, layout):
            return True
    return False


def _of_denoiser(entry: Entry) -> bool:
    return entry.component in _DENOISERS or (entry.component is None and "self_attn" not in entry.module)


def is_t5(entry: Entry) -> bool:
    """Whether an entry changes T5, which is never adapted."""
    name = entry.module.replace(".", "_")
    return entry.component == "text_encoder_3" or name.startswith("encoder_block_")


def _foreign(entries: Collection[Entry]) -> str | None:
    for pattern, family in _FOREIGN_COMPILED:
        if any(pattern.search(e.module) for e in entries if not (e.component or "").startswith("text_encoder")):
            return family
    return None


def _block_counts(entries: Iterable[Entry]) -> dict[str, int]:
    """Sequence of blocks → how many, where the file changes every one from the first to its last."""
    numbers: dict[str, set[int]] = {}
    for entry in entries:
        if _of_denoiser(entry) and (match := _BLOCK.match(entry.module)) is not None:
            numbers.setdefault(match[1], set()).add(int(match[2]))
    return {stem: len(n) for stem, n in numbers.items() if len(n) >= _LEAST_BLOCKS and max(n) == len(n) - 1}


_ORIGINAL_STEMS = {
    "double_blocks": "transformer_blocks",
    "single_blocks": "single_transformer_blocks",
    "joint_blocks": "transformer_blocks",
}


def _has_blocks(family: str, counts: Mapping[str, int]) -> bool:
    known = FAMILIES[family].blocks if family in FAMILIES else {}
    return all(known.get(_ORIGINAL_STEMS.get(stem, stem)) == count for stem, count in counts.items())


def _blocks_within(kin: Family, entries: Iterable[Entry]) -> dict[str, set[int]]:
    """Which blocks a file changes, of those sequences that a smaller relation of a family cuts short."""
    numbers: dict[str, set[int]] = {stem: set() for stem in kin.depths}
    if not numbers or kin.shapes is None:
        return numbers
    layout = published_layout(kin.shapes)
    for entry in filter(_of_denoiser, entries):
        for module in _modules(entry, layout):
            for stem, found in numbers.items():
                if module.startswith(f"{stem}."):
                    found.add(int(module[len(stem) + 1 :].partition(".")[0]))
    return numbers


def _modules(entry: Entry, layout: BaseLayout) -> tuple[str, ...]:
    """The modules of a layout's denoiser that an entry changes, by the base's own names."""
    try:
        return tuple(target.module for target in layout.targets(layout.denoiser, entry.module, flat=entry.flat))
    except Refused:
        return ()


def _nearest(shares: Mapping[str, float]) -> str:
    if not shares:
        return "no part of it fits a known architecture"
    nearest = max(shares, key=lambda family: shares[family])
    return f"the nearest known architecture, {FAMILIES[nearest].title}, takes {shares[nearest]:.0%} of its parts"


def recognise_words(widths: Mapping[str, int]) -> FamilyEvidence:
    """Name the families of the bases that embeddings may have been learnt for.

    Args:
        widths: Text encoder as the file names it (`clip_l`, `clip_g`, …), or anything else for one that is not named,
            → width of its vectors.
    """
    small = published_layout("sd15").word_widths["text_encoder"]
    other = published_layout("sd21").word_widths["text_encoder"]
    big = published_layout("sdxl").word_widths["text_encoder_2"]
    if big in widths.values():
        if "t5" in widths:
            return FamilyEvidence(None, ("embeddings for three text encoders",), _SD3)
        return FamilyEvidence("sdxl", (f"embeddings of width {big}, for CLIP-G",), frozenset({"sdxl"}))
    if "t5" in widths:
        return FamilyEvidence("flux1", ("embeddings for CLIP-L and T5",), frozenset({"flux1"}))
    if set(widths.values()) == {other}:
        return FamilyEvidence("sd21", (f"embeddings of width {other} for one text encoder",), frozenset({"sd21"}))
    if set(widths.values()) == {small}:
        reason = f"embeddings of width {small}, which several text encoders have"
        return FamilyEvidence(None, (reason,), frozenset({"sd15", "sdxl", "flux1"}) | _SD3)
    return FamilyEvidence(None, ("embeddings of a width that no known base has",))


_SD3 = frozenset({"sd35_medium", "sd35_large", "sd3_medium"})
