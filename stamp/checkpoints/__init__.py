"""Weights: where they come from, checked, loaded, made smaller, written."""
