"""Averages the figures that a training logs."""

import math


class Meter:
    """Means of named numbers since they were last read."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def add(self, row: dict[str, float]) -> None:
        """Count one step's figures."""
        self._rows.append(row)

    def averages(self) -> dict[str, float]:
        """The means; the next ones begin anew."""
        rows, self._rows = self._rows, []
        return {name: math.fsum(row[name] for row in rows) / len(rows) for name in rows[0]}
