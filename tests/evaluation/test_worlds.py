"""Both editions of the pocket world as the evaluation sees them."""

from __future__ import annotations

import pytest

from auditor.evaluation.bank import own_bases
from auditor.evaluation.worlds import World, world_of
from auditor.lexicons.loader import load_lexicon
from auditor.settings import resolve


def of_profile(profile: str) -> World:
    (base,) = resolve(profile=profile, environment={}).settings.recipe.active_bases.values()
    return world_of(base.repo)


@pytest.mark.parametrize(
    ("profile", "held_out", "pairs", "adapters"), [("pocket", 12, 15, 12), ("pocket-2", 30, 40, 90)]
)
def test_a_profile_chooses_its_edition(profile: str, held_out: int, pairs: int, adapters: int) -> None:
    world = of_profile(profile)
    styles = world.style_names(held_out=True)
    assert len(styles) == held_out and not set(styles) & set(world.style_names(held_out=False))
    assert len(world.aspect_pairs(True)) == pairs
    assert {s for pair in world.aspect_pairs(True) for s in pair} <= set(styles)
    lessons = {world.styled(style, seed) for style in styles for seed in range(world.seeds)}
    assert len(lessons) == len({lesson.name for lesson in lessons}) == adapters


@pytest.mark.parametrize("profile", ["pocket", "pocket-2"])
def test_every_style_has_a_concept_and_a_planted_synonym_is_another_one(profile: str) -> None:
    world = of_profile(profile)
    lexicon = load_lexicon(resolve(profile=profile, environment={}).settings.recipe.lexicon)
    for style in world.held_out:
        assert all(lexicon.canonical(name) == name for name in world.names(style))
    doubled = [style for style in world.held_out if len(world.names(style)) == 2]
    assert len(doubled) == (0 if profile == "pocket" else len(world.held_out) // 2)


def test_no_word_of_the_lexicon_names_an_unnamed_style() -> None:
    world = of_profile("pocket-2")
    assert len(world.unnamed) >= 30
    assert not {style for lesson in world.unnamed for style in lesson.styles} & set(world.held_out)


@pytest.mark.parametrize("on", [(), ("pocket_janus",), ("pocket_tokens", "pocket_janus")])
def test_the_paper_has_one_base_of_each_kind(on: tuple[str, ...]) -> None:
    """Its trained copies are kept by lesson, and must not be taken for those of another base."""
    overrides = [f"recipe.bases.{name}.enabled=true" for name in on]
    settings = resolve(profile="pocket", overrides=overrides, environment={}).settings
    assert list(own_bases(settings, "autoregressive")) == ["pocket_tokens"]
    assert list(own_bases(settings, "gan")) == ["pocket_gan"] and list(own_bases(settings, "diffusers")) == ["pocket"]
