"""Loading: every kind of checkpoint by the public path, and every refusal with its sentence."""

import argparse
import errno
import importlib.util
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from stamp import StampPredictor
from stamp.__main__ import main
from stamp.checkpoints import loading
from stamp.checkpoints.loading import export_checkpoint
from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT, INDEX_FILE, find_base, find_checkpoint
from stamp.errors import CheckpointError
from stamp.options import add_model_options, read_model_options
from tests.hub import Hub, serve

MODELS = Path(__file__).parents[1] / "parity" / "models"
ADAPTER = MODELS / "lora_adapter"
PICTURE = Path(__file__).parents[1] / "parity" / "images" / "land.png"
MASK = "It is here <|seg|>"


def load(path: Path | str | None, **options: object) -> StampPredictor:
    return StampPredictor.from_pretrained(path, device="cpu", **options)


@pytest.fixture
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def tied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODELS / "tied", tmp_path / "tied"))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ADAPTER, tmp_path / "somewhere" / "adapter"))


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# -- names ---------------------------------------------------------------------------------------------------------


def test_names_of_what_is_here() -> None:
    assert find_checkpoint(None) == find_checkpoint("nano") == find_checkpoint("NANO") == EMBEDDED_CHECKPOINT
    assert find_checkpoint(MODELS / "tied") == MODELS / "tied"


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "no/such/folder", "unknown"])
def test_a_folder_that_is_not_there(name: str) -> None:
    with pytest.raises(CheckpointError, match="There is no folder"):
        find_checkpoint(name)


def test_a_file_is_not_a_folder() -> None:
    with pytest.raises(CheckpointError, match="is a file"):
        find_checkpoint(__file__)


DOWNLOAD = """
import sys
from stamp.checkpoints.sources import find_checkpoint
for name in sys.argv[1:]:
    try:
        print(find_checkpoint(*name.split("@")))
    except ValueError as error:
        print(type(error).__name__, error)
"""
UNREACHABLE = "CheckpointError {} is not in the local cache and the hub cannot be reached. Connect to the network"


def fetch(endpoint: str, cache: Path, *names: str) -> list[str]:
    """What comes of hub ids, one after the other, in a process that takes `endpoint` for the hub."""
    hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", DOWNLOAD, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=os.environ | hub)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_a_hub_id_is_fetched_without_code_or_pickles_or_said_why_not(tied: Path, tmp_path: Path) -> None:
    """The hub's own client against a hub on this machine; then without one, when only what was fetched is there."""
    for name in ("modeling_evil.py", "pytorch_model.bin", "optimizer.pt"):
        (tied / name).write_text("never to be fetched")
    hub, cache = Hub(tied), tmp_path / "cache"
    with serve(hub) as endpoint:
        names = ("owner/model", "owner/model@v9", "gated/model", "unknown/model", "broken/model")
        fetched, revision, gated, unknown, broken = fetch(endpoint, cache, *names)
    assert (
        revision == "CheckpointError owner/model has no revision 'v9'; see https://huggingface.co/owner/model/commits."
    )
    assert gated.startswith(
        "CheckpointError gated/model is gated: accept its terms on https://huggingface.co/gated/model"
    )
    assert unknown.startswith("CheckpointError There is neither a folder nor a hub model unknown/model.")
    assert broken.startswith(UNREACHABLE.format("broken/model"))
    names_fetched = sorted(path.name for path in Path(fetched).iterdir())
    assert names_fetched == sorted(name for name in hub.files if not name.endswith((".py", ".bin", ".pt")))
    assert sorted(hub.served) == names_fetched
    assert load(fetched).processor.seg_token_id == load(tied).processor.seg_token_id
    offline = fetch(endpoint, cache, "owner/model", "owner/other")
    assert offline[0] == fetched
    assert offline[1].startswith(UNREACHABLE.format("owner/other"))


def test_whatever_the_hub_s_client_raises_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its version 2.4 raises AttributeError when the network goes away between the listing and the files."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: None.request)  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="owner/model is not in the local cache and the hub cannot be reached"):
        find_checkpoint("owner/model")


def test_a_full_disk_is_not_taken_for_a_broken_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(CheckpointError, match=r"owner/model cannot be stored in the local cache: .*Make some room"):
        find_checkpoint("owner/model")


def test_a_download_says_how_long_it_still_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The bars are driven as huggingface_hub drives them: totals grow file by file, several threads update."""
    import huggingface_hub

    from stamp.checkpoints import download

    monkeypatch.setattr(download, "REPORT_EVERY_S", 0.0)

    def snapshot(repo_id: str, *, tqdm_class: Any, **_options: object) -> str:
        files = tqdm_class(total=2, desc="Fetching 2 files")
        done = tqdm_class(desc="bytes", total=0, initial=0, unit="B", unit_scale=True, bar_format="{n}")
        done.total += 4_000_000_000
        for _ in range(4):
            done.update(1_000_000_000)
        files.update(2)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    lines: list[str] = []
    assert find_checkpoint("2b", report=lines.append) == tmp_path
    assert len(lines) == 3
    for number, line in enumerate(lines, start=1):
        assert re.fullmatch(rf"Downloading JiaZL/STAMP-2B-uni: {number}\.00GB of 4\.00GB, \d\d:\d\d left", line), line


@pytest.mark.parametrize(
    ("name", "repo_id"),
    [("2b", "JiaZL/STAMP-2B-uni"), ("7B", "JiaZL/STAMP-7B-lora"), ("JiaZL/STAMP-2B-uni", "JiaZL/STAMP-2B-uni")],
)
def test_short_names_stand_for_hub_ids(
    name: str, repo_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    asked: list[tuple[str, str | None]] = []

    def snapshot(repo_id: str, *, revision: str | None, **_: object) -> str:
        asked.append((repo_id, revision))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert find_checkpoint(name, "main") == tmp_path
    assert asked == [(repo_id, "main")]


def test_sam_weights_come_from_the_hub_by_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    asked: list[tuple[str, str | None]] = []

    def snapshot(repo_id: str, *, revision: str | None, **_: object) -> str:
        asked.append((repo_id, revision))
        return str(tmp_path)

    made = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr("stamp.predictor.make_refiner", lambda name, sam_model, device: made.append((name, sam_model)))
    parser = argparse.ArgumentParser()
    add_model_options(parser)
    given = ["--device", "cpu", "--sam-model", "facebook/sam-vit-huge", "--sam-revision", "v1"]
    assert StampPredictor.load(read_model_options(parser.parse_args(given))).sam_model == tmp_path
    assert made == [("sam", tmp_path)]  # weights that do not fit are refused now, not at the first question
    assert asked == [("facebook/sam-vit-huge", "v1")]
    given = ["--device", "cpu", "--sam-model", "no/such/folder"]
    with pytest.raises(CheckpointError, match="There is no folder no/such/folder"):
        StampPredictor.load(read_model_options(parser.parse_args(given)))


def test_only_a_hub_id_has_revisions(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def download(repo_id: str, revision: str | None, _: object) -> Path:
        asked.append((repo_id, revision))
        return MODELS / "lora_base"

    monkeypatch.setattr("stamp.checkpoints.sources.download", download)
    for source in (None, "nano", MODELS / "tied"):
        with pytest.raises(CheckpointError, match="which has no revision 'v1'"):
            find_checkpoint(source, "v1")
    with pytest.raises(CheckpointError, match="leave --base-revision out"):
        StampPredictor.from_pretrained(MODELS / "tied", device="cpu", base_revision="v1")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path=str(MODELS / "lora_base"))
    with pytest.raises(CheckpointError, match="which has no revision 'v1'"):
        find_base(adapter, revision="v1")
    find_base(adapter, "owner/name", "v2")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="owner/other")
    find_base(adapter, revision="v3")
    assert asked == [("owner/name", "v2"), ("owner/other", "v3")]


# -- the base of an adapter ----------------------------------------------------------------------------------------


def test_base_is_found_in_the_stated_order(adapter: Path, tmp_path: Path) -> None:
    config = adapter / "adapter_config.json"
    for place in (tmp_path, tmp_path / "somewhere", adapter):  # ever nearer, hence ever preferred
        (place / "models" / "lora_base").mkdir(parents=True)
        assert find_base(adapter) == place / "models" / "lora_base"
    edit_json(config, base_model_name_or_path=str(MODELS / "lora_base"))
    assert find_base(adapter) == MODELS / "lora_base"
    assert find_base(adapter, str(MODELS / "tied")) == MODELS / "tied"


@pytest.mark.parametrize("recorded", ["/home/author/models/Qwen2-VL-7B", "", None])
def test_a_base_that_is_not_here_names_the_option(adapter: Path, recorded: str | None) -> None:
    edit_json(adapter / "adapter_config.json", base_model_name_or_path=recorded)
    with pytest.raises(CheckpointError, match="--base"):
        find_base(adapter)


def test_downloading_a_base_is_said_first(
    adapter: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    import huggingface_hub

    edit_json(adapter / "adapter_config.json", base_model_name_or_path="Qwen/Qwen2-VL-7B-Instruct")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path) if caplog.text else None)
    assert find_base(adapter) == tmp_path
    assert "needs its base model Qwen/Qwen2-VL-7B-Instruct" in caplog.text


def test_a_whole_model_takes_no_base() -> None:
    with pytest.raises(CheckpointError, match="leave --base out"):
        load(MODELS / "tied", base=str(MODELS / "untied"))


def test_lora_merged_equals_unmerged_and_keeps_one_copy(picture: Image.Image) -> None:
    apart, merged = load(ADAPTER, dtype="float32"), load(ADAPTER, dtype="float32", merge=True)
    a, b = (p.predict_masks(picture, "Segment it.", MASK).mask_logits[0] for p in (apart, merged))
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert {name for name, _ in merged.model.named_parameters()} == {
        name for name, _ in type(merged.model)(merged.model.config).named_parameters()
    }
    assert not any("original_module" in name for name, _ in apart.model.named_parameters())


def test_an_adapter_with_a_lost_tensor_is_refused(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    lost = next(name for name in weights if "lora_A" in name)
    save_file({name: value for name, value in weights.items() if name != lost}, adapter / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="lora_A"):
        load(adapter, base=str(MODELS / "lora_base"))


def test_a_pickled_adapter_is_refused_by_name(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=r"adapter_model\.bin"):
        load(adapter, base=str(MODELS / "lora_base"))


# -- checkpoints that are not whole --------------------------------------------------------------------------------


def test_pickled_weights_are_refused_by_name(tied: Path) -> None:
    (tied / "model.safetensors").rename(tied / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        load(tied)


def test_missing_and_misshapen_tensors_are_named(tied: Path) -> None:
    weights = load_file(tied / "model.safetensors")
    lost = "model.layers.0.mlp.up_proj.weight"
    save_file({name: value for name, value in weights.items() if name != lost}, tied / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layers\.0\.mlp\.up_proj"):
        load(tied)
    save_file(weights | {lost: weights[lost][:4].contiguous()}, tied / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"(?s)another shape.*up_proj"):
        load(tied)


def test_a_plain_qwen2_vl_is_not_stamp(tied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = load_file(tied / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier.")}
    save_file(kept, tied / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="without STAMP's classifier"):
        load(tied)
    monkeypatch.setattr(loading, "_read_weights", None)  # already the tokenizer says so
    with pytest.raises(CheckpointError, match=r"not a STAMP checkpoint: its tokenizer has no <\|seg\|>"):
        load(MODELS / "lora_base")


def test_other_models_and_broken_files(tied: Path) -> None:
    (tied / "model.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(CheckpointError, match="damaged"):
        load(tied)
    edit_json(tied / "config.json", model_type="llava")
    with pytest.raises(CheckpointError, match="'llava'"):
        load(tied)
    (tied / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tied)
    (tied / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load(tied)


@pytest.mark.parametrize("name", ["preprocessor_config.json", "model-00002-of-00003.safetensors", INDEX_FILE])
def test_a_file_that_did_not_arrive_is_named(name: str, tied: Path) -> None:
    weights = list(load_file(tied / "model.safetensors").items())
    (tied / "model.safetensors").unlink()
    weight_map: dict[str, str] = {}
    for number in range(3):
        file = f"model-{number + 1:05d}-of-00003.safetensors"
        save_file(dict(weights[number::3]), tied / file, {"format": "pt"})
        weight_map |= {key: file for key, _ in weights[number::3]}
    (tied / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    load(tied)
    (tied / name).unlink()
    with pytest.raises(CheckpointError, match=re.escape(name)):
        load(tied)


def test_a_damaged_index(tied: Path) -> None:
    (tied / INDEX_FILE).write_text("{}")
    with pytest.raises(CheckpointError, match="index.json is damaged"):
        load(tied)


def test_code_in_a_checkpoint_does_not_run(tied: Path) -> None:
    remote = {"AutoConfig": "evil.C", "AutoModel": "evil.M", "AutoTokenizer": ["evil.T", None]}
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json"):
        edit_json(tied / name, auto_map=remote | {"AutoImageProcessor": "evil.P"})
    (tied / "evil.py").write_text(f"open({str(tied / 'ran')!r}, 'w')")
    load(tied)
    assert not (tied / "ran").exists()


@pytest.mark.parametrize("device", ["cuda:64", "gpu", "cpu:x", "mps", "xpu", "meta"])
def test_a_device_that_is_not_here(device: str) -> None:
    with pytest.raises(CheckpointError, match=device):
        StampPredictor.from_pretrained(device=device)


def test_too_little_memory_is_said_before_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = type("Memory", (), {"available": 1000})
    monkeypatch.setattr("stamp.checkpoints.free_memory.psutil.virtual_memory", lambda: memory)
    with pytest.raises(CheckpointError, match=r"need about .* GB .*--quantization nf4"):
        load(MODELS / "tied")


@pytest.mark.parametrize(
    ("options", "word"), [({"dtype": "int3"}, "int3"), ({"quantization": "int3"}, "nf4"), ({"max_pixels": 3}, "max")]
)
def test_unknown_options(options: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        load(MODELS / "tied", **options)


# -- quantization and export ---------------------------------------------------------------------------------------


def test_quantization_without_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install bitsandbytes"):
        load(None, quantization="nf4")


@pytest.mark.parametrize("mode", ["int8", "nf4"])
def test_export_and_reload_give_equal_outputs(mode: str, picture: Image.Image, tmp_path: Path) -> None:
    out = tmp_path / "export"
    assert main(["export", "--device", "cpu", "--quantization", mode, "--out", str(out)]) == 0
    first, again = load(None, quantization=mode, dtype="bfloat16"), load(out)
    assert first.quantization == again.quantization == mode
    assert first.model.num_parameters() == again.model.num_parameters() == load(None).model.num_parameters()
    quantized = [type(m).__name__ for m in again.model.model.language_model.layers.modules()]
    assert ("Linear4bit" if mode == "nf4" else "Linear8bitLt") in quantized
    assert type(again.model.classifier) is torch.nn.Linear
    a, b = (p.predict_masks(picture, "segment the apple", MASK).mask_logits[0] for p in (first, again))
    np.testing.assert_array_equal(a, b)
    with pytest.raises(CheckpointError, match=f"saved in {mode}"):
        load(out, quantization="nf4" if mode == "int8" else "int8")


def test_auto_leaves_a_small_model_alone() -> None:
    assert load(MODELS / "tied", quantization="auto").quantization == "none"
    assert load(None, quantization="auto").quantization == "none"


def test_export_refuses_what_it_would_spoil(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main(["export", "--out", str(tmp_path / "full")]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["export", "--model", str(ADAPTER), "--device", "cpu", "--out", str(tmp_path / "a")]) == 2
    assert "--merge" in capsys.readouterr().err
    arguments = ["export", "--model", str(ADAPTER), "--device", "cpu", "--dtype", "float32", "--merge"]
    assert main([*arguments, "--out", str(tmp_path / "merged")]) == 0
    again = load(tmp_path / "merged", dtype="float32")
    assert again.model.config.text_config.vocab_size == len(again.processor.tokenizer)
    merged = load(ADAPTER, dtype="float32", merge=True)
    for name, value in merged.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


@pytest.mark.parametrize("mode", ["int8", "nf4"])
def test_what_an_export_in_few_bits_cannot_be(
    mode: str, tmp_path: Path, picture: Image.Image, caplog: pytest.LogCaptureFixture
) -> None:
    out, again = tmp_path / "export", tmp_path / "again"
    tied = ["--model", str(MODELS / "tied"), "--device", "cpu"]
    assert main(["export", *tied, "--quantization", mode, "--out", str(out)]) == 0
    for dtype in ("float32", "float16"):
        with pytest.raises(CheckpointError, match=f"is saved in {mode} with bfloat16; leave --dtype out"):
            load(out, dtype=dtype)
    stamp = load(out, dtype="bfloat16")
    with caplog.at_level(logging.WARNING):
        stamp.predict_masks(picture, "Hi", MASK)
    assert "MatMul8bitLt" not in caplog.text
    with pytest.raises(CheckpointError, match=f"already saved in {mode}: copy its folder"):
        export_checkpoint(stamp.model, stamp.processor, stamp.quantization, again)
    assert not again.exists()


def test_nothing_about_kernels(caplog: pytest.LogCaptureFixture) -> None:
    """The package through which bitsandbytes would fetch native code is absent, and its absence is not lamented."""
    assert importlib.util.find_spec("kernels") is None
    with caplog.at_level(logging.DEBUG):
        load(None, quantization="nf4")
    assert "kernels" not in caplog.text


def test_importing_and_loading_open_no_socket() -> None:
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from stamp import StampPredictor\n"
        "print(StampPredictor.from_pretrained(device='cpu', quantization='nf4').quantization)"
    )
    assert socket.socket.connect is not None
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180)
    assert done.stdout.strip() == "nf4", done.stderr[-2000:]
    assert "kernels" not in done.stderr


# -- pixel limits --------------------------------------------------------------------------------------------------


def limits(predictor: StampPredictor) -> tuple[int, int]:
    size = predictor.processor.image_processor.size
    return size["shortest_edge"], size["longest_edge"]


@pytest.mark.parametrize("stock", [(3136, 12845056), (3136, 1003520)])
def test_stock_limits_become_the_official_ones(tied: Path, stock: tuple[int, int]) -> None:
    assert limits(load(tied)) == (12544, 50176)
    size = {"shortest_edge": stock[0], "longest_edge": stock[1]}
    edit_json(tied / "preprocessor_config.json", size=size, min_pixels=stock[0], max_pixels=stock[1])
    assert limits(load(tied)) == (1024 * 28 * 28, 1280 * 28 * 28)
    assert limits(load(tied, max_pixels=50176)) == (50176, 50176)
    assert limits(load(tied, min_pixels=3136, max_pixels=50176)) == (3136, 50176)


def test_limits_hold_for_pictures(picture: Image.Image) -> None:
    small, large = load(MODELS / "tied", max_pixels=12544), load(MODELS / "tied", min_pixels=50176)
    assert len(small.encode_image(picture).embeds) == 16
    assert len(large.encode_image(picture).embeds) == 64
