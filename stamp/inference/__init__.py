"""From a prompt to an answer: decoding with masks, and what is kept of earlier turns."""
