"""From a prompt to an answer: decoding with masks, and the cache of earlier turns."""
