"""The contents of a published STAMP checkpoint: sizes, tensor names and shapes, configuration, special tokens.

JiaZL/STAMP-2B-uni and its siblings use the layout that transformers 4.57.1 writes for Qwen2-VL (`visual.*`,
`model.layers.*`); `StampForSegmentation` converts it while loading.
"""

from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from stamp.model.configuration_stamp import STAMP_TOKENS

#: Qwen2-VL's special tokens in their order; the four STAMP tokens follow.
QWEN_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
#: ChatML as Qwen2-VL renders it: a default system turn, and images before the words of their turn.
CHAT_TEMPLATE = (
    "{%- for m in messages -%}"
    "{%- if loop.first and m.role != 'system' -%}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}"
    "{%- endif -%}"
    "{{ '<|im_start|>' + m.role + '\\n' }}"
    "{%- if m.content is string -%}{{ m.content }}"
    "{%- else -%}{%- for part in m.content -%}"
    "{%- if part.type == 'image' -%}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- else -%}{{ part.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{ '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
PATCH_PX, TEMPORAL_PATCH, MERGE, MLP_RATIO, CHANNELS = 14, 2, 2, 4, 3
#: Stock pixel limits: 4 to 16384 mask tokens per picture.
MIN_PIXELS, MAX_PIXELS = 56 * 56, 28 * 28 * 16384


@dataclass(frozen=True)
class Size:
    """The numbers that differ between published checkpoints, and the vision tower they share.

    ordinary_tokens: vocabulary rows before the special tokens. tied: no separate `lm_head.weight`.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    tied: bool
    vision_layers: int = 32
    vision_width: int = 1280
    vision_heads: int = 16
    ordinary_tokens: int = 151643

    def __post_init__(self) -> None:
        if self.hidden % self.heads or self.heads % self.kv_heads or self.vision_width % self.vision_heads:
            raise ValueError(f"widths must be multiples of the number of heads, and heads of the kv heads: {self}")

    @property
    def head_dim(self) -> int:
        """Width of one attention head of the language model."""
        return self.hidden // self.heads

    @property
    def vocabulary(self) -> int:
        """Embedding rows after STAMP's resize: exactly the tokenizer's length."""
        return self.ordinary_tokens + len(QWEN_TOKENS) + len(STAMP_TOKENS)

    def token_id(self, token: str) -> int:
        """Id of a special token. Raises ValueError for any other text."""
        return self.ordinary_tokens + (*QWEN_TOKENS, *STAMP_TOKENS).index(token)


SIZES = {
    "2b": Size(hidden=1536, layers=28, heads=12, kv_heads=2, intermediate=8960, tied=True),
    "7b": Size(hidden=3584, layers=28, heads=28, kv_heads=4, intermediate=18944, tied=False),
}
Shapes = dict[str, tuple[int, ...]]


def tensor_shapes(size: Size) -> Shapes:
    """Every tensor of a checkpoint by its published name, in the order of use."""
    shapes = {"model.embed_tokens.weight": (size.vocabulary, size.hidden), **_vision_shapes(size)}
    for layer in range(size.layers):
        shapes |= _layer_shapes(size, f"model.layers.{layer}")
    shapes |= {"model.norm.weight": (size.hidden,)}
    if not size.tied:
        shapes |= {"lm_head.weight": (size.vocabulary, size.hidden)}
    return shapes | _linear("classifier", 1, size.hidden)


def _linear(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _vision_shapes(size: Size) -> Shapes:
    width, merged = size.vision_width, size.vision_width * MERGE**2
    shapes: Shapes = {"visual.patch_embed.proj.weight": (width, CHANNELS, TEMPORAL_PATCH, PATCH_PX, PATCH_PX)}
    for n in range(size.vision_layers):
        block = f"visual.blocks.{n}"
        shapes |= _norm(f"{block}.norm1", width) | _norm(f"{block}.norm2", width)
        shapes |= _linear(f"{block}.attn.qkv", 3 * width, width) | _linear(f"{block}.attn.proj", width, width)
        shapes |= _linear(f"{block}.mlp.fc1", MLP_RATIO * width, width)
        shapes |= _linear(f"{block}.mlp.fc2", width, MLP_RATIO * width)
    shapes |= _norm("visual.merger.ln_q", width) | _linear("visual.merger.mlp.0", merged, merged)
    return shapes | _linear("visual.merger.mlp.2", size.hidden, merged)


def _layer_shapes(size: Size, layer: str) -> Shapes:
    keys = size.kv_heads * size.head_dim
    return {
        f"{layer}.input_layernorm.weight": (size.hidden,),
        f"{layer}.post_attention_layernorm.weight": (size.hidden,),
        **_linear(f"{layer}.self_attn.q_proj", size.hidden, size.hidden),
        **_linear(f"{layer}.self_attn.k_proj", keys, size.hidden),
        **_linear(f"{layer}.self_attn.v_proj", keys, size.hidden),
        f"{layer}.self_attn.o_proj.weight": (size.hidden, size.hidden),
        f"{layer}.mlp.gate_proj.weight": (size.intermediate, size.hidden),
        f"{layer}.mlp.up_proj.weight": (size.intermediate, size.hidden),
        f"{layer}.mlp.down_proj.weight": (size.hidden, size.intermediate),
    }


def model_config(size: Size) -> dict[str, Any]:
    """`config.json`. `tie_word_embeddings` is inside `text_config` if true, outside if false."""
    config = {
        "dtype": "bfloat16",
        "image_token_id": size.token_id("<|image_pad|>"),
        "model_type": "qwen2_vl",
        "text_config": _text_config(size),
        "transformers_version": "4.57.1",
        "video_token_id": size.token_id("<|video_pad|>"),
        "vision_config": {
            "depth": size.vision_layers,
            "embed_dim": size.vision_width,
            "hidden_act": "quick_gelu",
            "hidden_size": size.hidden,
            "in_channels": CHANNELS,
            "in_chans": CHANNELS,
            "initializer_range": 0.02,
            "mlp_ratio": MLP_RATIO,
            "model_type": "qwen2_vl",
            "num_heads": size.vision_heads,
            "patch_size": PATCH_PX,
            "spatial_merge_size": MERGE,
            "spatial_patch_size": PATCH_PX,
            "temporal_patch_size": TEMPORAL_PATCH,
        },
        "vision_end_token_id": size.token_id("<|vision_end|>"),
        "vision_start_token_id": size.token_id("<|vision_start|>"),
        "vision_token_id": size.token_id("<|vision_pad|>"),
    }
    return config if size.tied else config | {"tie_word_embeddings": False}


def _text_config(size: Size) -> dict[str, Any]:
    half = size.head_dim // 2
    config = {
        "architectures": ["SegQwenVL"],
        "attention_dropout": 0.0,
        "bos_token_id": size.token_id("<|endoftext|>"),
        "eos_token_id": size.token_id("<|im_end|>"),
        "hidden_act": "silu",
        "hidden_size": size.hidden,
        "initializer_range": 0.02,
        "intermediate_size": size.intermediate,
        "layer_types": ["full_attention"] * size.layers,
        "max_position_embeddings": 32768,
        "max_window_layers": size.layers,
        "model_type": "qwen2_vl_text",
        "num_attention_heads": size.heads,
        "num_hidden_layers": size.layers,
        "num_key_value_heads": size.kv_heads,
        "rms_norm_eps": 1e-6,
        "rope_scaling": {
            "mrope_section": [half // 4, 3 * half // 8, 3 * half // 8],  # 16, 24, 24 for heads 128 wide
            "rope_type": "default",
            "type": "default",
        },
        "rope_theta": 1000000.0,
        "sliding_window": None,
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": size.vocabulary,
    }
    return config | {"tie_word_embeddings": True} if size.tied else config


def generation_config(size: Size) -> dict[str, Any]:
    """`generation_config.json`: which tokens end an answer."""
    start = size.token_id("<|endoftext|>")
    return {
        "bos_token_id": start,
        "eos_token_id": [size.token_id("<|im_end|>"), start],
        "pad_token_id": start,
        "transformers_version": "4.57.1",
    }


def preprocessor_config() -> dict[str, Any]:
    """`preprocessor_config.json`: CLIP's mean and standard deviation, stock pixel limits."""
    return {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": "Qwen2VLImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "max_pixels": MAX_PIXELS,
        "merge_size": MERGE,
        "min_pixels": MIN_PIXELS,
        "patch_size": PATCH_PX,
        "processor_class": "Qwen2VLProcessor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"longest_edge": MAX_PIXELS, "shortest_edge": MIN_PIXELS},
        "temporal_patch_size": TEMPORAL_PATCH,
    }


def tokenizer_config(size: Size) -> dict[str, Any]:
    """`tokenizer_config.json`: the class and the special tokens with their ids."""
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    tokens = (*QWEN_TOKENS, *STAMP_TOKENS)
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(size.token_id(token)): {"content": token, **flags} for token in tokens},
        "additional_special_tokens": list(STAMP_TOKENS),
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 32768,
        "pad_token": "<|endoftext|>",
        "processor_class": "Qwen2VLProcessor",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def byte_level_tokenizer(model: models.BPE) -> Tokenizer:
    """A byte-level BPE tokenizer that normalises, splits and decodes like Qwen2's, without special tokens."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer
