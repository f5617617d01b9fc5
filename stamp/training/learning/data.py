"""From seeds to training batches: compose scenes, make exchanges about them, tokenise, and lay out rows.

Everything is a pure function of (stage, step): a DataLoader worker makes whole batches, and a resumed run gets
exactly the batches that it would have had.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from stamp.conversation import Turn
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.attention_targets import (
    AttentionTarget,
    NounMentions,
    answer_attention,
    mask_attention,
    noun_attention,
    shared_attention,
    written_attention,
)
from stamp.training.learning.batch import Batch, Rows
from stamp.training.learning.cells import N_PLACE, Grid, cell_places, grid_of
from stamp.training.learning.hardening import harden
from stamp.training.learning.mask_objective import AllMask, MaskObjective
from stamp.training.learning.nano import CELL_PX, image_processor
from stamp.training.learning.token_row import TokenRow, side_by_side
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.photographs import PhotoLibrary
from stamp.training.scenes.scene_config import SceneConfig
from stamp.training.scenes.scenes import TRAIN_SEEDS, Scene, compose_scene
from stamp.training.talk import requests
from stamp.training.talk.exchange import Exchange
from stamp.training.talk.makers import (
    CHECKLIST_MAKERS,
    COMPARING_MAKERS,
    MASK_MAKERS,
    TEXT_MAKERS,
    as_typed,
    draw,
    draw_after,
    more_often,
)
from stamp.training.talk.situation import Situation

#: About 6x6, 12x12, 16x16 and 24x24 mask tokens; three shapes each, one shape per batch.
SHAPES_CELLS = {
    6: ((6, 6), (5, 7), (7, 5)),
    12: ((12, 12), (10, 14), (14, 10)),
    16: ((16, 16), (14, 18), (18, 14)),
    24: ((24, 24), (20, 28), (28, 20)),
}


#: A composed scene with many things, to learn more from one picture.
CROWD: dict[str, Any] = {"min_objects": 5, "max_objects": 8, "min_area_share": 0.02, "min_visible_share": 0.015}


@dataclass(frozen=True)
class BatchPlan:
    """The content of a stage's batches. `seed_offset` keeps the scenes of different stages apart.

    checklists, requests: shares of a text row's exchanges that ask about several nouns at once, and for a mask.
    photographs: share of photographs among the pictures, if there are any. hardened: share with an unusual appearance.
    crowds: share of composed scenes that show many things. earlier: how likely another exchange precedes in a mask row,
    most_earlier: and how many may. apart: how likely an exchange of a text row begins a dialogue of its own, which sees
    none of the others (`side_by_side`). comparing: whether more requests compare things, by place, size and neighbour.
    several: how many times as often a request for masks asks for several things.
    """

    grid: int
    images: int
    mask_rows: int
    text_rows: int
    exchanges_per_text_row: int
    seed_offset: int
    styles: tuple[str, ...]
    checklists: float = 0.15
    requests: float = 0.2
    photographs: float = 0.0
    hardened: float = 0.0
    crowds: float = 0.0
    earlier: float = 0.25
    most_earlier: int = 8
    apart: float = 0.0
    comparing: bool = False
    several: float = 1.0

    def __post_init__(self) -> None:
        if self.grid not in SHAPES_CELLS:
            raise ValueError(f"grid must be one of {sorted(SHAPES_CELLS)}, got {self.grid}")
        if self.images < 1 or min(self.mask_rows, self.text_rows) < 0:
            raise ValueError("a batch needs at least one image and no negative row count")


class BatchMaker(Dataset[Batch]):
    """Batch number `step` of a stage, made from its own part of `seeds`, which starts at the plan's offset."""

    def __init__(
        self,
        plan: BatchPlan,
        processor: StampProcessor,
        art: ArtLibrary,
        steps: int,
        pictures: bool = True,
        masks: MaskObjective | None = None,
        seeds: range = TRAIN_SEEDS,
        photographs: PhotoLibrary | None = None,
    ):
        self.plan = plan
        self.processor = StampProcessor(processor.tokenizer, image_processor(None, processor.image_processor))
        self.photographs = photographs
        self.lexicon = Lexicon.of(art.nouns)
        self.mentions = NounMentions(processor, self.lexicon)
        self.art = art
        self.steps = steps
        self.pictures = pictures
        self.masks = masks or AllMask()
        self.mask_makers = more_often(
            requests.segment_several, plan.several, COMPARING_MAKERS if plan.comparing else MASK_MAKERS
        )
        self.first_seed = seeds.start + plan.seed_offset
        if self.first_seed + steps * plan.images > seeds.stop:
            raise ValueError(f"the stage would use scenes outside {seeds}")

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        return self.batch(self.scenes(step))

    def scenes(self, step: int) -> list[Scene]:
        """The scenes of a batch, all of the same size."""
        plan = self.plan
        rows, columns = SHAPES_CELLS[plan.grid][step % len(SHAPES_CELLS[plan.grid])]
        styles = tuple(style for style in plan.styles if style in self.art.styles)
        config = SceneConfig(styles, width=columns * CELL_PX, height=rows * CELL_PX)
        first = self.first_seed + step * plan.images
        return [self._scene(first + i, config) for i in range(plan.images)]

    def batch(self, scenes: Sequence[Scene]) -> Batch:
        """The batch of some scenes, with this maker's answers."""
        plan, rows_columns = self.plan, grid_of(scenes[0])
        mask_rows: list[TokenRow] = []
        text_rows: list[TokenRow] = []
        grids = [Grid.of(scene, self.lexicon) for scene in scenes]
        for index, grid in enumerate(grids):
            rng = Random(grid.scene.seed)
            mask_rows += [self._mask_row(grid, index, rng) for _ in range(plan.mask_rows)]
            text_rows += [self._text_row(grid, index, rng) for _ in range(plan.text_rows)]
        attributes = torch.from_numpy(np.stack([grid.attributes for grid in grids]))
        return Batch(
            torch.cat([self._pixels(scene) for scene in scenes]) if self.pictures else None,
            torch.tensor([[1, *rows_columns]] * len(scenes)),
            torch.from_numpy(np.stack([grid.nouns for grid in grids])),
            torch.from_numpy(np.stack([grid.weights for grid in grids])),
            attributes,
            attributes[..., :N_PLACE] + torch.from_numpy(cell_places(*rows_columns)),
            self._collate(mask_rows, len(grids[0].objects) if self.masks.mask_tokens else 0),
            self._collate(text_rows, 0),
        )

    def _scene(self, seed: int, config: SceneConfig) -> Scene:
        """A photograph or a composed scene, sometimes with many things, sometimes with an unusual appearance."""
        rng = Random(seed)
        if self.photographs is not None and rng.random() < self.plan.photographs:
            scene = self.photographs.scene(seed, config.width, config.height)
        else:
            scene = compose_scene(
                seed, self.art, replace(config, **CROWD) if rng.random() < self.plan.crowds else config
            )
        if rng.random() < self.plan.hardened:
            image = harden(np.random.default_rng([seed, 3]), scene.image)
            scene = replace(scene, image=image, true_colours=False)
        return scene

    def _pixels(self, scene: Scene) -> Tensor:
        pixels, _ = self.processor.encode_image(Image.fromarray(scene.image))
        return pixels

    def mask_exchanges(self, grid: Grid, rng: Random) -> list[Exchange]:
        """The exchanges of a mask row: the last one is a request for masks."""
        situation = Situation(grid.scene, rng, self.lexicon)
        exchanges: list[Exchange] = []
        while len(exchanges) < self.plan.most_earlier and rng.random() < self.plan.earlier:
            makers = self.mask_makers if rng.random() < 0.5 else TEXT_MAKERS
            exchanges.append(draw_after(exchanges[-1] if exchanges else None, makers, situation))
        last = draw_after(exchanges[-1] if exchanges else None, self.mask_makers, situation)
        exchanges.append(last if last.targets else draw(self.mask_makers, situation))
        return exchanges

    def _mask_row(self, grid: Grid, index: int, rng: Random) -> TokenRow:
        """A request for masks, sometimes after other turns; one `<|seg|>` is trained, or all of its answer."""
        exchanges = self.mask_exchanges(grid, rng)
        row = self._row(exchanges, grid, index, rng)
        segs = [i for i, token_id in enumerate(row.input_ids) if token_id == self.processor.seg_token_id]
        mask_ids = [target for exchange in exchanges for target in exchange.targets]
        which = rng.randrange(len(mask_ids))
        chosen = range(which, which + 1)
        if self.masks.whole_answers:
            chosen = _answer_with(which, [len(exchange.targets) for exchange in exchanges])
        targets = [self.masks.target(grid, mask_ids[number]) for number in chosen]
        known = [target for target in targets if target is not None]
        return replace(row, segs=[segs[number] for number in chosen], targets=known) if known else row

    def _text_row(self, grid: Grid, index: int, rng: Random) -> TokenRow:
        """Several questions, each with its answer, in one dialogue or more; a request for a mask may be among them."""
        situation = Situation(grid.scene, rng, self.lexicon)
        dialogues: list[list[Exchange]] = [[]]
        for _ in range(self.plan.exchanges_per_text_row):
            if dialogues[-1] and self.plan.apart and rng.random() < self.plan.apart:
                dialogues.append([])
            makers = self.mask_makers if rng.random() < self.plan.requests else TEXT_MAKERS
            if rng.random() < self.plan.checklists:
                makers = CHECKLIST_MAKERS
            before = dialogues[-1][-1] if dialogues[-1] else None
            dialogues[-1].append(draw_after(before, makers, situation))
        rows = [self._row(exchanges, grid, index, rng) for exchanges in dialogues]
        image_start = rows[0].input_ids.index(self.processor.image_token_id)
        return side_by_side(rows, shared=image_start + len(grid.objects) + 1)  # with the token that ends the picture

    def _row(self, exchanges: Sequence[Exchange], grid: Grid, index: int, rng: Random) -> TokenRow:
        turns: list[Turn] = []
        answers = [self.masks.answer(exchange, grid, self.processor) for exchange in exchanges]
        for n, (exchange, answer) in enumerate(zip(exchanges, answers, strict=True)):
            image = Image.new("RGB", (1, 1)) if n == 0 else None
            turns.append(Turn("user", as_typed(exchange.question, rng), image))
            turns.append(Turn("assistant", exchange.answer, token_ids=answer.token_ids))
        encoded = self.processor.encode_conversation(turns, [len(grid.objects)], add_generation_prompt=False)
        mentions = self.mentions.find(encoded.input_ids)
        image_start = encoded.input_ids.index(self.processor.image_token_id)
        found = [[grid.cover(ids) for ids in exchange.found] for exchange in exchanges]
        attention = [
            *noun_attention(mentions, image_start, grid.nouns, grid.parts),
            *answer_attention(mentions, encoded.is_answer, found, image_start),
            *written_attention(encoded.is_answer, [answer.written for answer in answers], image_start),
        ]
        return TokenRow(encoded.input_ids, encoded.is_answer, mentions, attention, index)

    def _collate(self, rows: Sequence[TokenRow], n_mask_tokens: int) -> Rows | None:
        if not rows:
            return None
        length = max(len(row.input_ids) for row in rows)
        pad = self.processor.tokenizer.pad_token_id
        ids = torch.full((len(rows), length), pad)
        attention = torch.zeros(len(rows), length, dtype=torch.long)
        answer = torch.zeros(len(rows), length, dtype=torch.bool)
        dialogues = torch.zeros(len(rows), length, dtype=torch.long)
        targets: list[tuple[int, AttentionTarget]] = []
        for i, row in enumerate(rows):
            n = len(row.input_ids)
            ids[i, :n] = torch.tensor(row.input_ids)
            attention[i, :n] = 1
            answer[i, :n] = torch.tensor(row.is_answer)
            targets += [(i, target) for target in row.attention]
            if row.targets and self.masks.mask_tokens:
                targets += [(i, target) for target in self._mask_attention(row, length)]
            if row.dialogues:
                dialogues[i, :n] = torch.tensor(row.dialogues)
        weights = torch.zeros(len(targets), length + n_mask_tokens)
        for k, (_, target) in enumerate(targets):
            weights[k, list(target.keys)] = torch.tensor(target.weights)
        index = torch.tensor([(target.head, i, target.query) for i, target in targets]).reshape(-1, 3)
        result = Rows(ids, attention, answer, torch.tensor([row.image_index for row in rows]), index, weights)
        if any(row.dialogues for row in rows):
            result.dialogues = dialogues
        masks = [target for row in rows for target in row.targets]
        if masks:
            most = max(len(row.segs) for row in rows)
            segs = torch.tensor([[*row.segs, *[-1] * (most - len(row.segs))] for row in rows])
            result.seg_index = segs if self.masks.whole_answers else segs.squeeze(1)
            result.target = torch.from_numpy(np.stack(masks)).float()
        return result

    def _mask_attention(self, row: TokenRow, length: int) -> Iterator[AttentionTarget]:
        if self.masks.whole_answers:
            image_start = row.input_ids.index(self.processor.image_token_id)
            return shared_attention(row.mentions, row.segs, row.targets, image_start, length)
        return mask_attention(row.mentions, row.segs[0], length, row.targets[0])


def _answer_with(mask: int, masks_of_answers: Sequence[int]) -> range:
    """The numbers of all masks of the answer that mask number `mask` of a conversation belongs to."""
    start = 0
    for count in masks_of_answers:
        if mask < start + count:
            break
        start += count
    return range(start, start + count)
