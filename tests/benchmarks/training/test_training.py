"""Training of the methods that are compared: the same examples for each, the sweep, the card."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.scoring.curves import curve_points, read_answers
from benchmarks.training import train as training
from benchmarks.training.card import curve_table, sweep_table
from benchmarks.training.curve import milestones
from benchmarks.training.objectives import OBJECTIVES, WrittenMasks
from benchmarks.training.recipe import CHOICE_SEEDS, TrainingPlan, choice_batches, choice_score
from benchmarks.training.train import Means, choose_rates, make_trainer, train
from stamp.pictures.masks import intersection_over_union
from stamp.training.card.scene_set import TEST_SEEDS
from stamp.training.learning.attention_targets import Head
from stamp.training.learning.batch import Rows
from stamp.training.learning.cells import Grid
from stamp.training.learning.data import BatchMaker, BatchPlan
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.photographs import PhotoLibrary, read_photographs
from stamp.training.scenes.scenes import SceneConfig, compose_scene
from stamp.training.talk.exchange import Exchange
from tests.benchmarks.nano import make_processor, write_backbone
from tests.narrow import narrow_model
from tests.training.conftest import NOUNS, STYLES, library
from tests.training.photographs import write_coco

__all__ = ["library"]

CPU = torch.device("cpu")
PLAN = BatchPlan(6, 2, 1, 1, 3, seed_offset=0, styles=STYLES)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("backbone") / "nano-backbone")


@pytest.fixture(scope="module")
def makers(library: ArtLibrary) -> dict[str, BatchMaker]:
    made = {}
    for name, objective in OBJECTIVES.items():
        processor = make_processor()
        objective.adopt(narrow_model(processor), processor)
        made[name] = BatchMaker(PLAN, processor, library, 4, masks=objective)
    return made


def plan(backbone: Path, *methods: str, **more: object) -> TrainingPlan:
    given = {"steps": 2, "sweep_steps": 1, "rates": (2e-4, 1e-3), "grid": 6, "images": 1, "validation_batches": 1}
    return TrainingPlan(methods, backbone, styles=STYLES, **(given | {"points": 2} | more))  # type: ignore[arg-type]


def trainer_of(
    library: ArtLibrary, backbone: Path, method: str, out: Path, rate: float = 1e-3, **more: object
) -> Trainer:
    recipe = plan(backbone, method, **more)
    return make_trainer(recipe, method, rate, recipe.steps, Means(library, None, CPU, workers=0), out)


def words(maker: BatchMaker, rows: Rows, of_answers: bool) -> list[str]:
    tokenizer = maker.processor.tokenizer
    chosen = rows.attention_mask.bool() & (rows.is_answer == of_answers)
    return [str(tokenizer.decode(ids[own])) for ids, own in zip(rows.input_ids, chosen, strict=True)]


def test_every_method_sees_the_same_scenes_and_questions(makers: dict[str, BatchMaker]) -> None:
    for step in range(2):
        batches = {name: maker[step] for name, maker in makers.items()}
        first = batches["stamp"]
        for name, batch in batches.items():
            assert batch.pixel_values is not None
            assert first.pixel_values is not None
            assert torch.equal(batch.pixel_values, first.pixel_values)
            assert torch.equal(batch.coverage, first.coverage)
            for kind in ("mask_rows", "text_rows"):
                own, theirs = getattr(batch, kind), getattr(first, kind)
                assert words(makers[name], own, False) == words(makers["stamp"], theirs, False)


def test_only_the_mask_in_an_answer_differs(makers: dict[str, BatchMaker]) -> None:
    for kind in ("mask_rows", "text_rows"):
        expected = words(makers["stamp"], getattr(makers["stamp"][0], kind), True)
        for name in ("polygon", "patch_text"):
            form = written_as(name).form
            told = words(makers[name], getattr(makers[name][0], kind), True)
            for row, theirs in zip(told, expected, strict=True):
                pieces = form.pieces(row)
                assert "".join("<|seg|>" if piece.is_mask else piece.text for piece in pieces) == theirs
        assert words(makers["embedding"], getattr(makers["embedding"][0], kind), True) == expected


def test_shared_masks_differ_from_separate_ones_in_what_a_row_trains(makers: dict[str, BatchMaker]) -> None:
    """The same rows to the last token; the mask that STAMP trains is one of those trained here."""
    several = 0
    for step in range(4):
        separate, shared = makers["stamp"][step].mask_rows, makers["stamp_shared"][step].mask_rows
        assert separate is not None
        assert shared is not None
        for name in ("input_ids", "attention_mask", "is_answer", "image_index"):
            assert torch.equal(getattr(shared, name), getattr(separate, name)), name
        assert shared.seg_index is not None
        assert shared.target is not None
        assert separate.seg_index is not None
        assert separate.target is not None
        assert (shared.seg_index >= 0).sum() == len(shared.target)
        masks = iter(shared.target)
        for segs, seg, target in zip(shared.seg_index, separate.seg_index, separate.target, strict=True):
            own = dict(zip(segs[segs >= 0].tolist(), masks, strict=False))
            several += len(own) > 1
            assert torch.equal(own[int(seg)], target)
    assert several


def written_as(name: str) -> WrittenMasks:
    objective = OBJECTIVES[name]
    assert isinstance(objective, WrittenMasks)
    return objective


def mask_rows(maker: BatchMaker) -> Rows:
    rows = maker[1].mask_rows
    assert rows is not None
    return rows


def test_targets(makers: dict[str, BatchMaker]) -> None:
    """The embedding's are finer and average to STAMP's; written masks have none."""
    stamp, embedding = (mask_rows(makers[name]) for name in ("stamp", "embedding"))
    rows, columns = (int(n) for n in makers["stamp"][1].grid_thw[0, 1:])
    assert embedding.target is not None
    assert embedding.target.shape == (2, 16 * rows * columns)
    means = embedding.target.view(2, rows, 4, columns, 4).mean((2, 4)).flatten(1)
    torch.testing.assert_close(means, stamp.target)
    assert embedding.seg_index is not None
    assert stamp.seg_index is not None
    assert torch.equal(embedding.seg_index, stamp.seg_index)
    assert Head.NAMED in stamp.attention_index[:, 0]
    assert Head.NAMED not in embedding.attention_index[:, 0]
    for name in ("polygon", "patch_text"):
        written = mask_rows(makers[name])
        assert written.target is None
        assert written.seg_index is None
        assert Head.NAMED not in written.attention_index[:, 0]


def test_several_masks_are_written_in_their_places(library: ArtLibrary, makers: dict[str, BatchMaker]) -> None:
    """Each token of a mask knows which cells its object covers."""
    scene = compose_scene(3, library, SceneConfig(STYLES, 192, 128))
    grid = Grid.of(scene, makers["stamp"].lexicon)
    answer = "Sure, here are the segmentation masks for the one: <|seg|> and the remaining things: <|seg|>"
    rest = tuple(range(2, len(scene.objects) + 1))
    exchange = Exchange("segment_several", "both", answer, ((1,), rest))
    for name, bound in (("polygon", 0.8), ("patch_text", 0.6)):
        form = written_as(name).form
        processor = makers[name].processor
        learned = OBJECTIVES[name].answer(exchange, grid, processor)
        written = processor.decode(learned.token_ids)
        masks = [piece.text for piece in form.pieces(written) if piece.is_mask]
        assert [piece.text for piece in form.pieces(written) if not piece.is_mask][1] == " and the remaining things: "
        tokens = processor.tokenizer.convert_ids_to_tokens([learned.token_ids[one.index] for one in learned.written])
        assert "".join(tokens) == "".join(masks)
        first = len(form.tokens(np.isin(scene.labels, exchange.targets[0])))
        for one, ids in zip((learned.written[first - 1], learned.written[first]), exchange.targets, strict=True):
            np.testing.assert_array_equal(one.cells, grid.cover(ids))
        for text, ids in zip(masks, exchange.targets, strict=True):
            drawn = form.draw(text, Image.fromarray(scene.image))
            assert intersection_over_union(drawn, np.isin(scene.labels, ids)) >= bound


@pytest.mark.parametrize("name", ["polygon", "patch_text"])
def test_before_each_token_of_a_mask_the_model_looks_where_it_points(makers: dict[str, BatchMaker], name: str) -> None:
    maker, form = makers[name], written_as(name).form
    rows, (_, height, width) = mask_rows(maker), maker[1].grid_thw[0].tolist()
    grid_hw = height, width
    image_start = int((rows.input_ids[0] == maker.processor.image_token_id).int().argmax())
    mine = rows.attention_index[:, 0] == Head.WRITTEN
    foretold: dict[int, list[int]] = {}
    for (_, row, query), weights in zip(rows.attention_index[mine].tolist(), rows.attention_targets[mine], strict=True):
        before, token, after = map(
            str, maker.processor.tokenizer.convert_ids_to_tokens(rows.input_ids[row, query : query + 3].tolist())
        )
        foretold.setdefault(row, []).append(query + 1)
        if token.startswith("<row"):
            continue  # depends on the runs after it
        context = ["<row0>", token] if name == "patch_text" else [token]
        if token[1] in "xy" and name == "polygon":
            context = [token, after] if token[1] == "x" else [before, token]
        (place,) = list(form.places(context, grid_hw))[-1:]
        seen = weights[image_start : image_start + len(place)].numpy()
        if name == "polygon" and not place.any():
            assert weights[0] == 1  # the end of a contour: the sink
        elif name == "polygon":
            np.testing.assert_array_equal(seen, place)
        else:  # in whichever row it is
            columns = seen.reshape(grid_hw).sum(0)
            np.testing.assert_allclose(columns, place.reshape(grid_hw).sum(0) / place.sum(), atol=1e-5)
    own = set(maker.masks.words(maker.processor))
    for row, ids in enumerate(rows.input_ids.tolist()):
        assert foretold.get(row, []) == [index for index, token in enumerate(ids) if token in own]
    assert foretold


def test_rates_are_chosen_on_scenes_of_their_own(library: ArtLibrary, backbone: Path, tmp_path: Path) -> None:
    assert CHOICE_SEEDS.stop <= TEST_SEEDS.start
    trainer = trainer_of(library, backbone, "polygon", tmp_path)
    (first,) = choice_batches(trainer, 1)
    scene = compose_scene(CHOICE_SEEDS.start, library, SceneConfig(STYLES, 96, 96))
    pixels, _ = trainer.processor.encode_image(Image.fromarray(scene.image))
    torch.testing.assert_close(first.pixel_values, pixels)
    assert choice_score({"text": 1.0, "mask": 0.5, "dense": 9.0}) == 1.5
    assert choice_score({"text": 1.0, "dense": 9.0}) == 1.0


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def test_the_best_rate_is_kept_and_not_looked_for_again(
    library: ArtLibrary, backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {2e-4: 3.0, 5e-4: 1.0, 1e-3: float("nan")}
    ran: list[float] = []

    def run(trainers: list[Trainer]) -> None:
        ran.append(trainers[0].config.stages[0].text_lr)

    monkeypatch.setattr(training, "train_together", run)
    monkeypatch.setattr(training, "validation_losses", lambda trainer, _: {"text": scores[ran[-1]]})
    wanted, means = plan(backbone, "polygon", rates=tuple(scores)), Means(library, None, CPU, workers=0)
    assert choose_rates(replace(wanted, rates=(2e-4,)), means, tmp_path) == {"polygon": 2e-4}
    assert choose_rates(wanted, means, tmp_path) == {"polygon": 5e-4}
    assert ran == [2e-4, 5e-4, 1e-3]
    with pytest.raises(ValueError, match=r"of another sweep \(steps differ\)"):
        choose_rates(replace(wanted, sweep_steps=7), means, tmp_path)
    photographs = PhotoLibrary(read_photographs(write_coco(tmp_path / "photos"), NOUNS))
    with pytest.raises(ValueError, match=r"of another sweep \(photographs differ\)"):
        choose_rates(wanted, replace(means, photographs=photographs), tmp_path)
    with pytest.raises(ValueError, match="try smaller ones"):
        choose_rates(replace(wanted, rates=(1e-3,)), means, tmp_path)


def test_a_whole_training(library: ArtLibrary, backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweep, training, curves and cards of two methods; a second call has nothing to train and ends alike."""
    names = ("polygon", "embedding")
    recipe, means = plan(backbone, *names), Means(library, None, CPU, workers=0)
    monkeypatch.setattr(training, "MAX_NEW_TOKENS", 8)  # an untrained model never ends
    monkeypatch.setattr(training, "CURVE_SAMPLES", 4)
    texts = train(recipe, means, tmp_path)
    assert set(texts) == set(names)
    for name, text in texts.items():
        model = tmp_path / name / "model"
        assert (model / "README.md").read_text() == text
        assert {"sweep.json", "figures.json", "curve.jsonl", "training.json", "log.jsonl", "config.json"} <= {
            path.name for path in model.iterdir()
        }
        sweep = json.loads((model / "sweep.json").read_text())
        assert [row["rate"] for row in sweep["rows"]] == [2e-4, 1e-3]
        assert all(row["score"] == choice_score(row["losses"]) for row in sweep["rows"])
        assert sweep_table(sweep["rows"]) in text
        best = min(sweep["rows"], key=lambda row: row["score"])["rate"]
        assert f"rate\n{best:g}" in text
        assert ("mask" in sweep["rows"][0]["losses"]) == (name == "embedding")
        rows = [json.loads(line) for line in (model / "curve.jsonl").read_text().splitlines()]
        assert [row["pictures"] for row in rows] == [1] * 4 + [2] * 4
        assert [row["sample"] for row in rows[:4]] == [row["sample"] for row in rows[4:]]
        assert curve_table(curve_points(name, read_answers(model / "curve.jsonl")[0])) in text
        assert json.loads((model / "training.json").read_text())["masks"] == name
        assert not any(str(path) in text for path in (tmp_path, backbone))
    monkeypatch.setattr(Trainer, "train_step", None)
    assert train(recipe, means, tmp_path) == texts


def test_points_are_evenly_apart() -> None:
    assert milestones(10, 4) == (2, 5, 8, 10)
    assert milestones(2, 6) == (1, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"methods": ("points",)},
            "method must be one of stamp, stamp_shared, polygon, patch_text, embedding, got 'points'",
        ),
        ({"methods": ()}, "methods must be distinct"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"rates": ()}, "rates must be distinct and above 0"),
        ({"rates": (1e-3, 1e-3)}, "rates must be distinct and above 0"),
        ({"rates": (0.0,)}, "rates must be distinct and above 0"),
    ],
)
def test_plans_that_make_no_sense(change: dict[str, object], message: str) -> None:
    given = {"methods": ("stamp",), "backbone": Path("nano-backbone"), "steps": 2, "sweep_steps": 1, "rates": (1e-3,)}
    with pytest.raises(ValueError, match=message):
        TrainingPlan(**(given | change))  # type: ignore[arg-type]


def test_every_objective_is_a_method() -> None:
    assert set(OBJECTIVES) == {"stamp", "stamp_shared", "polygon", "patch_text", "embedding"}
    assert all(name == one.name for name, one in OBJECTIVES.items())
    assert [name for name, one in OBJECTIVES.items() if isinstance(one, WrittenMasks)] == ["polygon", "patch_text"]
