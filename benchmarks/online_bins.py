"""Tracking in equal-mass bins, an experiment that is not part of calibkit."""

from __future__ import annotations

import numpy as np


class EqualMassTracking:
    """Forecast the mean label of a bin; bins have equal shares of the forecasts so far.

    Labels are counted in ``cells`` narrow cells of equal width. After every ``every`` rows the
    cells are merged into ``n_bins`` bins of about equal mass, so memory is constant.
    """

    def __init__(self, n_bins: int = 10, cells: int = 1_000, every: int = 100) -> None:
        self.n_bins, self.cells, self.every = n_bins, cells, every
        self.count, self.total = np.zeros(cells), np.zeros(cells)

    def borders(self) -> np.ndarray:
        """The first cell of each bin but the first."""
        if not self.count.any():  # equal width before the first forecast
            return np.arange(1, self.n_bins) * self.cells // self.n_bins
        mass = np.cumsum(self.count)
        targets = np.arange(1, self.n_bins) / self.n_bins * mass[-1]
        return np.searchsorted(mass, targets) + 1

    def run(self, q: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Track a stream of forecasts; each row uses only the labels before it."""
        cell = np.clip(np.ceil(q * self.cells).astype(np.intp) - 1, 0, self.cells - 1)
        out = np.empty(len(q))
        for start in range(0, len(q), self.every):
            rows = slice(start, start + self.every)
            borders = self.borders()
            first = np.concatenate(([0], borders))
            n = np.add.reduceat(np.append(self.count, 0.0), first)
            s = np.add.reduceat(np.append(self.total, 0.0), first)
            empty = first == np.append(first[1:], self.cells)
            n[empty] = s[empty] = 0.0
            bins = np.searchsorted(borders, cell[rows], side="right")
            for i, b in enumerate(bins.tolist(), start):
                out[i] = s[b] / n[b] if n[b] else q[i]
                n[b] += 1.0
                s[b] += y[i]
            self.count += np.bincount(cell[rows], minlength=self.cells)
            self.total += np.bincount(cell[rows], y[rows], self.cells)
        return out
