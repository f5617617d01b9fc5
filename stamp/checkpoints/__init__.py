"""Checkpoints: finding, checking, loading, quantizing and writing weights."""
