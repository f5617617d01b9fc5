"""Muon for the matrices of transformer blocks, AdamW for the rest: half the steps of AdamW alone on the nano."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.vision_stem import StemmedVisionTower
from stamp.training.learning.config import Stage
from stamp.training.learning.objectives import NounFeatures
from stamp.training.learning.precision import MuonInFloat32, fast_bf16

#: Muon's learning rate as a multiple of AdamW's.
MUON_RATIO = 3.0
#: The same for its weight decay. With AdamW's, matrices grow until every layer drowns out the ones before.
MUON_DECAY_RATIO = 10.0
#: Learning rate of a pretrained stem relative to that of the tower after it.
STEM_LR_RATIO = 0.15


@dataclass(frozen=True)
class ParamGroup:
    """A part of a model with its peak learning rate.

    blocks: the transformer layers among the parameters, if any. rows: the only rows of its parameters that change.
    """

    parameters: list[nn.Parameter]
    blocks: nn.Module | None
    lr: float
    rows: Sequence[int] | None = None


def parts_of(
    model: StampForSegmentation,
    nouns: NounFeatures,
    stage: Stage,
    own_words: Sequence[int] = (),
    own_blocks: nn.Module | None = None,
) -> tuple[ParamGroup, ...]:
    """Vision tower, pretrained stem, text model and word embeddings, with their peak rates in a stage.

    own_words: the words that change even if the vision tower, which knows the others, does not.
    own_blocks: transformer layers besides those of the text model, of a mask decoder.
    """
    visual, layers = model.model.visual, model.model.language_model.layers
    blocks = layers if own_blocks is None else nn.ModuleList([layers, own_blocks])
    in_vision = {id(p) for p in visual.parameters()}
    general: list[nn.Parameter] = []
    pretrained: list[nn.Parameter] = []
    if isinstance(visual, StemmedVisionTower):
        general, pretrained = visual.stem.pretrained_parameters()
    in_stem = {id(p) for p in (*general, *pretrained)}
    tower = [p for p in visual.parameters() if id(p) not in in_stem]
    words: Any = model.get_input_embeddings().weight
    text = [p for p in model.parameters() if id(p) not in in_vision and p is not words]
    rows = None if stage.vision_lr else own_words
    return (
        ParamGroup([*tower, *nouns.parameters()], visual.blocks, stage.vision_lr),
        ParamGroup(pretrained, None, STEM_LR_RATIO * stage.vision_lr),
        ParamGroup(general, None, 0.0),
        ParamGroup(text, blocks, stage.text_lr),
        ParamGroup([words], None, stage.text_lr if rows is None or len(rows) else 0.0, rows),
    )


class Optimizers:
    """Several optimizers as one. A part with learning rate 0 is frozen: it gets no gradient at all."""

    def __init__(self, parts: Iterable[ParamGroup], weight_decay: float):
        muon_groups: list[dict[str, Any]] = []
        adam_groups: list[dict[str, Any]] = []
        self.parameters: list[nn.Parameter] = []
        self._rows: list[tuple[nn.Parameter, list[int]]] = []
        for part in parts:
            for parameter in part.parameters:
                parameter.requires_grad_(part.lr > 0)
            if part.lr == 0:
                continue
            self.parameters += part.parameters
            if part.rows is not None:
                self._rows += [(parameter, list(part.rows)) for parameter in part.parameters]
                adam_groups.append(_group(part.parameters, part.lr, weight_decay=0.0))  # it would change other rows
                continue
            blocks = () if part.blocks is None else part.blocks.parameters()
            matrices = {id(p) for p in blocks if p.ndim == 2}
            muon_groups.append(_group([p for p in part.parameters if id(p) in matrices], MUON_RATIO * part.lr))
            rest = [p for p in part.parameters if id(p) not in matrices]
            adam_groups.append(_group([p for p in rest if p.ndim > 1], part.lr, weight_decay=weight_decay))
            adam_groups.append(_group([p for p in rest if p.ndim <= 1], part.lr, weight_decay=0.0))
        self._members: list[torch.optim.Optimizer] = [
            torch.optim.Muon(muon_groups, weight_decay=MUON_DECAY_RATIO * weight_decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(adam_groups, betas=(0.9, 0.95), fused=True),
        ]

    def keep_own_rows(self) -> None:
        """Forget the gradients of rows that must not change."""
        for parameter, rows in self._rows:
            if parameter.grad is not None:
                own = parameter.grad[rows].clone()
                parameter.grad.zero_()[rows] = own

    def step(self, lr_factor: float) -> None:
        """Take one step at a share of the peak learning rates, then clear the gradients."""
        device = self.parameters[0].device
        precision: AbstractContextManager[object] = nullcontext() if fast_bf16(device) else MuonInFloat32()
        for member in self._members:
            for group in member.param_groups:
                group["lr"] = group["peak_lr"] * lr_factor
            with precision:
                member.step()
            member.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """Everything that `load_state_dict` needs."""
        return [member.state_dict() for member in self._members]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Continue from a `state_dict` of the same parts."""
        for member, values in zip(self._members, state, strict=True):
            member.load_state_dict(values)


def _group(parameters: list[nn.Parameter], lr: float, **options: float) -> dict[str, Any]:
    return {"params": parameters, "lr": lr, "peak_lr": lr, **options}
