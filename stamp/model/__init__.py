"""STAMP's differences from Qwen2-VL: configuration, processor, and the model with its mask pass."""
