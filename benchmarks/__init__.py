"""Measures STAMP and the methods it is compared with: masks, dialogue, speed, memory, all from raw records."""
