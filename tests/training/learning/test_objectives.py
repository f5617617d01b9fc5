"""The losses, each against another implementation or a loop."""

import math

import pytest
import torch
from torch import nn
from transformers.loss.loss_utils import ForCausalLMLoss

from stamp.training.learning.objectives import (
    answer_loss,
    any_loss,
    dense_loss,
    grid_ious,
    mask_loss,
    which_loss,
)

IGNORED = -100
#: Two rows: an answer in the middle and one at the end; prompt and padding around them. 1 is an answer's token.
IS_ANSWER = torch.tensor([[0, 0, 1, 1, 1, 0, 1, 0], [0, 1, 1, 0, 0, 0, 0, 0]]).bool()


@pytest.fixture
def head() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(6, 11, bias=False).requires_grad_(False)


@pytest.fixture
def hidden() -> torch.Tensor:
    return 3 * torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(11, (2, 8), generator=torch.Generator().manual_seed(3))


def test_the_loss_of_answers_is_transformers_own(head: nn.Linear, hidden: torch.Tensor, ids: torch.Tensor) -> None:
    """Which shifts by itself, and leaves out what is labelled -100."""
    labels = ids.where(IS_ANSWER, IGNORED)
    expected = ForCausalLMLoss(head(hidden), labels, vocab_size=11)
    torch.testing.assert_close(answer_loss(hidden, head, ids, IS_ANSWER), expected)


def test_each_token_of_an_answer_is_predicted_from_the_one_before(
    head: nn.Linear, hidden: torch.Tensor, ids: torch.Tensor
) -> None:
    """A loop: minus the logarithm of the probability that the state before gives to each token, on average."""
    losses = []
    for row in range(2):
        for place in range(1, 8):
            if IS_ANSWER[row, place]:
                scores = [math.exp(float(one)) for one in head.weight @ hidden[row, place - 1]]
                losses.append(-math.log(scores[ids[row, place]] / sum(scores)))
    assert len(losses) == 6
    assert float(answer_loss(hidden, head, ids, IS_ANSWER)) == pytest.approx(sum(losses) / 6, rel=1e-5)


def test_only_states_in_front_of_an_answer_s_tokens_are_trained(
    head: nn.Linear, hidden: torch.Tensor, ids: torch.Tensor
) -> None:
    hidden.requires_grad_()
    answer_loss(hidden, head, ids, IS_ANSWER).backward()
    assert hidden.grad is not None
    trained = hidden.grad.abs().sum(-1) > 0
    assert torch.equal(trained, torch.cat([IS_ANSWER[:, 1:], torch.zeros(2, 1).bool()], dim=1))


def test_a_model_that_is_sure_has_no_loss_and_one_that_knows_nothing_that_of_a_guess(ids: torch.Tensor) -> None:
    head = nn.Linear(11, 11, bias=False).requires_grad_(False)
    head.weight.copy_(torch.eye(11))
    following = torch.nn.functional.one_hot(ids.roll(-1, 1), 11).float()
    assert float(answer_loss(100 * following, head, ids, IS_ANSWER)) == pytest.approx(0, abs=1e-6)
    assert float(answer_loss(0 * following, head, ids, IS_ANSWER)) == pytest.approx(math.log(11))


def test_the_loss_of_masks_is_a_loop_over_cells() -> None:
    logits, target = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 0.0, 4.0]]), torch.tensor([[1.0, 0.0, 0.25], [0, 0, 0]])
    expected = []
    for row, wanted in zip(logits.tolist(), target.tolist(), strict=True):
        p = [1 / (1 + math.exp(-one)) for one in row]
        bce = -sum(t * math.log(q) + (1 - t) * math.log(1 - q) for q, t in zip(p, wanted, strict=True)) / 3
        dice = 1 - (2 * sum(q * t for q, t in zip(p, wanted, strict=True)) + 1) / (sum(p) + sum(wanted) + 1)
        expected.append(0.3 * bce + 0.7 * dice)
    torch.testing.assert_close(mask_loss(logits, target), torch.tensor(expected))


def test_the_loss_of_cells_is_a_weighted_loop() -> None:
    """Soft targets; a cell that is not trusted counts for nothing, and the weights need not add up to 1."""
    random = torch.Generator().manual_seed(4)
    logits = 2 * torch.randn(2, 3, 4, generator=random)
    coverage = torch.rand(2, 3, 4, generator=random)
    coverage = coverage / coverage.sum(-1, keepdim=True)
    weights = torch.tensor([[1.0, 0.5, 0.0], [0.25, 1.0, 1.0]])
    total = 0.0
    for image in range(2):
        for cell in range(3):
            scores = [math.exp(float(one)) for one in logits[image, cell]]
            entropy = -sum(
                float(share) * math.log(score / sum(scores))
                for share, score in zip(coverage[image, cell], scores, strict=True)
            )
            total += float(weights[image, cell]) * entropy
    assert float(dense_loss(logits, coverage, weights)) == pytest.approx(total / 3.75, rel=1e-5)


def test_ious_on_the_grid_by_hand() -> None:
    """The better side has logits above 0 and coverage from one half on; two empty masks agree."""
    logits = torch.tensor([[1.0, 1.0, -1.0, 0.0], [-1.0, -1.0, -1.0, 0.0], [-1.0, -1.0, -1.0, 1.0]])
    target = torch.tensor([[0.5, 0.49, 1.0, 0.0], [0.4, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert grid_ious(logits, target).tolist() == pytest.approx([1 / 3, 1.0, 0.0])


def test_which_loss_by_hand() -> None:
    """A row with one mask, which says nothing, and a row with two over four cells.

    The cells: the first target's, half the second's, both targets' to equal parts, nobody's. The head has made
    differences three times as large.
    """
    alone, first, second = [9.0] * 4, [6.0, 0.0, 3.0, 7.0], [0.0, 3.0, 9.0, -7.0]
    covered = [[1.0] * 4, [1.0, 0.0, 1.0, 0.0], [0.0, 0.5, 1.0, 0.0]]
    loss = which_loss(torch.tensor([alone, first, second]), torch.tensor(covered), [1, 2])
    of_cells = [math.log1p(math.exp(-2)), math.log1p(math.exp(-1)), math.log1p(math.exp(-2)) + 1.0]
    assert float(loss) == pytest.approx((of_cells[0] + 0.5 * of_cells[1] + of_cells[2]) / 2.5, rel=1e-5)
    assert float(which_loss(torch.tensor([alone]), torch.tensor([covered[0]]), [1])) == 0


def test_any_loss_is_the_mask_loss_of_a_joint_mask() -> None:
    """A row with one mask, which says nothing, and one with two masks that overlap."""
    alone, first, second = [9.0] * 4, [6.0, 0.0, -3.0, -2.0], [0.0, 3.0, 9.0, -7.0]
    covered = [[1.0] * 4, [1.0, 0.0, 1.0, 0.0], [0.0, 0.5, 1.0, 0.0]]
    loss = any_loss(torch.tensor([alone, first, second]), torch.tensor(covered), [1, 2])
    expected = mask_loss(torch.tensor([[6.0, 3.0, 9.0, -2.0]]), torch.tensor([[1.0, 0.5, 1.0, 0.0]]))
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    assert float(any_loss(torch.tensor([alone]), torch.tensor([covered[0]]), [1])) == 0
