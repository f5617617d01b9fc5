"""Separate studies: speed, throughput, scale, threads, footprint, refusals, and the figures of the model card."""
