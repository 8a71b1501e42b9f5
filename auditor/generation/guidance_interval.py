"""Guidance in an interval of the steps only: outside of it the evaluation without the prompt is left out.

Guidance in all steps is not needed for its effect (Kynkäänniemi et al. 2024, *Applying Guidance in a Limited Interval
Improves Sample and Distribution Quality in Diffusion Models*). A pipeline reckons u + g (c - u) from the output u
without and c with the prompt. Here the denoiser gives c for both where guidance is not to act, which makes that c, and
evaluates once. So it works for every pipeline class and sampler, whatever the class does around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from auditor.families.guided_steps import ALWAYS, Interval, guided_steps
from auditor.generation.prompt_forms import Passes


class GuidanceInterval:
    """Stands before the forward function of one denoiser."""

    def __init__(self, denoiser: torch.nn.Module, passes: Passes, on_saved: Callable[[int], None]) -> None:
        """Take the forward function's place.

        Args:
            denoiser: Of the pipeline.
            passes: How the pipeline's class evaluates without and with the prompt.
            on_saved: Told of samples that the denoiser was given and did not evaluate.
        """
        self._passes, self._on_saved = passes, on_saved
        self._scheduler: Any = None
        self._interval = ALWAYS
        self._idle = True
        self._calls = 0
        self._conditional: Any = None
        self._forward: Any = denoiser.forward
        setattr(denoiser, "forward", self._evaluate)  # noqa: B010  # mypy takes the plain form for a method's

    def begin(self, scheduler: Any, interval: Interval, *, guided: bool) -> None:
        """A new call of the pipeline.

        Args:
            scheduler: Of the pipeline. Some evaluate more than once a step: what counts is the times it sets.
            interval: Where guidance acts.
            guided: Whether the call is guided at all.
        """
        self._scheduler, self._interval = scheduler, interval
        self._idle = not guided or interval == ALWAYS or self._passes == "one"
        self._calls, self._conditional = 0, None

    def _evaluate(self, *args: Any, **kwargs: Any) -> Any:
        if self._idle:
            return self._forward(*args, **kwargs)
        number, self._calls = self._calls, self._calls + 1
        acting = guided_steps(len(self._scheduler.timesteps), self._interval)
        if self._passes == "apart":
            return self._evaluate_apart(number, acting, args, kwargs)
        if number in acting:
            return self._forward(*args, **kwargs)
        count = _samples(args, kwargs)
        half = slice(count // 2, count) if self._passes == "prompt_last" else slice(0, count // 2)
        self._on_saved(count // 2)
        kept = {name: _part(value, count, half) for name, value in kwargs.items()}
        return _doubled(self._forward(*(_part(value, count, half) for value in args), **kept))

    def _evaluate_apart(self, number: int, acting: range, args: Any, kwargs: Any) -> Any:
        """With the prompt first, without it second."""
        if number % 2 == 0:
            self._conditional = self._forward(*args, **kwargs)
            return self._conditional
        if number // 2 in acting:
            return self._forward(*args, **kwargs)
        self._on_saved(_samples(args, kwargs))
        return self._conditional


def _samples(args: Any, kwargs: Any) -> int:
    """How many the denoiser is given; Z-Image's takes a list of pictures."""
    return len(args[0] if args else kwargs["hidden_states"] if "hidden_states" in kwargs else kwargs["sample"])


def _part(value: Any, count: int, half: slice) -> Any:
    """The rows of half the samples: of tensors and lists with one row a sample, also within a mapping."""
    if isinstance(value, dict):
        return {name: _part(each, count, half) for name, each in value.items()}
    if isinstance(value, list) or (isinstance(value, torch.Tensor) and value.ndim):
        return value[half] if len(value) == count else value
    return value


def _doubled(output: Any) -> Any:
    """What was evaluated with the prompt, for both."""
    if isinstance(output, torch.Tensor):
        return torch.cat([output, output])
    if isinstance(output, list):
        return [*output, *output]
    if isinstance(output, tuple):
        return tuple(_doubled(each) for each in output)
    for name, value in output.items():  # an output class of diffusers
        output[name] = _doubled(value)
    return output
