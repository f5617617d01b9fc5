"""Command line of the trainer: `python -m stamp.training {art,sheet,train,evaluate}`."""

import argparse
from pathlib import Path


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run one step of the pipeline."""
    parser = argparse.ArgumentParser(prog="python -m stamp.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    parser.set_defaults()
    train = commands.add_parser("train", help="train the nano checkpoint; continues where an earlier run stopped")
    train.add_argument("--art", type=Path, default=Path("art"), help="folder of the installed artwork")
    train.add_argument("--out", type=Path, default=Path("runs/nano"))
    train.add_argument("--init-from", type=Path, help="start from these weights with a fresh optimizer")
    train.add_argument("--device", default="auto")
    train.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    import torch

    from stamp.training.art import ArtLibrary
    from stamp.training.recipes import STYLES, nano_recipe
    from stamp.training.trainer import Trainer

    device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    trainer = Trainer(
        nano_recipe(),
        ArtLibrary(options.art, STYLES),
        options.out,
        torch.device(device),
        init_from=options.init_from,
        workers=options.workers,
    )
    trainer.resume()
    trainer.run()


if __name__ == "__main__":
    main()
