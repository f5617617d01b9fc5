"""Measures what a trained checkpoint can do, and writes its model card."""
