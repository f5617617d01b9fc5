"""A run: samples in, records out, then the memory pass."""
