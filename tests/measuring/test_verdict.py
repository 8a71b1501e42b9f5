"""How an audit ends when several things are wrong at once: the order of the reasons."""

from types import SimpleNamespace
from typing import Any

import pytest

from auditor.finexl.significance import EffectTest
from auditor.measuring.verdict import pending_verdict, verdict

EFFECT = EffectTest("effect", "effect", 0.001, 1.0, 0.1)
NONE = EffectTest("no_effect", "below_floor", 0.5, 0.05, 0.1)


def adapter(*, unmatched: tuple[str, ...] = (), left_out: tuple[str, ...] = ()) -> Any:
    """What a verdict reads of an adapter."""
    return SimpleNamespace(unmatched=unmatched, left_out=left_out, facts=SimpleNamespace(pairs=10))


def test_an_effect_with_nothing_left_out_is_scored() -> None:
    assert verdict(adapter(), 12, 0, EFFECT, None) == ("scored", None, "Scored on 12 probes.")


@pytest.mark.parametrize("arm", [None, NONE])
def test_no_effect_goes_before_every_shortcoming(arm: EffectTest | None) -> None:
    outcome, reason, message = verdict(adapter(unmatched=("unet.x",), left_out=("the VAE",)), 12, 3, NONE, arm)
    assert (outcome, reason) == ("no_effect", "inside_noise_floor")
    assert message == "The change is smaller than the noise floor."


def test_an_effect_with_the_trigger_alone_is_scored_and_said() -> None:
    outcome, reason, message = verdict(adapter(), 12, 0, NONE, EFFECT)
    assert (outcome, reason) == ("scored", None)
    assert message.endswith("It acts with its trigger only.")


def test_parts_that_fit_nowhere_go_before_parts_left_out_and_these_before_pictures() -> None:
    everything = adapter(unmatched=("unet.x",), left_out=("text encoders", "VAE"))
    assert verdict(everything, 12, 3, EFFECT, None)[1] == "modules_unmatched"
    rest = verdict(adapter(left_out=("text encoders", "VAE")), 12, 3, EFFECT, None)
    assert rest[1] == "components_left_out" and "text encoders and VAE" in rest[2]
    assert verdict(adapter(), 12, 3, EFFECT, None)[1] == "probes_dropped"


@pytest.mark.parametrize(
    ("unmatched", "reason"),
    [
        (("text_encoder.a", "text_encoder_2.b"), "text_encoder_dropped"),
        (("text_encoder.a", "unet.b"), "modules_unmatched"),
    ],
)
def test_only_a_dropped_text_encoder_alone_is_called_so(unmatched: tuple[str, ...], reason: str) -> None:
    assert verdict(adapter(unmatched=unmatched), 12, 0, EFFECT, None)[:2] == ("scored_partial", reason)


def test_waiting_for_words_never_hides_another_shortcoming() -> None:
    assert pending_verdict("scored", None, "Fine.")[:2] == ("scored_partial", "proposals_pending")
    kept = ("scored_partial", "probes_dropped", "3 unusable pictures were left out.")
    assert pending_verdict(*kept) == kept
