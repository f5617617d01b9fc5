"""From records to reports, comparisons and galleries."""
