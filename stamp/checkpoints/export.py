"""Write a loaded model as a checkpoint of its own: quantized, or with its adapter merged."""

from pathlib import Path

from stamp.checkpoints.sources import check_target
from stamp.errors import CheckpointError
from stamp.predictor import StampPredictor


def export_checkpoint(predictor: StampPredictor, folder: Path) -> None:
    """Write weights (safetensors), configuration, tokenizer and image sizes; load them with `from_pretrained(folder)`.

    predictor: fresh from loading, for bitsandbytes changes its 8-bit weights with the first forward pass.
    Raises CheckpointError for an adapter that is not merged, a checkpoint that is an export in few bits already, and a
    folder that is not empty.
    """
    check_target(folder)
    if any("lora_" in name for name, _ in predictor.model.named_parameters()):
        raise CheckpointError("The adapter is not merged into its base: export it with --merge, without quantization.")
    if getattr(getattr(predictor.model, "hf_quantizer", None), "pre_quantized", False):
        raise CheckpointError(f"This checkpoint is already saved in {predictor.quantization}: copy its folder instead.")
    predictor.model.save_pretrained(folder, max_shard_size="2GB")
    predictor.processor.save_pretrained(folder)
