"""Trains the methods of the comparison: objectives, recipe, sweep, card."""
