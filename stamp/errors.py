"""Errors whose message is a sentence for the user and says what to do."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used."""


class PromptError(ValueError):
    """A prompt or a conversation that cannot be answered."""
