"""Stamp's other rows: the released algorithm, the shipped nano, the backbone. The real nano stands in for all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.__main__ import build_parser
from benchmarks.checkpoints import ASSETS, CHECKPOINTS, MethodOptions, missing_checkpoints, read_method_options
from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import MaskSample, Sample, Truth
from benchmarks.methods import load_methods, method_labels
from benchmarks.methods.released import segment_released
from benchmarks.methods.teacher_forcing import segment_forced
from benchmarks.running.measuring import run_samples
from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT
from stamp.inference.answer import PHASES
from tests.benchmarks import tiny

NANO = ["--device", "cpu", "--dtype", "float32", "--max-new-tokens", "24"]
LEMON = EMBEDDED_CHECKPOINT.parent / "examples" / "lemon.webp"


def options(*more: str) -> MethodOptions:
    given = build_parser().parse_args(["run", "--dataset", "scenes", "--out", "out", *NANO, *more])
    return read_method_options(given)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return list(open_dataset("scenes", ["known"], tiny.write_scenes(tmp_path, splits=("known",))).samples)


def crab() -> MaskSample:
    """A request that the nano answers with a mask; nobody says here which one would be right."""
    height, width = np.asarray(Image.open(LEMON)).shape[:2]
    nothing = np.zeros((height, width), dtype=bool)
    return MaskSample("scenes", "known", "lemon", "segment", LEMON, "segment the lemon", False, lambda: Truth(nothing))


def test_the_released_algorithm_gives_equal_masks_with_more_work(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, released = load_methods(["stamp", "stamp:released"], options())
    encoded: dict[str, int] = {}
    for method in (ours, released):
        model: Any = method.predictor.model  # type: ignore[attr-defined]
        whole = model.encode_images
        monkeypatch.setattr(
            model,
            "encode_images",
            lambda *given, whole=whole, label=method.variant: (
                encoded.update({label: encoded.get(label, 0) + 1}),
                whole(*given),
            )[1],
        )
    records = list(run_samples([ours, released], [crab()]))
    first, second = sorted(records, key=lambda record: record.variant)
    assert (first.label, second.label) == ("stamp", "stamp:released")
    assert first.masks == second.masks != []
    assert (first.text, first.new_tokens, first.status) == (second.text, second.new_tokens, second.status)
    assert set(second.phases_s) == set(PHASES)
    assert second.total_s is not None
    assert sum(second.phases_s.values()) <= second.total_s
    # warm-up and measurement: one look at the picture each, and another for every mask of the released one
    assert encoded == {"": 2, "released": 2 * (1 + len(second.masks))}


def test_the_released_algorithm_takes_a_pass_for_each_mask() -> None:
    (method,) = load_methods(["stamp:released+none"], options())
    predictor: Any = method.predictor  # type: ignore[attr-defined]
    prompt = "segment the lemon and the volleyball"
    answer = "Sure, here are the segmentation masks for the lemon: <|seg|> and the volleyball: <|seg|>"
    ours = segment_forced(predictor, LEMON, prompt, 64, answer)
    theirs = segment_released(predictor, LEMON, prompt, 64, answer, refine="none")
    assert theirs.forward_passes == ours.forward_passes + 1
    plain, cut = theirs, segment_released(predictor, LEMON, prompt, 64, answer)
    assert np.any(plain.masks != cut.masks)  # the refinement is the one that was asked for


def test_the_shipped_nano_is_named_and_has_no_budget_to_compare() -> None:
    stamp, nano = load_methods(["stamp", "stamp_nano:none"], options("--model", str(EMBEDDED_CHECKPOINT)))
    assert (nano.name, nano.variant, nano.provenance()["model"]) == ("stamp_nano", "none", "stamp-nano")
    for about in (stamp.provenance(), nano.provenance()):
        assert (about["trained_from"], about["pictures_seen"]) == (None, None)


def test_stamp_is_the_equal_budget_checkpoint_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.checkpoints.ASSETS", tmp_path)
    with pytest.raises(ValueError, match="There is no assets/nano-backbone: name a folder with --backbone-model"):
        load_methods(["backbone"], options())
    budget = {"trained_from": "nano-backbone", "pictures_seen": 50240}
    trained = ASSETS / CHECKPOINTS["stamp"]
    for name in (CHECKPOINTS["stamp"], CHECKPOINTS["backbone"]):
        (tmp_path / name).mkdir()
        for path in EMBEDDED_CHECKPOINT.iterdir():
            (tmp_path / name / path.name).symlink_to(path)
    for path in (trained / "sweep.json", trained / "training.json"):
        (tmp_path / CHECKPOINTS["stamp"] / path.name).unlink(missing_ok=True)
        (tmp_path / CHECKPOINTS["stamp"] / path.name).symlink_to(path)
    stamp, nano, backbone = load_methods(["stamp", "stamp_nano", "backbone"], options())
    about = [method.provenance() for method in (stamp, nano, backbone)]
    assert [one["model"] for one in about] == ["nano-stamp", "stamp-nano", "nano-backbone"]
    assert [{name: one[name] for name in budget} for one in about] == [
        budget,
        dict.fromkeys(budget),
        dict.fromkeys(budget),
    ]
    (other,) = load_methods(["stamp"], options("--model", str(tmp_path / CHECKPOINTS["backbone"])))
    assert other.provenance()["model"] == "nano-backbone"


def test_what_all_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has neither a folder nor an option; and the shipped nano where `stamp` is that already."""
    monkeypatch.setattr("benchmarks.checkpoints.ASSETS", tmp_path)
    missing = missing_checkpoints(options())
    assert list(missing) == ["stamp_shared", "polygon", "patch_text", "embedding", "backbone", "stamp_nano"]
    assert method_labels(["stamp:none", "all"], missing) == ("stamp:none", "stamp")
    assert "train --methods patch_text" in missing["patch_text"]
    assert "--patch-text-model" in missing["patch_text"]
    assert "train" not in missing["backbone"]
    assert missing["stamp_nano"] == "stamp itself is the shipped nano, as there is no assets/nano-stamp."
    (tmp_path / "nano-embedding").mkdir()
    given = options("--model", "2b", "--polygon-model", "a/folder", "--backbone-model", "another")
    assert list(missing_checkpoints(given)) == ["stamp_shared", "patch_text"]
    (tmp_path / "nano-stamp").mkdir()
    assert "stamp_nano" not in missing_checkpoints(options())


def test_the_backbone_talks_and_gives_no_mask(samples: list[Sample]) -> None:
    chosen = options("--model", "nano", "--backbone-model", "nano")
    stamp, backbone = load_methods(["stamp", "backbone"], chosen)
    records = list(run_samples([stamp, backbone], samples))
    answers = {record.key[2:4]: record for record in records}
    assert [record.kind for record in records if record.method == "backbone"] == ["count", "exists"]
    for sample in samples[2:]:
        ours, other = answers[sample.id, "stamp"], answers[sample.id, "backbone"]
        assert (other.text, other.new_tokens, other.correct) == (ours.text, ours.new_tokens, ours.correct)
    image = crab().load_image()
    asked = backbone.predict(image, crab().prompt)
    assert "<|seg|>" in asked.raw_output
    assert asked.masks.shape == (0, image.height, image.width)
