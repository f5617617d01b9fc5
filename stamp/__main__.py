"""Command line: `python -m stamp segment IMAGE PROMPT --out DIR`, `chat IMAGE`, `export`, `rehearse`."""

import argparse
import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stamp.options import add_limit_option, add_model_options, add_refine_option, read_model_options, token_budget
from stamp.stopping import INTERRUPTED, stop_on
from stamp.threads import let_threads_sleep

if TYPE_CHECKING:
    from stamp.conversation import Segmentation, Turn
    from stamp.predictor import StampPredictor


def build_parser() -> argparse.ArgumentParser:
    """The commands and the options they share."""
    parser = argparse.ArgumentParser(prog="python -m stamp", description="Chat with an image and get masks.")
    commands = parser.add_subparsers(dest="command", required=True)
    segment = commands.add_parser("segment", help="answer one prompt; write masks, overlay and result.json")
    segment.add_argument("image", type=Path)
    segment.add_argument("prompt")
    segment.add_argument("--out", type=Path, required=True, help="folder for the results")
    chat = commands.add_parser("chat", help="talk about an image in the terminal")
    chat.add_argument("image", type=Path)
    chat.add_argument("--out", type=Path, help="folder for the masks; without it they are only described")
    for command in (segment, chat):
        command.add_argument("--max-new-tokens", type=token_budget, default=256)
        add_refine_option(command)
        add_limit_option(command)
    export = commands.add_parser("export", help="write a checkpoint, quantized or with its adapter merged")
    export.add_argument("--out", type=Path, required=True, help="folder to write; must be new or empty")
    export.add_argument("--merge", action="store_true", help="merge an adapter into its base (in full precision)")
    for command in (segment, chat):
        add_model_options(command)
    add_model_options(export, with_sam=False)
    rehearse = commands.add_parser("rehearse", help="write random weights in the exact shapes of a published model")
    rehearse.add_argument("--size", choices=("2b", "7b"), required=True)
    rehearse.add_argument("--out", type=Path, required=True)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. Bad input is one sentence on stderr and status 2."""
    let_threads_sleep()
    if isinstance(sys.stdout, io.TextIOWrapper):  # an answer is not lost because a console cannot show a letter of it
        sys.stdout.reconfigure(errors="replace")
    options = build_parser().parse_args(arguments)
    run = {"segment": _segment, "chat": _chat, "export": _export, "rehearse": _rehearse}[options.command]
    try:
        return run(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED


def _export(options: argparse.Namespace) -> int:
    from stamp.checkpoints.loading import export_checkpoint
    from stamp.checkpoints.sources import check_target
    from stamp.predictor import StampPredictor

    check_target(options.out)
    asked = read_model_options(options)
    if asked.dtype == "auto":  # what is fastest here may not be fastest where the export is used: write the smaller one
        asked = replace(asked, dtype="bfloat16")
    if asked.vision == "auto":
        asked = replace(asked, vision="none")
    loaded = StampPredictor.load(asked)
    export_checkpoint(loaded.model, loaded.processor, loaded.quantization, options.out)
    print(f"wrote {options.out}; use it with --model {options.out}")
    return 0


def _rehearse(options: argparse.Namespace) -> int:
    from stamp.checkpoints.rehearsal import write_rehearsal

    write_rehearsal(options.size, options.out)
    return 0


def _segment(options: argparse.Namespace) -> int:
    from stamp.conversation import check_prompt
    from stamp.output import check_output, write_result
    from stamp.pictures.images import load_image
    from stamp.predictor import StampPredictor
    from stamp.refinement import check_refiner

    image = load_image(options.image)  # whatever can be refused before the model loads is refused before it
    check_prompt(options.prompt)
    check_refiner(options.refine, options.sam_model)
    check_output(options.out, options.image)
    predictor = StampPredictor.load(read_model_options(options))
    result = predictor.segment(
        image,
        options.prompt,
        options.max_new_tokens,
        refine=options.refine,
        max_seconds=options.max_seconds,
        may_shrink=True,
    )
    print(result.response, _remarks(result))
    write_result(result, image, options.out, options.image)
    for label, score, mask in zip(result.labels, result.scores, result.masks, strict=True):
        print(f"  {label}: {mask.mean():.1%} of the image, score {'unknown' if score is None else f'{score:.2f}'}")
    print(f"{len(result.masks)} mask(s) in {result.timings_s['total']:.2f} s -> {options.out}")
    return 0


def _chat(options: argparse.Namespace) -> int:
    from stamp.conversation import Turn
    from stamp.output import check_output, write_result
    from stamp.pictures.images import load_image
    from stamp.predictor import StampPredictor
    from stamp.refinement import check_refiner

    load_image(options.image)
    check_refiner(options.refine, options.sam_model)
    if options.out is not None:
        check_output(options.out, options.image)
    predictor = StampPredictor.load(read_model_options(options))
    image = predictor.encode_image(options.image)
    turns: list[Turn] = []
    earlier = 0 if options.out is None else _last_turn(options.out)
    print("Ask about the picture, or ask for a mask. An empty line or Ctrl-D ends; Ctrl-C stops an answer.")
    while question := _read_line():
        turns.append(Turn("user", question, None if turns else image))
        try:
            result = _print_answer(predictor, turns, options)
        except ValueError as error:
            turns.pop()
            print(f"error: {error}", file=sys.stderr)
            continue
        if not result.token_ids:  # stopped before the first word: there is nothing to go on from
            turns.pop()
            continue
        turns.append(Turn("assistant", result.text, token_ids=result.token_ids))
        if options.out is not None and len(result.masks):
            try:
                write_result(result, image.image, options.out / f"turn_{earlier + len(turns) // 2}", options.image)
            except (ValueError, OSError) as error:  # the conversation goes on
                print(f"error: {error}", file=sys.stderr)
    return 0


def _last_turn(folder: Path) -> int:
    """The highest number of a folder `turn_N` that an earlier chat has left; 0 if there is none."""
    numbers = [path.name.removeprefix("turn_") for path in folder.glob("turn_*")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def _read_line() -> str:
    try:
        return input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        print()
        return ""


def _remarks(result: "Segmentation") -> str:
    """Why the answer ended, if neither the model nor the token budget ended it, and whether the picture was shrunk."""
    ended = {
        "stopped": "(stopped)",
        "time": "(stopped: the answer took longer than --max-seconds)",
        "repetition": "(stopped: the answer repeated itself)",
        "masks": "(stopped: more masks of so large a picture would take too much memory)",
    }
    shrunk = "(not enough memory: the picture was made smaller)" if result.is_shrunk else ""
    return " ".join(filter(None, (ended.get(result.finish_reason), shrunk)))


@contextmanager
def _stopped_by_ctrl_c() -> "Iterator[threading.Event]":
    """Is set by Ctrl-C, so that an answer ends between two tokens and is kept; a second one ends the program."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield stop_on(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def _print_answer(predictor: "StampPredictor", turns: Sequence["Turn"], options: argparse.Namespace) -> "Segmentation":
    from stamp.conversation import Done, MaskComing, MaskReady, TextDelta

    limits: dict[str, Any] = {"refine": options.refine, "max_seconds": options.max_seconds, "may_shrink": True}
    before, names = "", list[str]()  # the words since the last mask; the names of masks that are to come
    with _stopped_by_ctrl_c() as stop:
        for event in predictor.stream(turns, options.max_new_tokens, should_stop=stop.is_set, **limits):
            match event:
                case TextDelta(text):
                    before += text
                    print(text, end="", flush=True)
                case MaskComing(index=index):
                    names.append(_name_before(before, index))
                    before = ""
                case MaskReady(index=index, mask=mask):
                    is_late = index < len(names)
                    name, before = names[index] if is_late else _name_before(before, index), ""
                    print(f"{' ' * is_late}[{name}: {mask.mean():.0%} of the image]", end="", flush=True)
                case Done(segmentation):
                    print(_remarks(segmentation))
                    return segmentation
    raise RuntimeError("the stream ended without Done")


def _name_before(words: str, index: int) -> str:
    """The name of mask number `index`, at the end of the words before it."""
    from stamp.labels import find_name

    span = find_name(words)
    return words[slice(*span)] if span else f"mask {index + 1}"


if __name__ == "__main__":
    sys.exit(main())
