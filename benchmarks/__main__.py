"""Command line: `python -m benchmarks COMMAND`; `--help` lists the commands."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.run_command import add_run_options, read_run_options, run
from benchmarks.study_commands import STUDIES, add_studies
from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT
from stamp.stopping import INTERRUPTED, stop_on_signals
from stamp.threads import let_threads_sleep


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure STAMP against others.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_run_options(commands.add_parser("run", help="run methods over a dataset: one record per answer"))
    report = commands.add_parser("report", help="write the tables of a run from its records alone")
    report.add_argument("folder", type=Path)
    report.add_argument("--check", action="store_true", help="only check the stored report; exits with 1 if it differs")
    report.add_argument("--convention", default="ours", help="evaluation to follow: ours, lisa or gres")
    compare = commands.add_parser("compare", help="compare two runs: exits with 1 if any score differs")
    compare.add_argument("a", type=Path)
    compare.add_argument("b", type=Path)
    compare.add_argument("--tolerance", type=float, default=0.0, help="largest difference that is ignored")
    each = commands.add_parser("each", help="IoU of each target of requests for several things, from a run's records")
    each.add_argument("folder", type=Path)
    each.add_argument("--root", type=Path, help="folder of the scene set; not needed for the project's own scenes")
    gallery = commands.add_parser("gallery", help="a method's worst answers in a run, as one picture")
    gallery.add_argument("folder", type=Path)
    gallery.add_argument("--root", type=Path, help="folder of the dataset; not needed for the project's own scenes")
    gallery.add_argument("--method", default="stamp", help="NAME or NAME:VARIANT")
    gallery.add_argument("--each", type=int, default=2, help="answers per kind of request")
    gallery.add_argument("--out", type=Path, required=True, help="picture to write")
    figures = commands.add_parser("figures", help="measure every figure of the nano's model card and write the card")
    figures.add_argument("--model", type=Path, default=EMBEDDED_CHECKPOINT, help="checkpoint folder; gets the card")
    figures.add_argument("--run", type=Path, help="folder of the training run (default: the model's record)")
    figures.add_argument("--art", type=Path, default=Path("art"), help="folder of the installed artwork")
    figures.add_argument("--photos", type=Path, help="folder of photographs with masks; measures the held-out ones")
    figures.add_argument("--scenes", type=int, default=100, help="unseen scenes for precision and edges")
    figures.add_argument("--device", default="auto")
    figures.add_argument("--out", type=Path, required=True, help="folder for the records; a run in it is resumed")
    add_studies(commands)
    _add_train(commands.add_parser("train", help="train a compared method: sweep, training, card"))
    return parser


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument(
        "--methods", nargs="+", default=["stamp", "polygon", "patch_text", "embedding"], help="all learn at once"
    )
    start = train.add_mutually_exclusive_group(required=True)
    start.add_argument("--from", dest="backbone", type=Path, help="checkpoint folder that all start from")
    start.add_argument("--onward", type=Path, help="folder of trained methods that go on, named as in assets/")
    train.add_argument("--steps", type=int, required=True, help="steps of the whole training, of 8 pictures a process")
    train.add_argument("--sweep-steps", type=int, help="steps of the short run per rate (default: a twentieth)")
    train.add_argument("--rates", type=float, nargs="+", default=[3e-4, 6e-4, 1.2e-3], help="learning rates to try")
    train.add_argument("--grid", type=int, default=12, help="approximate cells per side: 6, 12, 16 or 24")
    train.add_argument("--points", type=int, default=6, help="of each learning curve (6)")
    train.add_argument("--photos", type=Path, help="folder of photographs with masks; also needed for a model of them")
    train.add_argument("--art", type=Path, default=Path("art"), help="folder of the installed artwork")
    train.add_argument("--device", default="auto")
    train.add_argument("--workers", type=int, default=1, help="processes that compose scenes")
    train.add_argument("--compile", action="store_true", help="torch.compile the text models (needs a C++ compiler)")
    train.add_argument("--out", type=Path, required=True, help="folder of the run; a run in it is resumed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. Bad input prints one sentence to stderr and returns 2."""
    let_threads_sleep()
    options = build_parser().parse_args(arguments)
    commands = {
        "run": lambda options: run(read_run_options(options)),
        "report": _report,
        "compare": _compare,
        "each": _each,
        "gallery": _gallery,
        "figures": _figures,
        "train": _train,
        **STUDIES,
    }
    try:
        return commands[options.command](options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED


def _report(options: argparse.Namespace) -> int:
    from benchmarks.reporting.report import check_report, write_report

    if not options.check:
        print(write_report(options.folder, options.convention))
        return 0
    found = check_report(options.folder)
    print("\n".join(found) or "the report matches its records")
    return 1 if found else 0


def _compare(options: argparse.Namespace) -> int:
    from benchmarks.reporting.compare import compare_runs, compare_table

    differences = compare_runs(options.a, options.b)
    print(compare_table(differences, options.tolerance))
    return 1 if any(one.exceeds(options.tolerance) for one in differences) else 0


def _each(options: argparse.Namespace) -> int:
    from benchmarks.studies.each_target import targets_of_run

    print(targets_of_run(options.folder, options.root))
    return 0


def _gallery(options: argparse.Namespace) -> int:
    from benchmarks.reporting.gallery import write_gallery

    write_gallery(options.folder, options.root, options.method, options.each, options.out)
    return 0


def _figures(options: argparse.Namespace) -> int:
    from benchmarks.studies.figures import write_figures

    run = options.run or options.model
    return write_figures(options.model, run, options.art, options.photos, options.out, options.scenes, options.device)


def _train(options: argparse.Namespace) -> int:
    from benchmarks.training.recipe import TrainingPlan
    from benchmarks.training.train import Means, train
    from stamp.checkpoints.devices import choose_device
    from stamp.checkpoints.sources import check_files
    from stamp.training.learning.processes import TrainingProcesses
    from stamp.training.scenes.training_pictures import training_pictures

    sweep_steps = max(1, options.steps // 20) if options.sweep_steps is None else options.sweep_steps
    plan = TrainingPlan(
        tuple(options.methods),
        options.backbone or options.onward,
        options.steps,
        sweep_steps,
        tuple(options.rates),
        options.grid,
        compile=options.compile,
        points=options.points,
        onward=options.onward,
    )
    for name in plan.methods:
        check_files(plan.start_of(name))
    art, photographs = training_pictures(options.art, options.photos)
    processes = TrainingProcesses.join(choose_device(options.device), stop_on_signals())
    means = Means(art, photographs, processes.device, options.workers, processes)
    try:
        for text in train(plan, means, options.out).values():
            print(text)
    except KeyboardInterrupt:
        print(f"stopped; run the same command again to resume {options.out}", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
