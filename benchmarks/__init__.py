"""Measurements of STAMP: what its parts cost, against the algorithm as released."""
