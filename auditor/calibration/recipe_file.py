"""The file that a calibration ends in: settings to include."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from auditor.calibration.calibrating import Calibration
from auditor.calibration.drawing import looks_within, own_drawing
from auditor.common.atomic_files import write_text
from auditor.settings import Settings


def recipe_tree(settings: Settings, found: Calibration) -> dict[str, object]:
    """What changes in the recipe, and the measured rates, as tables of settings."""
    recipe: dict[str, object] = {}
    bases: dict[str, dict[str, object]] = {}
    for name, (drawing, probes) in found.taken.items():
        base, rate = settings.recipe.bases[name], found.rates[name]
        own = own_drawing(base)
        changed: dict[str, object] = {
            key: getattr(drawing, key)
            for key in ("size", "steps", "guidance", "guidance_interval")
            if getattr(drawing, key) != getattr(own, key)
        }
        if rate.batch_size < base.batch_size:
            changed["batch_size"] = rate.batch_size
        if changed:
            bases[name] = changed
        if probes != settings.recipe.probe_count:
            recipe |= {"probe_count": probes, "looks": list(looks_within(settings.recipe, probes))}
    if bases:
        recipe["bases"] = bases
    measured = {name: rate.model_dump(mode="json", exclude_none=True) for name, rate in found.rates.items()}
    return ({"recipe": recipe} if recipe else {}) | {"measured": measured}


def write_recipe_file(path: Path, settings: Settings, found: Calibration) -> None:
    """Write the file.

    Args:
        path: Of the TOML file.
        settings: That the calibration was made with.
        found: What it found.
    """
    bounds = found.options.bounds
    head = (
        '# Written by `auditor calibrate`. Name it in auditor.toml: include = ["' + path.name + '"]\n'
        f"# Bounds: mean cos(V) of {bounds.cosine:g}, same top concept for {bounds.agreement:g} of the adapters, each\n"
        "# reached by the lower end of a one-sided 95 % interval. No [recipe]: nothing cheaper was shown to do so.\n"
    )
    rounded = _rounded(recipe_tree(settings, found))
    assert isinstance(rounded, dict)
    write_text(path, f"{head}\n{tomli_w.dumps(rounded)}")


def _rounded(value: object) -> object:
    """Figures as far as they mean something."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
