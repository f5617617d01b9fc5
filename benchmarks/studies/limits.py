"""How far an answer is from what the machine could do: measured seconds over the least that its work needs.

A pass over many tokens needs its multiplications at the rate of a large matrix product; a decoding pass needs every
weight once, at the rate at which memory is copied. Both rates are measured, so no data sheet is trusted. What a phase
does besides (norms, rotary positions, softmax, sampling) is left out, so the limit is a little too low.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import nn

from benchmarks.instruments import wait_for
from benchmarks.provenance import weights_bytes
from stamp.model.modeling_stamp import StampForSegmentation

#: Side of the square matrices and bytes of the copied block, on a GPU and on a CPU.
SIDE = {"cuda": 8192, "cpu": 1024}
BLOCK_BYTES = {"cuda": 2**30, "cpu": 2**27}
ROUNDS = 5


@dataclass(frozen=True)
class Machine:
    """What a device can do: multiplications and additions of a matrix product, and bytes read or written, a second."""

    flops: float
    bytes: float


@dataclass(frozen=True)
class Work:
    """An answer in numbers. patches: of the picture, before merging; prompt: tokens; passes: of decoding; masks."""

    patches: int
    prompt: int
    passes: int
    masks: int


def measure_machine(device: torch.device, dtype: torch.dtype) -> Machine:
    """The best of a few rounds of each."""
    side, n_bytes = SIDE[device.type], BLOCK_BYTES[device.type]
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    block = torch.zeros(n_bytes, dtype=torch.uint8, device=device)
    other = torch.empty_like(block)
    product_s = _best(lambda: torch.matmul(left, right), device)
    return Machine(2 * side**3 / product_s, 2 * n_bytes / _best(lambda: other.copy_(block), device))


def _best(run: Callable[[], object], device: torch.device) -> float:
    seconds = []
    for _ in range(ROUNDS + 1):
        wait_for(device)
        start = time.perf_counter()
        run()
        wait_for(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def least_seconds(model: StampForSegmentation, work: Work, machine: Machine) -> dict[str, float]:
    """The least seconds of each phase of an answer, separate masks; quantized weights count as they are stored."""
    text, vision = model.config.text_config, model.config.vision_config
    layers, head = _size(model.model.language_model.layers), _size(model.lm_head)
    cells = work.patches // vision.spatial_merge_size**2
    tower = 2 * (_size(model.model.visual.blocks) * work.patches + _size(model.model.visual.merger) * cells)
    tower += 4 * vision.depth * work.patches**2 * vision.embed_dim
    attention = 4 * text.num_hidden_layers * text.hidden_size  # of one query and one key
    causal = attention * work.prompt**2 / 2
    seen = work.masks * attention * cells * (work.prompt + cells)
    n_bytes = weights_bytes(model.model.language_model.layers) + weights_bytes(model.lm_head)
    least = {
        "vision": tower / machine.flops,
        "prefill": (2 * layers * work.prompt + causal + 2 * head) / machine.flops,
        "decode": work.passes * n_bytes / machine.bytes,
        "mask": (2 * layers * work.masks * cells + seen) / machine.flops,
    }
    return least | {"total": sum(least.values())}


def _size(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def limits_record(model: StampForSegmentation, work: Work, measured: dict[str, float]) -> dict[str, object]:
    """measured: seconds by phase -> rates, least seconds, and how many times as long the phases took."""
    machine = measure_machine(model.device, model.dtype)
    least = least_seconds(model, work, machine)
    times = {phase: measured[phase] / seconds for phase, seconds in least.items()}
    return {"machine": asdict(machine), "work": asdict(work), "least_s": least, "measured_over_least": times}
