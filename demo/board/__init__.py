"""The benchmark tab: what was measured, sample by sample, and what can be measured here."""
