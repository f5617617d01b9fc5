"""Studies of their own: speed, scale, threads, footprint, refusals, and the figures of the model card."""
