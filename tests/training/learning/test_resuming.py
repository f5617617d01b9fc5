"""A run that was ended resumes exactly: by a kill, by a signal, by a full disk; and no other run continues it."""

import json
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stamp.files import StorageError
from stamp.stopping import stop_on_signals
from stamp.training.__main__ import main
from stamp.training.learning.config import TrainingConfig
from stamp.training.learning.processes import TrainingProcesses
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.photographs import PhotoLibrary, read_photographs
from tests.disks import TOO_LARGE, full_after
from tests.training.conftest import NOUNS
from tests.training.learning.test_trainer import CONFIG, JOINT, VISION, WORDS, Make, finished, make
from tests.training.photographs import write_coco

__all__ = ["finished", "make"]
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("stop_after", [1, 4])
def test_resuming_after_a_kill_gives_the_very_same_weights(
    make: Make, finished: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    """Killed at the border of two stages and inside the last one, right behind a save."""
    steps = 0
    original = Trainer.train_step

    def dying_step(self: Trainer, *arguments: object) -> dict[str, float]:
        nonlocal steps
        if steps == stop_after:
            self.save()
            raise RuntimeError("killed")
        steps += 1
        return original(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", dying_step)
        with pytest.raises(RuntimeError, match="killed"):
            make(tmp_path).run()
    again = make(tmp_path)
    assert again.resume()
    again.run()
    for name, value in finished.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from stamp import files
from stamp.training.learning.trainer import Trainer
from tests.training.learning import test_trainer as tests

art, narrow, out = pickle.load(sys.stdin.buffer)
moved, replace = [], os.replace

def killing_replace(part, path):
    if moved[-2:-1] == ["state.pt"] and moved.count("state.pt") == 2:  # of the second save, and one file of `model/`
        os.kill(os.getpid(), signal.SIGKILL)
    moved.append(Path(path).name)
    replace(part, path)

os.replace = killing_replace
Trainer(tests.CONFIG, art, out, tests.torch.device("cpu"), init_from=narrow, workers=0).run()
"""


def test_a_kill_in_the_middle_of_a_save_loses_nothing(
    make: Make, library: ArtLibrary, narrow: Path, finished: Trainer, tmp_path: Path
) -> None:
    """A real one, which runs no `finally`, between two files of a checkpoint; a line of the log is torn besides."""
    given = pickle.dumps((library, narrow, tmp_path))
    done = subprocess.run([sys.executable, "-c", KILLED], input=given, cwd=ROOT, capture_output=True, timeout=1800)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert (tmp_path / "model.part").exists()
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"stage": "vis')
    again = make(tmp_path)
    assert again.resume()
    assert (again.progress.stage, again.progress.step) == (1, 2)
    again.run()
    for name, value in finished.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in finished.out.iterdir()}
    for path in (finished.out / "model").iterdir():
        assert (tmp_path / "model" / path.name).read_bytes() == path.read_bytes(), path.name
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 1, 2, 1, 2, 3]


def test_a_full_disk_is_a_sentence_and_keeps_the_last_save(make: Make, finished: Trainer, tmp_path: Path) -> None:
    run = make(tmp_path)
    run.run()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with full_after(20_000), pytest.raises(StorageError, match=rf"{tmp_path.name} {TOO_LARGE}"):
        run.save()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield stop_on_signals()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("signals", "saved"),
    [
        ([signal.SIGINT], (2, 1)),  # after the step in progress
        ([signal.SIGTERM], (2, 1)),
        ([signal.SIGINT, signal.SIGTERM], (1, 2)),  # at once: the save behind the stage before it stays
    ],
)
def test_a_signal_leaves_no_half_step(
    make: Make,
    finished: Trainer,
    tmp_path: Path,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    signals: list[signal.Signals],
    saved: tuple[int, int],
) -> None:
    """It comes in the first step of the last stage, when one of two optimizers has moved its weights."""
    run = make(tmp_path)
    run.processes = TrainingProcesses(stop=stop)
    original = torch.optim.Muon.step

    def interrupted(self: torch.optim.Muon) -> None:
        original(self)  # type: ignore[no-untyped-call]
        if run.progress.stage == 2:
            for number in signals:
                signal.raise_signal(number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch.optim.Muon, "step", interrupted)
        run.run()
    again = make(tmp_path)
    assert again.resume()
    assert (again.progress.stage, again.progress.step) == saved
    again.run()
    for name, value in finished.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stamp.training.__main__.run_train", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["train"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "stopped; the same command continues a training\n"


def test_nothing_to_resume(make: Make, tmp_path: Path) -> None:
    assert not make(tmp_path).resume()


def test_another_configuration_does_not_continue_a_run(make: Make, finished: Trainer) -> None:
    with pytest.raises(ValueError, match="another configuration"):
        make(finished.out, replace(CONFIG, seed=1)).resume()
    longer = replace(CONFIG, stages=(WORDS, VISION, replace(JOINT, steps=5)))
    assert make(finished.out, longer).resume()


def test_other_photographs_and_other_weights_do_not_continue_a_run(
    make: Make, finished: Trainer, narrow: Path, tmp_path: Path
) -> None:
    """What tells them apart is not where they lie; a state of an earlier version does not say, and is accepted."""
    config = TrainingConfig((WORDS,), precision="float32")
    photos = [PhotoLibrary(read_photographs(write_coco(tmp_path / name), NOUNS)) for name in ("a", "b")]
    fewer = PhotoLibrary(photos[0].photographs[1:])
    run = make(tmp_path / "run", config)
    run.photographs = photos[0]
    run.run()
    start = shutil.copytree(narrow, tmp_path / "moved")
    (start / "training.json").write_text((finished.out / "training.json").read_text())

    def again(photographs: PhotoLibrary | None, init_from: Path) -> Trainer:
        trainer = make(run.out, config, init_from)
        trainer.photographs = photographs
        return trainer

    assert again(photos[1], narrow).resume()
    for photographs, init_from, others in (
        (fewer, narrow, "other photographs"),
        (None, narrow, "other photographs"),
        (photos[1], start, "other weights to start from"),
        (None, start, "other photographs and other weights to start from"),
    ):
        with pytest.raises(ValueError, match=rf"belongs to a run with {others}; give that run's options"):
            again(photographs, init_from).resume()
    alone = again(photos[1], narrow)
    alone.processes = TrainingProcesses(0, 2)
    with pytest.raises(ValueError, match="another number of processes"):
        alone.resume()
    state = torch.load(run.out / "state.pt", weights_only=True)
    torch.save(
        {name: value for name, value in state.items() if name not in ("start", "photographs")}, run.out / "state.pt"
    )
    assert again(None, start).resume()
