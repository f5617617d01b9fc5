"""Trains the nano: scenes, talk about them, learning, and the card that says what came of it."""
