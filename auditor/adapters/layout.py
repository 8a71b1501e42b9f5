"""The adaptable modules of one base, and how a file's module names are found among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from auditor.adapters.families import FamilyEvidence, ModuleWidths, recognise_family
from auditor.adapters.keys import DENOISER
from auditor.errors import Refused

# CLIP's inner model lost its own name in newer transformers; files keep it.
_TEXT_MODEL = ("text_model.", "text_model_")
# The first diffusers LoRA files named CLIP's projections after the UNet's.
_CLIP_NAMES = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out.0": "out_proj"}


@dataclass(frozen=True)
class BaseLayout:
    """Names and weight shapes of every linear and convolution layer that an adapter may change."""

    denoiser: str
    """Name of the denoiser among `components`: `unet` or `transformer`."""
    components: Mapping[str, Mapping[str, tuple[int, ...]]]
    """Component → module path → weight shape: (out, in) or (out, in, kernel height, kernel width)."""
    family: str | None = None
    """The base's family as configured, else what its shapes say."""

    @cached_property
    def evidence(self) -> FamilyEvidence:
        """The family that names and shapes of the denoiser point to."""
        return recognise_family(
            ModuleWidths(module.replace(".", "_"), shape[1], shape[0])
            for module, shape in self.components[self.denoiser].items()
        )

    @cached_property
    def _flattened(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Component → underscored module name → module paths that are spelt so."""
        result: dict[str, dict[str, tuple[str, ...]]] = {}
        for component, modules in self.components.items():
            names = result.setdefault(component, {})
            for module in modules:
                flat = module.replace(".", "_")
                names[flat] = (*names.get(flat, ()), module)
        return result

    def component(self, named: str) -> str | None:
        """The base's own name of a component that a file names, or null if the base lacks it."""
        own = self.denoiser if named == DENOISER else named
        return own if own in self.components else None

    def resolve(self, component: str, module: str, *, flat: bool) -> str | None:
        """The module path in `component` that a file's module name means, or null.

        Args:
            component: One of `components`.
            module: The file's name for the module.
            flat: Whether dots were flattened to underscores, as kohya does.

        Raises:
            Refused: `ambiguous_modules`, when a flattened name stands for two modules.
        """
        for candidate in _spellings(component, module):
            if not flat:
                if candidate in self.components[component]:
                    return candidate
                continue
            paths = self._flattened[component].get(candidate, ())
            if len(paths) > 1:
                message = f"One name in the file means {len(paths)} modules of the base."
                raise Refused("ambiguous_modules", message)
            if paths:
                return paths[0]
        return None

    def components_with(self, module: str) -> tuple[str, ...]:
        """Components that have a module of this dotted name."""
        return tuple(c for c in self.components if self.resolve(c, module, flat=False) is not None)


def _spellings(component: str, module: str) -> tuple[str, ...]:
    """The file's own spelling first, then the ones that other library versions use."""
    if not component.startswith("text_encoder"):
        return (module,)
    names = [module]
    for old, new in _CLIP_NAMES.items():
        if module.endswith("self_attn." + old):
            names.append(module[: -len(old)] + new)
    stripped = [name[len(prefix) :] for prefix in _TEXT_MODEL for name in names if name.startswith(prefix)]
    added = [prefix + name for prefix in _TEXT_MODEL for name in names if not name.startswith(prefix)]
    return (*names, *stripped, *added)
