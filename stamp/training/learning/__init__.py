"""Batches, objectives, optimizer, trainer, recipes."""
