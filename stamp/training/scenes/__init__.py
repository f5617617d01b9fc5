"""Composes pictures with exact masks from artwork, nouns and photographs."""
