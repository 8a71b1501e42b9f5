"""Numbers and articles in messages."""

import pytest

from auditor.common.wording import counted, with_article


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 tensors"), (1, "1 tensor"), (2, "2 tensors"), (12_345, "12,345 tensors")]
)
def test_nouns_follow_their_number(number, said):
    assert counted(number, "tensor") == said


@pytest.mark.parametrize(("noun", "said"), [("vae", "a vae"), ("ip adapter", "an ip adapter"), ("ESRGAN", "an ESRGAN")])
def test_nouns_have_their_article(noun, said):
    assert with_article(noun) == said
