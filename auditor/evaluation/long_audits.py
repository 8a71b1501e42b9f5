"""Long audits of adapters of known content: every prompt of the probe set with several seeds, kept as differences.

The first edition's are the zoo's, which come with the package, so nothing is trained for them. What each was trained on
is in `zoo_answers.json`, which only this room reads. The second edition's are trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.common.atomic_files import replacing
from auditor.common.package_paths import package_path
from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.finexl.arrays import FloatArray
from auditor.measuring.reference import reference_key
from auditor.pocket.styles import STYLES

SEED_SHIFT = 20_000_003
"""Between one pass over the prompts and the next; no audit's noise and no noise floor is met again."""


@dataclass(frozen=True)
class KnownAdapter:
    """One adapter: a name, its file, the styles that it was trained on, and whether any of these is held out."""

    name: str
    path: Path
    styles: tuple[str, ...]
    held_out: bool


def single_style_adapters(bank: Bank, styles: Sequence[str]) -> list[KnownAdapter]:
    """Adapters of one style each: the zoo's, or those of an edition without a zoo, which are trained if missing."""
    if bank.world.zoo:
        return [adapter for adapter in zoo_adapters(styles=1) if set(adapter.styles) & set(styles)]
    lessons = {style: bank.world.styled(style, 0) for style in styles}
    bank.ensure(list(lessons.values()))
    return [
        KnownAdapter(lesson.name, bank.path(TrainedAdapter(lesson, lesson.steps)), (style,), bank.world.held_out[style])
        for style, lesson in lessons.items()
    ]


def zoo_adapters(styles: int) -> list[KnownAdapter]:
    """The zoo's adapters of so many styles each, in the zoo's order."""
    answers = json.loads(package_path("pocket/zoo_answers.json").read_text())
    found = []
    for repo, answer in answers.items():
        if len(answer.get("styles", ())) == styles:
            file = next(iter(sorted(package_path(f"pocket/zoo/{repo}").glob("*.safetensors"))))
            taught = tuple(answer["styles"])
            found.append(KnownAdapter(repo, file, taught, any(STYLES[style].held_out for style in taught)))
    return found


def long_audit(bank: Bank, adapter: KnownAdapter, passes: int, note: Note | None = None) -> FloatArray:
    """d_i of one adapter on every prompt of the probe set, with `passes` seeds for each (passes, prompts, D).

    Pass 0 has the recipe's own seeds, so its first probes are those of a usual audit. A pass is kept on disk once it is
    measured; one that lies there already is read, and nothing is rendered for it.
    """
    sha256 = hashlib.sha256(adapter.path.read_bytes()).hexdigest()[:16]
    folder = bank.folder / "long-audits" / reference_key(bank.opened.recipe)
    base = [_pass(bank, folder / f"base-{number}.safetensors", number) for number in range(passes)]
    paths = [folder / f"{sha256}-{number}.safetensors" for number in range(passes)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    generator = bank.opened.generator
    if missing:
        generator.apply(normalise(inspect_file(adapter.path), generator.layout()))
        try:
            for number in missing:
                _pass(bank, paths[number], number)
                if note is not None:
                    note(f"{adapter.name}, pass {number + 1}")
        finally:
            generator.remove()
    return np.stack([_pass(bank, path, number) - base[number] for number, path in enumerate(paths)])


def _pass(bank: Bank, path: Path, number: int) -> FloatArray:
    """Embeddings of one pass with whatever is on the base (prompts, D), from disk where they are."""
    if not path.exists():
        probes = bank.opened.all_probes
        seeds = [(seed + number * SEED_SHIFT) % 2**32 for seed in probes.seeds]
        shown = bank.opened.encoder.encode_images(bank.opened.generator.generate(list(probes.prompts), seeds))
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file({"features": shown}, temporary)
    return np.asarray(load_file(path)["features"], dtype=np.float64)
