"""How a token is chosen out of its logits."""

import math
from collections import Counter

import pytest
import torch

from stamp.inference.generation import choose_token

#: Probabilities 1/4 and 3/4 at temperature 2, 1/10 and 9/10 at temperature 1.
LOGITS = torch.tensor([0.0, 2 * math.log(3)])


@pytest.mark.parametrize(("temperature", "share"), [(2.0, 0.75), (1.0, 0.9)])
def test_a_draw_is_from_the_softmax_of_the_logits_over_the_temperature(temperature: float, share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(choose_token(LOGITS, temperature, generator) for _ in range(3000))
    assert drawn[1] / 3000 == pytest.approx(share, abs=0.025)


def test_at_temperature_0_the_most_likely_token_is_taken() -> None:
    assert {choose_token(torch.tensor([1.0, 1.01, -5.0]), 0.0, None) for _ in range(20)} == {1}
