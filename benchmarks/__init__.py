"""Measurements of STAMP and of what it is compared with, each from raw records: masks, dialogue, speed, memory."""
