"""Rehearsal checkpoints: names, shapes and configuration of the published ones, files that load, honest refusals."""

import gc
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from stamp.checkpoints import rehearsal
from stamp.checkpoints.published_layout import CHAT_TEMPLATE, QWEN_TOKENS, SIZES, Size, model_config, tensor_shapes
from stamp.checkpoints.rehearsal import build_tokenizer, write_checkpoint, write_rehearsal
from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT, INDEX_FILE
from stamp.conversation import Turn
from stamp.errors import CheckpointError
from stamp.model.configuration_stamp import STAMP_TOKENS, StampConfig
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.predictor import StampPredictor

PARITY = Path(__file__).parents[1] / "parity"
#: The sizes of the official code's own tiny checkpoints in tests/parity.
TINY = {
    tied: Size(64, 4, 4, 2, 128, tied, vision_layers=2, vision_width=32, vision_heads=2, ordinary_tokens=480)
    for tied in (True, False)
}
PROMPT = "Please segment only the white horse in the image. Größe: 42 🙂"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rehearsal") / "tiny"
    write_checkpoint(TINY[True], folder, shard_bytes=50_000)
    return folder


@pytest.fixture(scope="module")
def stock_processor(tmp_path_factory: pytest.TempPathFactory) -> StampProcessor:
    """The processor of the 2B size, whose files are written without the weights."""
    folder = tmp_path_factory.mktemp("stock")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsal, "_write_weights", lambda *_: None)
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))
        write_rehearsal("2b", folder)
    return StampProcessor.from_pretrained(folder)


@pytest.mark.parametrize("variant", ["tied", "untied"])
def test_names_and_shapes_are_those_the_official_code_writes(variant: str) -> None:
    keys = json.loads((PARITY / "manifest.json").read_text())["keys"][variant]["keys"]
    expected = {name: tuple(entry["shape"]) for name, entry in keys.items()}
    assert tensor_shapes(TINY[variant == "tied"]) == expected


@pytest.mark.parametrize("variant", ["tied", "untied"])
def test_configuration_is_the_one_the_official_code_writes(variant: str) -> None:
    expected: dict[str, Any] = json.loads((PARITY / "models" / variant / "config.json").read_text())
    ours = model_config(TINY[variant == "tied"])
    assert (ours.pop("dtype"), expected.pop("dtype")) == ("bfloat16", "float32")
    assert ours.pop("vision_token_id") == 491  # these three stand in Qwen's own files; the tiny models lack them
    assert (ours["vision_config"].pop("in_chans"), ours["vision_config"].pop("spatial_patch_size")) == (3, 14)
    assert ours["text_config"].pop("max_position_embeddings") == 32768
    del expected["text_config"]["max_position_embeddings"], expected["text_config"]["_name_or_path"]
    assert ours == expected


@pytest.mark.parametrize("tied", [True, False])
def test_written_checkpoint_loads_completely(tied: bool, tmp_path: Path) -> None:
    write_checkpoint(TINY[tied], tmp_path, shard_bytes=50_000)
    load: Any = StampForSegmentation.from_pretrained
    model, info = load(tmp_path, dtype="auto", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    assert model.dtype == torch.bfloat16
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == tied
    assert model.generation_config.eos_token_id == [482, 480]


def test_the_predictor_runs_a_rehearsal(folder: Path) -> None:
    predictor = StampPredictor.from_pretrained(folder, device="cpu", dtype="float32")
    picture = Image.effect_noise((120, 90), 60).convert("RGB")
    result = predictor.predict_masks(picture, PROMPT, "Sure <|seg|> and <|seg|>")
    assert result.masks.shape == (2, 90, 120)
    assert all(abs(logits).max() < 100 for logits in result.mask_logits)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_every_answer_is_one_mask(tied: bool, quantization: str, tmp_path: Path) -> None:
    write_checkpoint(TINY[tied], tmp_path)
    predictor = StampPredictor.from_pretrained(tmp_path, device="cpu", quantization=quantization)
    picture = Image.effect_noise((120, 90), 60).convert("RGB")
    for prompt in (PROMPT, "Hi", "What is on the left?"):
        result = predictor.segment(picture, prompt, max_new_tokens=8)
        assert (result.response, result.finish_reason, len(result.masks)) == ("<|seg|>", "end", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mode", ["int8", "nf4"])
def test_a_quantized_model_does_not_keep_the_full_weights_in_memory(mode: str, folder: Path) -> None:
    predictor = StampPredictor.from_pretrained(folder, device="cpu", quantization=mode)
    assert predictor.model.lm_head.weight is predictor.model.get_input_embeddings().weight
    gc.collect()
    assert str(folder) not in Path("/proc/self/maps").read_text()


def test_shards_values_and_index(folder: Path) -> None:
    index = json.loads((folder / INDEX_FILE).read_text())
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert sorted(set(index["weight_map"].values())) == files
    assert len(files) > 3
    stored = {file: load_file(folder / file) for file in files}
    tensors = {name: stored[file][name] for name, file in index["weight_map"].items()}
    assert {name: tuple(value.shape) for name, value in tensors.items()} == tensor_shapes(TINY[True])
    assert index["metadata"]["total_size"] == sum(2 * value.numel() for value in tensors.values())
    for values in stored.values():
        assert len(values) == 1 or sum(2 * value.numel() for value in values.values()) <= 50_000
    assert all(value.dtype == torch.bfloat16 for value in tensors.values())
    assert (tensors["model.norm.weight"] == 1).all()
    assert (tensors["visual.blocks.0.attn.qkv.bias"] == 0).all()
    embedding = tensors["model.embed_tokens.weight"].float()
    assert embedding[:480].std().item() == pytest.approx(0.02, rel=0.02)
    assert len(embedding.unique(dim=0)) == 498
    assert not torch.equal(tensors["model.layers.0.mlp.up_proj.weight"], tensors["model.layers.1.mlp.up_proj.weight"])


def test_weights_follow_the_seed(folder: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_checkpoint(TINY[True], tmp_path / str(seed), shard_bytes=50_000, seed=seed)
    names = sorted(path.name for path in folder.iterdir())
    same, other = (
        [(folder / name).read_bytes() == (tmp_path / str(seed) / name).read_bytes() for name in names]
        for seed in (0, 1)
    )
    assert all(same)
    assert not all(other)


#: Parameters of Qwen/Qwen2-VL-*-Instruct as the hub counts them, and the rows STAMP's resize takes away.
QWEN_PARAMETERS = {"2b": 2_208_985_600, "7b": 8_291_375_616}
ROWS_REMOVED = {"2b": 151936 - 151661, "7b": 152064 - 151661}


@pytest.mark.parametrize("name", ["2b", "7b"])
def test_parameter_count_by_hand(name: str) -> None:
    h, inter, kv = {"2b": (1536, 8960, 2 * 128), "7b": (3584, 18944, 4 * 128)}[name]
    attention = (h * h + h) + 2 * (h * kv + kv) + h * h
    layer = attention + 3 * h * inter + 2 * h
    block = 2 * 2 * 1280 + (1280 * 3840 + 3840) + (1280 * 1280 + 1280) + (2 * 1280 * 5120 + 5120 + 1280)
    merger = 2 * 1280 + (5120 * 5120 + 5120) + (5120 * h + h)
    vision = 3 * 2 * 14 * 14 * 1280 + 32 * block + merger
    tables = 1 if name == "2b" else 2
    total = tables * 151661 * h + 28 * layer + h + vision + (h + 1)
    assert total == {"2b": 2_208_564_737, "7b": 8_288_490_497}[name]
    assert total == QWEN_PARAMETERS[name] - tables * ROWS_REMOVED[name] * h + (h + 1)
    assert sum(torch.Size(shape).numel() for shape in tensor_shapes(SIZES[name]).values()) == total


@pytest.mark.parametrize("name", ["2b", "7b"])
def test_shapes_are_those_of_the_model(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(model_config(SIZES[name])))
    config = StampConfig.from_pretrained(tmp_path)
    with torch.device("meta"):
        model = StampForSegmentation(config)
    shapes = {}
    for key, value in model.state_dict().items():
        old = key.replace("model.visual.", "visual.", 1).replace("model.language_model.", "model.", 1)
        shapes[old] = tuple(value.shape)
    if SIZES[name].tied:
        del shapes["lm_head.weight"]
    assert shapes == tensor_shapes(SIZES[name])
    text = config.text_config
    assert (text.rms_norm_eps, text.rope_parameters["rope_theta"]) == (1e-6, 1e6)
    assert text.rope_parameters["mrope_section"] == [16, 24, 24]
    assert (config.image_token_id, config.video_token_id, text.eos_token_id) == (151655, 151656, 151645)


def test_special_tokens_have_the_published_ids(stock_processor: StampProcessor) -> None:
    tokenizer = stock_processor.tokenizer
    ids = tokenizer.convert_tokens_to_ids([*QWEN_TOKENS, *STAMP_TOKENS])
    assert ids == list(range(151643, 151661))
    assert len(tokenizer) == 151661
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (151645, 151643)
    assert (stock_processor.image_token_id, stock_processor.end_token_id) == (151655, 151645)
    assert (stock_processor.seg_token_id, stock_processor.mask_token_id) == (151657, 151658)


def test_text_survives_the_tokenizer(stock_processor: StampProcessor) -> None:
    ids = stock_processor.encode_plain(PROMPT)
    assert stock_processor.decode(ids) == PROMPT
    assert max(ids) < 700  # no text becomes a filler
    assert len(ids) < len(PROMPT) / 2
    assert stock_processor.decode([151642, 700]) == " w151642 w700"
    turns = [Turn("user", "Hi <|seg|>", Image.new("RGB", (1, 1)))]
    encoded = stock_processor.encode_conversation(turns, [4])
    assert encoded.input_ids.count(151655) == 4
    assert encoded.input_ids.count(151657) == 0
    text = stock_processor.tokenizer.decode(encoded.input_ids)
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>"
        + "<|image_pad|>" * 4
        + "<|vision_end|>Hi <|seg|><|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(("size_px", "n_tokens"), [((896, 896), 1024), ((3000, 3000), 35 * 35), ((8, 8), 1024)])
def test_pictures_get_the_official_limits_in_place_of_the_stock_ones(
    stock_processor: StampProcessor, size_px: tuple[int, int], n_tokens: int
) -> None:
    _, grid = stock_processor.encode_image(Image.new("RGB", size_px))
    assert stock_processor.n_image_tokens(grid[0]) == n_tokens <= 1280


def test_tokenizer_is_reproducible_and_template_is_the_house_template() -> None:
    assert build_tokenizer(TINY[True]).to_str() == build_tokenizer(TINY[True]).to_str()
    assert (EMBEDDED_CHECKPOINT / "chat_template.jinja").read_text() == CHAT_TEMPLATE


def test_refusals(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="one of 2b, 7b, not '3b'"):
        write_rehearsal("3b", tmp_path / "new")
    with pytest.raises(CheckpointError, match="not empty"):
        write_checkpoint(TINY[True], folder)
    with pytest.raises(ValueError, match="multiples"):
        Size(65, 4, 4, 2, 128, tied=True)
    usage = shutil.disk_usage(tmp_path)._replace(free=3_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"needs 16\.6 GB of disk, 3\.0 GB are free"):
        write_rehearsal("7b", tmp_path / "new")
    assert not any((tmp_path / "new").iterdir())


def test_half_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Path] = []

    def full_disk(tensors: object, path: Path, metadata: object) -> None:
        if saved:
            raise OSError("No space left on device")
        saved.append(path)
        path.write_bytes(b"")

    monkeypatch.setattr(rehearsal, "save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(TINY[True], tmp_path, shard_bytes=50_000)
    assert not tmp_path.exists()  # half a checkpoint is of no use, and takes room
