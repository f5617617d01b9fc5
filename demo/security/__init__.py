"""Protects the page from its visitors; SECURITY.md lists the guarantees."""
