"""Qwen2-VL plus what differs: configuration, processor, the model with its mask pass."""
