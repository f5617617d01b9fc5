"""Pixels: the one image loader, masks and their geometry, colours."""
