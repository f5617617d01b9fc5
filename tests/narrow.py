"""An untrained checkpoint of the nano's kind, as narrow as the probe losses allow: a step takes little."""

from pathlib import Path

import torch
from transformers import GenerationConfig

from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.checkpoint import export_checkpoint
from stamp.training.learning.nano import build_config

#: Three heads of 8: `attention_targets` trains three heads of a layer, and nine directions are kept free of nouns.
WIDTH = 24


def narrow_model(processor: StampProcessor, seed: int = 0) -> StampForSegmentation:
    """40 thousand weights beside the embeddings: five text layers, one layer of vision behind plain patches."""
    config = build_config(processor, "patches")
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = WIDTH, 32, 5
    text.layer_types = text.layer_types[:5]
    text.rope_parameters["mrope_section"] = [1, 1, 2]
    text.initializer_range = vision.initializer_range = WIDTH**-0.5
    vision.depth, vision.embed_dim, vision.hidden_size, vision.num_heads, vision.mlp_ratio = 1, 16, WIDTH, 2, 2
    torch.manual_seed(seed)
    model = StampForSegmentation(config)
    end, start = processor.end_token_id, text.bos_token_id
    model.generation_config = GenerationConfig(eos_token_id=[end, start], pad_token_id=start)
    return model


def write_narrow(folder: Path, processor: StampProcessor) -> Path:
    """Such a checkpoint in a folder."""
    export_checkpoint(narrow_model(processor), processor, folder)
    return folder
