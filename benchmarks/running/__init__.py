"""A run: samples in, records out, and the pass for memory behind it."""
