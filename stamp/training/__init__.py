"""Trains the nano: scenes, talk about them, learning, and the model card with the results."""
