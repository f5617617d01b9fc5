"""Artwork, nouns and photographs to composed pictures with exact masks."""
