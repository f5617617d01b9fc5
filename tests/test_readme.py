"""The README's claims that can be checked: its commands, its tree, its links, its front matter."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CODE_BLOCKS = re.findall(r"^ *```\w*\n(.*?)^ *```", README, flags=re.DOTALL | re.MULTILINE)


def test_the_two_commands() -> None:
    assert "pip install -r requirements-cpu.txt && python app.py\n" in CODE_BLOCKS
    index, everything = (ROOT / "requirements-cpu.txt").read_text().splitlines()[-2:]
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert everything == "-r requirements.txt"
    assert "pip install -r requirements-dev.txt && pytest\n" in CODE_BLOCKS
    assert (ROOT / "requirements-dev.txt").read_text().startswith("-r requirements.txt\n")
    assert "pip install -q -r requirements-dev.txt && pytest\n" in (ROOT / ".ci" / "run").read_text()


def the_tree() -> list[str]:
    """Every path of the README's tree, from top to bottom; folders end with a slash."""
    tree = next(block for block in CODE_BLOCKS if block.startswith("app.py"))
    above: list[str] = []
    paths = []
    for line in tree.splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name]
        paths.append("".join(above))
    return paths


def test_the_tree_names_what_is_there() -> None:
    listed = set(the_tree())
    assert all((ROOT / name).exists() for name in listed), {name for name in listed if not (ROOT / name).exists()}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "stamp").rglob("*.py")}
    modules |= {
        path.relative_to(ROOT).as_posix() for top in ("benchmarks", "demo") for path in (ROOT / top).glob("*.py")
    }
    assert {name for name in modules if not name.startswith("stamp/training/") and "__init__" not in name} <= listed
    packages = {path.parent for top in ("stamp", "benchmarks", "demo") for path in (ROOT / top).rglob("__init__.py")}
    assert {f"{path.relative_to(ROOT).as_posix()}/" for path in packages} <= listed


def test_the_tree_stands_in_the_order_of_the_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rooms = [contract for contract in contracts if "containers" in contract]
    assert {name for contract in rooms for name in contract["containers"]} == {
        "stamp",
        "stamp.training",
        "benchmarks",
        "demo",
    }
    for contract in rooms:
        (container,) = contract["containers"]
        layer = {name: at for at, names in enumerate(contract["layers"]) for name in names.split(" | ")}
        folder = container.replace(".", "/") + "/"
        children = [path.removeprefix(folder) for path in the_tree() if path.startswith(folder)]
        order = [layer[name] for child in children if (name := child.rstrip("/").removesuffix(".py")) in layer]
        assert len(order) > 2
        assert order == sorted(order)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_front_matter_matches_the_pins() -> None:
    front = dict(line.split(": ", 1) for line in README.split("---")[1].strip().splitlines())
    pins = (ROOT / "requirements.txt").read_text()
    assert f"gradio=={front['sdk_version']}" in pins
    assert (ROOT / front["app_file"]).exists()
    assert len(front["short_description"]) <= 60
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert requires == ">=3.11,<3.13"


def test_the_python_and_the_shell_example_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand, with the shipped model and one of the shipped pictures."""
    from stamp.__main__ import main

    with Image.open(ROOT / "assets" / "examples" / "lemon.webp") as picture:
        picture.convert("RGB").save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    example = next(block for block in CODE_BLOCKS if "StampPredictor" in block)
    names: dict[str, Any] = {}
    exec("\n".join(line.removeprefix("  ") for line in example.splitlines()), names)
    result = names["result"]
    assert result.text
    assert "<|" not in result.text
    assert (result.masks.dtype, result.masks.shape[1:]) == (bool, (448, 512))
    (command,) = re.findall(r"`python -m stamp (segment .*?)`", README)
    assert main(shlex.split(command)) == 0
    assert json.loads((tmp_path / "result" / "result.json").read_text())["text"] == result.text


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", "assets/stamp-nano/README.md"])
def test_documents_name_no_machine_paths(path: str) -> None:
    text = (ROOT / path).read_text()
    assert not re.search(r"(?<![\w.])/(work|home|root|tmp|opt)/", text)


def test_commands_named_in_the_documents_exist() -> None:
    from benchmarks.__main__ import build_parser as benchmark_parser
    from stamp.__main__ import build_parser as stamp_parser
    from stamp.training.__main__ import build_parser as training_parser

    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    documents = README + contributing
    for module, parser in (("stamp", stamp_parser()), ("stamp.training", training_parser())):
        named = set(re.findall(rf"python -m {re.escape(module)} (\w+)", documents))
        assert named
        assert named <= set(parser._subparsers._group_actions[0].choices)  # type: ignore[union-attr,arg-type]
    for module, parser, least in (("stamp.training", training_parser(), 6), ("benchmarks", benchmark_parser(), 1)):
        lines = re.findall(rf"^    python -m {re.escape(module)} (.*?)(?: *#.*)?$", contributing, flags=re.MULTILINE)
        assert len(lines) >= least
        for line in lines:
            parser.parse_args(line.split())


def test_a_fork_checks_what_is_checked_here() -> None:
    ours, theirs = ((ROOT / path).read_text() for path in (".ci/run", ".github/workflows/check.yml"))
    for command in (
        "torch==2.13.0",
        "-r requirements-dev.txt",
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "lint-imports",
    ):
        assert command in ours, command
        assert command in theirs, command
    assert "- run: pytest --cov\n" in theirs  # forks also see what no test runs
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert supported == ">=3.11,<3.13"
    assert 'python: ["3.11", "3.12"]' in theirs


def test_what_the_nano_knows_is_what_its_checkpoint_says() -> None:
    known = json.loads((ROOT / "assets" / "stamp-nano" / "nouns.json").read_text())
    photographed = sum("photographs" in learned_from for learned_from in known.values())
    assert f"The nano knows {len(known)} things in drawings and {photographed} of them in photographs too." in README
