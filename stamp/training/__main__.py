"""The training pipeline: `python -m stamp.training COMMAND`, see `--help`.

Run them in this order: art, sheet, scenes, train, balance, quantization, refinement, card, examples. `scenes` writes
the evaluation set of `python -m benchmarks run`; `python -m benchmarks figures` measures everything that a model card
shows, and writes the card. `ablation` and `eyes` are studies of variants, each trained from a backbone.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT, check_target
from stamp.files import check_writable
from stamp.stopping import INTERRUPTED, stop_on_signals
from stamp.threads import let_threads_sleep

#: The commands, each with its help; `run_NAME` runs it.
STEPS = {
    "art": "install the artwork and panoramas (npm and Debian packages, checked by sha512)",
    "sheet": "draw a contact sheet of scenes or of nouns",
    "train": "train the nano checkpoint; continues where an earlier run stopped",
    "quantization": "measure what int8 and nf4 cost a checkpoint in answers and in time; writes quantization.json",
    "card": "write the model card from the records beside the checkpoint",
    "examples": "compose the example pictures of the page",
    "scenes": "write an evaluation set: splits known, style (held out) and background (held out); or of cut-outs",
    "ablation": "train and measure variants of all-mask prediction from a backbone, at a small equal budget",
    "balance": "fit how readily a trained checkpoint says that something is not there; writes a new one",
    "average": "write the mean of checkpoints of one lineage",
    "eyes": "train and measure vision towers with and without a pretrained stem, at a small equal budget",
    "refinement": "compare ways to enlarge logits on unseen scenes; writes refinement.json and refinement.jsonl",
}


def build_parser() -> argparse.ArgumentParser:
    """One command per step; the defaults fit together."""
    parser = argparse.ArgumentParser(prog="python -m stamp.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in STEPS.items():
        command = commands.add_parser(name, help=text)
        command.set_defaults(run_step=globals()[f"run_{name}"])
        command.add_argument("--art", type=Path, default=Path("art"), help="folder of the installed artwork")
        if name in ("sheet", "examples", "refinement", "scenes", "ablation", "eyes", "balance", "average"):
            command.add_argument("--out", type=Path, required=True)
        if name in ("sheet", "quantization", "refinement", "scenes"):
            command.add_argument("--scenes", type=int, default={"sheet": 24, "scenes": 110}.get(name, 200))
        if name in ("train", "quantization", "refinement", "ablation", "eyes"):
            command.add_argument("--device", default="auto")
        if name in ("quantization", "card", "refinement", "balance"):
            command.add_argument("--model", type=Path, help="checkpoint folder (default: assets/stamp-nano)")
    sheet = commands.choices["sheet"]
    sheet.add_argument("--vocabulary", action="store_true", help="every noun of the vocabulary, not only taught ones")
    sheet.add_argument("--styles", nargs="+", help="use these styles instead, for example the held-out emojione")
    sheet.add_argument("--held-out", action="store_true", help="use the panoramas held out of training")
    sheet.add_argument("--nouns", action="store_true", help="show every drawing of every noun instead of scenes")
    scenes = commands.choices["scenes"]
    scenes.add_argument("--photos", type=Path, help="folder of photographs: cut things out of the held-out ones")
    ablation = commands.choices["ablation"]
    ablation.add_argument("--backbone", type=Path, default=Path("assets/nano-backbone"))
    ablation.add_argument("--steps", type=int, default=300)
    balance = commands.choices["balance"]
    balance.add_argument("--photos", type=Path, help="folder of photographs with masks")
    balance.add_argument("--batches", type=int, default=500, help="of eight pictures, for fitting")
    commands.choices["average"].add_argument("--models", type=Path, nargs="+", required=True, help="their folders")
    eyes = commands.choices["eyes"]
    eyes.add_argument("--photos", type=Path, required=True, help="folder of photographs with masks, some held out")
    eyes.add_argument(
        "--start", type=Path, default=Path("assets/nano-backbone"), help="checkpoint with the first tower"
    )
    eyes.add_argument("--steps", type=int, default=300)
    _add_train_options(commands.choices["train"])
    card = commands.choices["card"]
    card.add_argument("--run", type=Path, help="folder of the training run (default: the model's record)")
    card.add_argument("--note", help="what readers must know about this run, in a sentence or two")
    return parser


def _add_train_options(train: argparse.ArgumentParser) -> None:
    recipes = ("words", "eyes", "backbone", "nano", "longer", "finer-eyes", "finer", "fluent", "fluent-again", "polish")
    train.add_argument(
        "--recipe", choices=recipes, default="nano", help="in order; nano needs a backbone, the later ones a nano"
    )
    train.add_argument(
        "--photos", type=Path, help="folder of photographs with masks (see stamp.training.scenes.photographs)"
    )
    train.add_argument("--text-from", type=Path, help="copy the text model of this checkpoint")
    train.add_argument("--eyes-from", type=Path, help="copy the vision tower of this checkpoint")
    train.add_argument("--out", type=Path, default=Path("runs/nano"))
    train.add_argument("--init-from", type=Path, help="start from these weights with a new optimizer")
    train.add_argument("--workers", type=int, default=1, help="processes that compose scenes")
    train.add_argument("--compile", action="store_true", help="torch.compile the text model (needs a C++ compiler)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one step; what cannot be read or written is one sentence, and so is Ctrl-C."""
    let_threads_sleep()
    options = build_parser().parse_args(arguments)
    try:
        if options.command in ("scenes", "examples", "balance", "average"):
            check_target(options.out)
            check_writable(options.out)
        options.run_step(options)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    except KeyboardInterrupt:
        print("stopped; the same command continues a training", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def run_art(options: argparse.Namespace) -> None:
    """Install every style; skips a style that is not available."""
    from stamp.training.scenes.art import STYLE_SOURCES, install_art
    from stamp.training.scenes.rasterise import ArtError
    from stamp.training.scenes.vocabulary import load_vocabulary

    install_art(options.art, (), ())
    failures = []
    for style in STYLE_SOURCES:
        try:
            install_art(options.art, [style], load_vocabulary(), with_panoramas=False)
        except ArtError as error:
            failures.append(f"skipped style {style!r}: {error}")
    if failures:
        raise SystemExit("\n".join(failures))


def run_sheet(options: argparse.Namespace) -> None:
    """Draw scenes of the validation seeds, or the nouns, for inspection."""
    from stamp.training.scenes.art import ArtLibrary
    from stamp.training.scenes.scene_config import SceneConfig
    from stamp.training.scenes.scenes import VALIDATION_SEEDS, compose_scene
    from stamp.training.scenes.sheets import contact_sheet, vocabulary_sheets
    from stamp.training.scenes.vocabulary import TRAINING_STYLES, load_vocabulary, taught_nouns

    styles = tuple(options.styles or TRAINING_STYLES)
    nouns = load_vocabulary() if options.vocabulary else taught_nouns()
    art = ArtLibrary(options.art, styles, nouns, held_out=options.held_out)
    if options.nouns:
        for number, page in enumerate(vocabulary_sheets(art), start=1):
            page.save(_new(options.out.with_stem(f"{options.out.stem}-{number:02d}")))
        return
    target = _new(options.out)
    config, first = SceneConfig(styles), VALIDATION_SEEDS.start
    contact_sheet([compose_scene(first + i, art, config) for i in range(options.scenes)]).save(target)


def _new(path: Path) -> Path:
    if path.exists():
        raise ValueError(f"{path} exists; name another file, or remove this one first.")
    return path


def run_scenes(options: argparse.Namespace) -> None:
    """Write the evaluation set, with `--scenes` per split; with `--photos`, one of things cut out of photographs."""
    from stamp.training.card.scene_set import Split, write_cutout_set, write_scene_set
    from stamp.training.scenes.art import ArtLibrary
    from stamp.training.scenes.vocabulary import HELD_OUT_STYLE, TRAINING_STYLES, taught_nouns

    if options.photos is not None:
        write_cutout_set(options.art, options.photos, options.scenes, options.out)
        return
    nouns = taught_nouns()
    splits = (
        Split("known", ArtLibrary(options.art, TRAINING_STYLES, nouns)),
        Split("style", ArtLibrary(options.art, [HELD_OUT_STYLE], nouns)),
        Split("background", ArtLibrary(options.art, TRAINING_STYLES, nouns, held_out=True), panorama_share=1.0),
    )
    write_scene_set(splits, options.scenes, options.out)


def run_train(options: argparse.Namespace) -> None:
    """Train, or continue."""
    from stamp.checkpoints.devices import choose_device
    from stamp.training.learning.processes import TrainingProcesses
    from stamp.training.learning.recipes import RECIPES
    from stamp.training.learning.trainer import Trainer
    from stamp.training.scenes.training_pictures import training_pictures

    config = replace(RECIPES[options.recipe](), compile=options.compile)
    if options.recipe not in ("words", "eyes", "backbone") and not (options.init_from or options.text_from):
        raise SystemExit(f"The recipe {options.recipe} starts from a checkpoint: name its folder with --init-from.")
    if config.needs_eyes and not (options.init_from or options.eyes_from):
        raise SystemExit(f"The recipe {options.recipe} needs a trained vision tower: name its folder with --eyes-from.")
    art, photographs = training_pictures(options.art, options.photos)
    processes = TrainingProcesses.join(choose_device(options.device), stop_on_signals())
    trainer = Trainer(
        config,
        art,
        options.out,
        processes.device,
        init_from=options.init_from,
        text_from=options.text_from,
        vision_from=options.eyes_from,
        photographs=photographs,
        workers=options.workers,
        processes=processes,
    )
    if trainer.resume():
        print(f"continuing at stage {trainer.progress.stage + 1}, step {trainer.progress.step}")
    trainer.run()


def run_quantization(options: argparse.Namespace) -> None:
    """Measure each mode, write the record into the checkpoint and print the table."""
    from stamp.training.card.quantization_study import study_checkpoint
    from stamp.training.scenes.art import ArtLibrary
    from stamp.training.scenes.vocabulary import TRAINING_STYLES, taught_nouns

    art = ArtLibrary(options.art, TRAINING_STYLES, taught_nouns())
    print(study_checkpoint(options.model or EMBEDDED_CHECKPOINT, art, options.scenes, options.device))


def run_refinement(options: argparse.Namespace) -> None:
    """Compare, write rows and scores, and print the table."""
    from stamp.training.card.refinement_study import study_checkpoint
    from stamp.training.scenes.art import ArtLibrary
    from stamp.training.scenes.vocabulary import TRAINING_STYLES, taught_nouns

    model, art = options.model or EMBEDDED_CHECKPOINT, ArtLibrary(options.art, TRAINING_STYLES, taught_nouns())
    print(study_checkpoint(model, art, options.scenes, options.device, options.out))


def run_ablation(options: argparse.Namespace) -> None:
    """Train and measure each variant, write rows and scores, and print the table."""
    from stamp.checkpoints.devices import choose_device
    from stamp.checkpoints.provenance import provenance_of
    from stamp.training.card.ablation import AblationPlan, run_ablation, write_ablation
    from stamp.training.learning.processes import TrainingProcesses
    from stamp.training.scenes.art import ArtLibrary
    from stamp.training.scenes.vocabulary import TRAINING_STYLES, taught_nouns

    plan = AblationPlan(options.backbone, TRAINING_STYLES, options.steps)
    art = ArtLibrary(options.art, TRAINING_STYLES, taught_nouns())
    processes = TrainingProcesses(device=choose_device(options.device), stop=stop_on_signals())
    rows = run_ablation(plan, art, options.out, processes)
    facts = {"steps": plan.steps, "images": plan.images, "grid": plan.grid, "backbone": plan.backbone.name}
    print(write_ablation(rows, facts | provenance_of(processes.device), options.out))


def run_balance(options: argparse.Namespace) -> None:
    """Fit, and write the checkpoint and balance.json into `--out`."""
    from stamp.training.learning.balance import rebalance
    from stamp.training.scenes.training_pictures import training_pictures

    art, photographs = training_pictures(options.art, options.photos)
    print(rebalance(options.model or EMBEDDED_CHECKPOINT, art, photographs, options.batches, options.out))


def run_average(options: argparse.Namespace) -> None:
    """Write the checkpoint into `--out`."""
    from stamp.training.learning.average import average

    average(options.models, options.out)


def run_eyes(options: argparse.Namespace) -> None:
    """Train and measure each vision tower, write rows and scores, and print the table."""
    from stamp.checkpoints.devices import choose_device
    from stamp.checkpoints.provenance import provenance_of
    from stamp.training.card.eyes_study import EyesPlan, Pictures, run_eyes, write_eyes
    from stamp.training.learning.processes import TrainingProcesses
    from stamp.training.scenes.art import ArtLibrary
    from stamp.training.scenes.photographs import read_photographs
    from stamp.training.scenes.training_pictures import training_pictures
    from stamp.training.scenes.vocabulary import HELD_OUT_STYLE, taught_nouns

    art, photographs = training_pictures(options.art, options.photos)
    assert photographs is not None
    unseen_art = ArtLibrary(options.art, [HELD_OUT_STYLE], taught_nouns())
    unseen_photos = read_photographs(options.photos, taught_nouns(), held_out=True)
    pictures = Pictures(art, photographs, unseen_art, unseen_photos)
    processes = TrainingProcesses(device=choose_device(options.device), stop=stop_on_signals())
    plan = EyesPlan(options.start, EMBEDDED_CHECKPOINT, tuple(art.styles), options.steps)
    rows = run_eyes(plan, pictures, options.out, processes)
    facts = {"steps": plan.steps, "images": plan.images, "start": plan.start.name, "teacher": plan.teacher.name}
    print(write_eyes(rows, facts | provenance_of(processes.device), options.out))


def run_card(options: argparse.Namespace) -> None:
    """Write README.md, training.json and log.jsonl into the checkpoint folder."""
    from stamp.training.card.card import write_card

    model = options.model or EMBEDDED_CHECKPOINT
    write_card(options.run or model, model, options.note)


def run_examples(options: argparse.Namespace) -> None:
    """Compose the example pictures."""
    from stamp.training.scenes.art import ArtLibrary
    from stamp.training.scenes.examples import write_examples
    from stamp.training.scenes.vocabulary import TRAINING_STYLES, taught_nouns

    write_examples(ArtLibrary(options.art, TRAINING_STYLES, taught_nouns()), options.out)


if __name__ == "__main__":
    main()
