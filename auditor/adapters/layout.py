"""The adaptable modules of one base, and how a file's module names are found among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from auditor.adapters.conventions import Origin, original_names
from auditor.adapters.conventions.numbered import numbered_modules
from auditor.adapters.keys import DENOISER, NUMBERED_PREFIX
from auditor.errors import Refused

# CLIP's inner model lost its own name in newer transformers; files keep it.
_TEXT_MODEL = ("text_model.", "text_model_")
# The first diffusers LoRA files named CLIP's projections after the UNet's.
_CLIP_NAMES = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out.0": "out_proj"}

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Rows of a file's weight change that belong to one module of the base."""

    component: str
    module: str
    begin: int
    """First row, counted in the file's order."""
    end: int
    halves_swapped: bool = False
    """The module has its two halves of rows in the other order."""


@dataclass(frozen=True)
class BaseLayout:
    """Names and weight shapes of every linear and convolution layer that an adapter may change."""

    denoiser: str
    """Name of the denoiser among `components`: `unet` or `transformer`."""
    components: Mapping[str, Mapping[str, Shape]]
    """Component → module path → weight shape: (out, in) or (out, in, kernel height, kernel width)."""
    family: str | None = None
    """The base's family; null for an architecture that no table has."""
    parameters: Mapping[str, Mapping[str, Shape]] = field(default_factory=dict)
    """Component → parameter path → shape, of all parameters: what whole models and differences may change."""

    @cached_property
    def modules(self) -> Mapping[str, frozenset[str]]:
        """Component → every module path that has a parameter, norms and the component itself ("") included."""
        return {
            component: frozenset(adaptable) | {path.rpartition(".")[0] for path in self.parameters.get(component, {})}
            for component, adaptable in self.components.items()
        }

    @cached_property
    def word_widths(self) -> Mapping[str, int]:
        """Text encoder → width of its token embeddings, which is that of words learnt for it."""
        return {
            component: shape[1]
            for component, parameters in self.parameters.items()
            for path, shape in parameters.items()
            if component.startswith("text_encoder") and path.endswith("token_embedding.weight")
        }

    @cached_property
    def originals(self) -> Mapping[str, Origin]:
        """The denoiser's modules under the names of its original implementation."""
        return original_names(self.modules[self.denoiser])

    @cached_property
    def _flattened(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Component → underscored module name → own or original names that are spelt so."""
        result: dict[str, dict[str, tuple[str, ...]]] = {}
        for component, modules in self.modules.items():
            names = result.setdefault(component, {})
            for module in sorted(modules) + (sorted(self.originals) if component == self.denoiser else []):
                flat = module.replace(".", "_")
                if module not in names.get(flat, ()):
                    names[flat] = (*names.get(flat, ()), module)
        return result

    def component(self, named: str) -> str | None:
        """The base's own name of a component that a file names, or null if the base lacks it."""
        own = self.denoiser if named == DENOISER else named
        return own if own in self.components else None

    def resolve(self, component: str, module: str, *, flat: bool) -> str | None:
        """The base's own or original module name that a file's name means, or null.

        Args:
            component: One of `components`.
            module: The file's name for the module.
            flat: Whether dots were flattened to underscores, as kohya does.

        Raises:
            Refused: `ambiguous_modules`, when a flattened name stands for two modules.
        """
        if module.startswith(NUMBERED_PREFIX):
            return self._numbered[component].get(module)
        for candidate in _spellings(component, module):
            if flat:
                names = self._flattened[component].get(candidate, ())
                if len(names) > 1:
                    message = f"One name in the file means {len(names)} modules of the base."
                    raise Refused("ambiguous_modules", message)
                if names:
                    return names[0]
            elif candidate in self.modules[component] or self._original(component, candidate):
                return candidate
        return None

    def targets(self, component: str, module: str, *, flat: bool) -> tuple[Target, ...]:
        """Where a file's weight change lands: one module, several that share its rows, or none.

        Raises:
            Refused: `ambiguous_modules`.
        """
        name = self.resolve(component, module, flat=flat)
        if name is None:
            return ()
        origin = None if name in self.modules[component] else self._original(component, name)
        return tuple(self._rows(component, origin or Origin((name,))))

    def shape(self, target: Target) -> Shape:
        """Shape of a target's weight."""
        own = self.components[target.component].get(target.module)
        return self.parameters[target.component][f"{target.module}.weight"] if own is None else own

    def components_with(self, module: str) -> tuple[str, ...]:
        """Components that have a module of this dotted name."""
        return tuple(c for c in self.components if self.resolve(c, module, flat=False) is not None)

    @cached_property
    def _numbered(self) -> Mapping[str, Mapping[str, str]]:
        """Component → module by its number, for files that count modules instead of naming them."""
        return {component: numbered_modules(modules) for component, modules in self.components.items()}

    def _original(self, component: str, module: str) -> Origin | None:
        return self.originals.get(module) if component == self.denoiser else None

    def _rows(self, component: str, origin: Origin) -> Iterator[Target]:
        begin = 0
        for module in origin.modules:
            # a module may hold parameters of other names only, such as a bias
            shape = self.components[component].get(module)
            shape = shape or self.parameters.get(component, {}).get(f"{module}.weight", (0,))
            yield Target(component, module, begin, begin + shape[0], origin.halves_swapped)
            begin += shape[0]


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
