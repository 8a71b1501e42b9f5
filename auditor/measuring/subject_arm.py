"""The arms of an adapter for one subject: asked for by its taught word, in contexts of its own.

Three arms on the same noise: the base with the class ("a dog on a beach"), the adapter with the taught word ("a sks dog
on a beach"), and the adapter with the class alone, which shows whether the subject leaks into every dog. Scored is the
second against the first. Sampling stops by the same rule as the plain arm's; the noise floor is the base's own in these
contexts.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auditor.encoding.encoder import Encoder
from auditor.finexl.divergence import next_look
from auditor.finexl.significance import EffectTest
from auditor.generation.generator import Generator
from auditor.measuring.arm_images import ArmImages, Floats, PicturedArm, mean_length, usable_pictures
from auditor.measuring.reference import NOISE_SEED_SHIFT, chunk_bounds
from auditor.measuring.scoring import Scorer
from auditor.probes.subjects import Subject, SubjectContexts
from auditor.records.recipe import Recipe
from auditor.records.result import SubjectArm, TriggerArms

_KEPT_CLASSES = 4
_NOISE_CONTEXTS = 8


@dataclass(frozen=True, eq=False)
class ClassPictures:
    """The base's pictures of a class in the first m contexts.

    Attributes:
        images: Pictures (m, H, W, 3).
        features: Their embeddings (m, D).
        usable: Which show something (m,).
        noise: The same with other seeds minus `features`, in the first k contexts (k, D).
    """

    images: NDArray[np.uint8]
    features: Floats
    usable: NDArray[np.bool_]
    noise: Floats


@dataclass(eq=False)
class ClassCache:
    """The classes asked for last, of one base: many adapters are for a woman, a man or a dog."""

    kept: OrderedDict[tuple[str, int], ClassPictures] = field(default_factory=OrderedDict)

    def get(self, key: tuple[str, int]) -> ClassPictures | None:
        """What is kept of a class's words and a number of contexts."""
        if key in self.kept:
            self.kept.move_to_end(key)
        return self.kept.get(key)

    def put(self, key: tuple[str, int], pictures: ClassPictures) -> None:
        """Keep it, and forget what was asked for longest ago."""
        self.kept[key] = pictures
        while len(self.kept) > _KEPT_CLASSES:
            self.kept.popitem(last=False)


@dataclass(frozen=True, eq=False)
class SubjectMeter:
    """What subjects of one base are measured with.

    Attributes:
        generator: The base, with the adapter on it.
        encoder: The recipe's encoder.
        scorer: Of the recipe.
        recipe: Says how many contexts, the looks, and the strength.
        contexts: Prompts with a place for the subject.
        classes: The base's pictures of classes so far.
    """

    generator: Generator
    encoder: Encoder
    scorer: Scorer
    recipe: Recipe
    contexts: SubjectContexts
    classes: ClassCache = field(default_factory=ClassCache)

    def measure(self, subject: Subject, trigger: str, source: str) -> ArmImages:
        """Render the three arms, look by look.

        Args:
            subject: What the trigger names.
            trigger: The declared text, for the record.
            source: Where it was declared.

        Raises:
            ItemError: `blank_images` or `nonfinite_images` when more than a tenth of an arm's pictures are unusable.
        """
        taught = self.contexts.filled(subject.phrase, subject.noun)
        plain = self.contexts.filled(subject.plain, subject.noun)
        chunks = chunk_bounds(min(self.recipe.subject_probes, len(self.contexts)), self.recipe.looks)
        looks = [stop for _, stop in chunks]
        base, worded, leaking = PicturedArm(), PicturedArm(), PicturedArm()
        for start, stop in chunks:
            worded.add(*self._draw(taught[start:stop], start, "with its trigger the adapter breaks the base"))
            leaking.add(*self._draw(plain[start:stop], start, "the adapter breaks the base"))
            known = self._class_pictures(subject.plain, plain, start, stop)
            base.add(known.images, known.features, known.usable)
            keep = base.usable & worded.usable & leaking.usable
            differences = (worded.features - base.features)[keep]
            if next_look(differences, target=self.recipe.cosine_error_target, looks=looks).next_probes is None:
                break
        noise = self._class_pictures(subject.plain, plain, 0, looks[0]).noise
        leak = mean_length((leaking.features - base.features)[keep])
        arms = TriggerArms(
            trigger=trigger, source=source, weights_norm=leak,
            trigger_on_adapter_norm=mean_length((worded.features - leaking.features)[keep]),
            scores=self.scorer.concept_scores(differences),
            subject=SubjectArm(
                token=subject.token, noun=subject.noun, contexts=self.contexts.name, probes=int(keep.sum()),
                norm=mean_length(differences),
            ),
        )  # fmt: skip
        rows = np.flatnonzero(keep)
        return ArmImages(
            arms,
            rows,
            tuple(taught[i] for i in rows),
            tuple(self.contexts.seeds[i] for i in rows),
            base.images[keep],
            worded.images[keep],
            base.features[keep],
            differences,
            int((~keep).sum()),
            noise,
        )

    def _draw(
        self, prompts: tuple[str, ...], start: int, verdict: str, *, adapter: bool = True, other_seeds: bool = False
    ) -> tuple[NDArray[np.uint8], Floats, NDArray[np.bool_]]:
        offset = NOISE_SEED_SHIFT if other_seeds else 0
        seeds = [(s + offset) % 2**32 for s in self.contexts.seeds[start : start + len(prompts)]]
        images = self.generator.generate(prompts, seeds, scale=self.recipe.lora_scale, adapter=adapter)
        usable = usable_pictures(self.generator.last_checks, verdict)
        return images, self.encoder.encode_images(images), usable

    def _class_pictures(self, words: str, prompts: tuple[str, ...], start: int, stop: int) -> ClassPictures:
        """The base's pictures of a class between two looks; those of the first look bring the noise floor."""
        key = words, start
        if (known := self.classes.get(key)) is not None:
            return known
        blame = "the base itself is at fault"
        images, features, usable = self._draw(prompts[start:stop], start, blame, adapter=False)
        few = min(_NOISE_CONTEXTS, stop) if start == 0 else 0
        noise = np.zeros((0, features.shape[1]), np.float32)
        if few:
            _, again, fine = self._draw(prompts[:few], 0, blame, adapter=False, other_seeds=True)
            noise = (again - features[:few])[fine & usable[:few]]
        made = ClassPictures(images, features, usable, noise)
        self.classes.put(key, made)
        return made


def with_test(arms: TriggerArms, test: EffectTest) -> TriggerArms:
    """The record with what the effect test of a subject's arm said."""
    if arms.subject is None:
        return arms
    subject = arms.subject.model_copy(update={"p_value": test.p_value, "floor": test.floor})
    return arms.model_copy(update={"subject": subject})
