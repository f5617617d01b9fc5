"""What one step does to each parameter: against the formulas, on a model of a few numbers."""

import copy

import pytest
import torch
from torch import nn

from stamp.training.learning.optimizer import Optimizers, ParamGroup

LR, DECAY = 0.1, 0.05


class Tiny(nn.Module):
    """One block with a matrix and a bias, and the same outside of it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList([nn.Linear(3, 4)])
        self.head = nn.Linear(4, 2)

    @property
    def block(self) -> nn.Linear:
        (block,) = self.blocks
        assert isinstance(block, nn.Linear)
        return block


@pytest.fixture
def tiny() -> Tiny:
    return Tiny()


def optimizer_of(tiny: Tiny, lr: float = LR, decay: float = DECAY) -> Optimizers:
    return Optimizers([ParamGroup(list(tiny.parameters()), tiny.blocks, lr)], decay)


def set_gradients(tiny: Tiny, value: float) -> None:
    for parameter in tiny.parameters():
        parameter.grad = torch.full_like(parameter, value)


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_without_a_gradient_only_the_decay_is_left(tiny: Tiny, factor: float) -> None:
    """Of matrices: those of blocks at three times the rate and ten times the decay. Vectors stay."""
    before = copy.deepcopy(tiny)
    set_gradients(tiny, 0.0)
    optimizer_of(tiny).step(factor)
    block, head = tiny.block, tiny.head
    torch.testing.assert_close(block.weight, before.block.weight * (1 - 3 * LR * factor * 10 * DECAY))
    torch.testing.assert_close(head.weight, before.head.weight * (1 - LR * factor * DECAY))
    assert torch.equal(block.bias, before.block.bias)
    assert torch.equal(head.bias, before.head.bias)


def test_vectors_and_matrices_outside_of_blocks_move_as_adam_moves_them(tiny: Tiny) -> None:
    """Two steps by the formula (betas 0.9 and 0.95, no decay): gradient 2 at half the rate, then gradient -1."""
    before, optimizer = copy.deepcopy(tiny), optimizer_of(tiny, decay=0.0)
    mean = square = moved = 0.0
    for number, (gradient, factor) in enumerate(((2.0, 0.5), (-1.0, 1.0)), start=1):
        set_gradients(tiny, gradient)
        optimizer.step(factor)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.95 * square + 0.05 * gradient**2
        moved += LR * factor * (mean / (1 - 0.9**number)) / ((square / (1 - 0.95**number)) ** 0.5 + 1e-8)
    for name in ("head.weight", "head.bias", "blocks.0.bias"):
        torch.testing.assert_close(tiny.get_parameter(name), before.get_parameter(name) - moved)


def test_matrices_of_blocks_move_as_muon_moves_them(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own, with the rate and the decay that a block gets; both in bfloat16."""
    monkeypatch.setattr("stamp.training.learning.optimizer.fast_bf16", lambda device: True)
    alone = nn.Parameter(tiny.block.weight.detach().clone())
    muon = torch.optim.Muon([alone], lr=3 * LR, weight_decay=10 * DECAY, adjust_lr_fn="match_rms_adamw")
    optimizer = optimizer_of(tiny)
    for seed in range(2):
        gradient = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
        set_gradients(tiny, 0.0)
        tiny.block.weight.grad, alone.grad = gradient.clone(), gradient.clone()
        optimizer.step(1.0)
        muon.step()
    torch.testing.assert_close(tiny.block.weight, alone)


def test_gradients_are_cleared(tiny: Tiny) -> None:
    set_gradients(tiny, 1.0)
    optimizer_of(tiny).step(1.0)
    assert all(parameter.grad is None for parameter in tiny.parameters())


def test_parts_have_rates_of_their_own_and_one_of_0_is_frozen(tiny: Tiny) -> None:
    set_gradients(tiny, 0.0)
    before = copy.deepcopy(tiny)
    parts = [
        ParamGroup([tiny.get_parameter("head.weight")], None, LR),
        ParamGroup([tiny.get_parameter("head.bias")], None, 0.0),
        ParamGroup(list(tiny.blocks.parameters()), None, LR / 2),
    ]
    optimizer = Optimizers(parts, DECAY)
    assert not tiny.head.bias.requires_grad
    assert [id(one) for one in optimizer.parameters] == [
        id(one) for one in (tiny.head.weight, *tiny.blocks.parameters())
    ]
    optimizer.step(1.0)
    torch.testing.assert_close(tiny.head.weight, before.head.weight * (1 - LR * DECAY))
    torch.testing.assert_close(tiny.block.weight, before.block.weight * (1 - LR / 2 * DECAY))  # none of Muon's
    unfrozen = Optimizers([ParamGroup([tiny.get_parameter("head.bias")], None, LR)], DECAY)
    assert tiny.head.bias.requires_grad
    assert len(unfrozen.parameters) == 1


def test_a_stored_state_goes_on_in_the_same_way(tiny: Tiny) -> None:
    """Two steps, or one step, the state, and one step of another optimizer with it."""
    other = copy.deepcopy(tiny)
    first, second = optimizer_of(tiny), optimizer_of(other)
    for optimizer, model in ((first, tiny), (second, other)):
        set_gradients(model, 1.0)
        optimizer.step(1.0)
    again = optimizer_of(other)
    again.load_state_dict(second.state_dict())
    for optimizer, model in ((first, tiny), (again, other)):
        set_gradients(model, -3.0)
        optimizer.step(0.5)
    for one, same in zip(tiny.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, same)


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """Five Newton-Schulz steps with Muon's coefficients, in double precision."""
    x: torch.Tensor = matrix.double().T / matrix.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T


@pytest.mark.parametrize(("fast", "errors"), [(False, (0, 1e-6)), (True, (1e-4, 1e-1))])
def test_muon_orthogonalises_in_float32_where_bfloat16_is_slow(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, fast: bool, errors: tuple[float, float]
) -> None:
    """The first update is a multiple of the gradient, so it makes no difference before the orthogonalisation."""
    monkeypatch.setattr("stamp.training.learning.optimizer.fast_bf16", lambda device: fast)
    before = tiny.block.weight.detach().clone()
    set_gradients(tiny, 0.0)
    gradient = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [2.0, 1.0, 1.0], [-2.0, 0.5, 0.0]])
    tiny.block.weight.grad = gradient.clone()
    optimizer_of(tiny, decay=0.0).step(1.0)
    moved = (before - tiny.block.weight).double() / (3 * LR * 0.2 * 4**0.5)
    assert errors[0] < (moved - orthogonalised(gradient)).abs().max() < errors[1]


def test_only_a_parts_own_rows_change(tiny: Tiny) -> None:
    """Neither by their gradient nor by decay."""
    parts = [
        ParamGroup([tiny.head.get_parameter("weight")], None, LR, rows=(1,)),
        ParamGroup([tiny.block.get_parameter("weight")], tiny.blocks, LR),
    ]
    optimizer = Optimizers(parts, DECAY)
    before = tiny.head.weight.detach().clone()
    for _ in range(3):
        set_gradients(tiny, 0.5)
        optimizer.keep_own_rows()
        optimizer.step(1.0)
    assert torch.equal(tiny.head.weight[0], before[0])
    torch.testing.assert_close(tiny.head.weight[1], before[1] - 3 * LR)  # AdamW: the same gradient each time
