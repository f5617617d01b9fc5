"""Separate studies: speed, scale, threads, footprint, refusals, and the figures of the model card."""
