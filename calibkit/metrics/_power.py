"""Is n enough: the smallest error that a test would detect on rows like these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .._core.params import check_choice, check_int, check_real, generator, percent
from .._numerics.binning import assign
from .._numerics.links import expit, logit
from .._typing import FloatArray
from ._binned import raw_kernel
from ._table import ScoreTable

#: Cells of the table on which labels are drawn.
_CELLS = 2000
#: Steps of the search for the size of an error.
_STEPS = 18
#: Largest shift, or change of the slope, that is tried, in log-odds.
_LARGEST = 20.0
DIRECTIONS = ("offset", "slope", "bin")


@dataclass(frozen=True)
class Detectable:
    """The smallest error that a test detects with this power.

    Attributes
    ----------
    error : float
        Root mean square calibration error on the bins; NaN if no error of this kind is detected.
    shift : float
        Size along the direction: a shift of the log-odds (offset, bin), or the slope minus one.
    direction : str
        "offset", "slope" or "bin".
    power, alpha : float
        Probability of detection, and of a false alarm.
    n : int
        Number of rows.

    Examples
    --------
    >>> from calibkit import detectable_error
    >>> detectable_error([0.1, 0.3, 0.5, 0.7, 0.9] * 200).direction
    'offset'
    """

    error: float
    shift: float
    direction: str
    power: float
    alpha: float
    n: int

    def __str__(self) -> str:
        if np.isnan(self.error):
            return f"No error of the kind {self.direction} is detected on {self.n:,} rows."
        return (
            f"An error of {self.error:.4f} ({self.direction} {self.shift:+.3f} in log-odds) is "
            f"detected with probability {percent(self.power)} on {self.n:,} rows."
        )


def detectable_error(
    y_prob: Any,
    *,
    direction: Literal["offset", "slope", "bin"] = "offset",
    n: int | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    strategy: Literal["uniform", "quantile"] = "quantile",
    n_bins: int = 15,
    n_draws: int = 2000,
    random_state: Any = 0,
) -> Detectable:
    """Find the smallest calibration error that the l2 test detects on rows with these scores.

    Parameters
    ----------
    y_prob : array-like of shape (n,)
        Probabilities of the event. Labels are not needed.
    direction : {"offset", "slope", "bin"}, default="offset"
        How the true probabilities differ: all log-odds shifted, multiplied, or shifted in the
        one bin where it is hardest to see.
    n : int, optional
        Number of rows with such scores; default: as many as there are.
    power : float, default=0.8
        Probability of detection.
    alpha : float, default=0.05
        Probability of a false alarm.
    strategy, n_bins : optional
        Bins of the test.
    n_draws : int, default=2000
        Simulated label sets.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the simulation.

    Returns
    -------
    detectable : Detectable
        Size of the error.

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Examples
    --------
    >>> from calibkit import detectable_error
    >>> found = detectable_error([0.1, 0.3, 0.5, 0.7, 0.9] * 200)
    >>> round(found.error, 2)
    0.05
    """
    check_choice("direction", direction, DIRECTIONS)
    for name, value in (("power", power), ("alpha", alpha)):
        check_real(name, value, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int("n_draws", n_draws, low=100)
    p = np.asarray(y_prob, dtype=np.float64)
    table = ScoreTable.from_arrays(np.zeros(len(p)), p, pos_label=1)
    borders = table.borders(strategy, n_bins)
    cells = table.coarsen(_CELLS, borders=borders)
    rows = len(p) if n is None else n
    count = _counts(cells.n, rows)
    seed = int(generator(random_state).integers(2**31))
    z, kernel = logit(np.clip(cells.p, 1e-9, 1 - 1e-9)), raw_kernel(cells, borders, "l2", "labels")

    def drawn(truth: FloatArray) -> FloatArray:
        rng = np.random.default_rng(seed)
        events = rng.binomial(count, truth, size=(n_draws, len(truth))).astype(np.float64)
        return kernel(np.broadcast_to(count.astype(np.float64), events.shape), events)

    limit = float(np.quantile(drawn(cells.p), 1.0 - alpha))
    where = _hardest(cells, borders, count) if direction == "bin" else np.ones(len(z), dtype=bool)

    def truth_at(t: float) -> FloatArray:
        moved = z * (1.0 + t) if direction == "slope" else z + t
        return np.where(where, expit(moved), cells.p)

    shift = _smallest(lambda t: float(np.mean(drawn(truth_at(t)) > limit)), power)
    if np.isnan(shift):
        return Detectable(np.nan, np.nan, direction, power, alpha, rows)
    error = _error(cells, borders, count, truth_at(shift))
    return Detectable(error, shift, direction, power, alpha, rows)


def _counts(n: np.ndarray, rows: int) -> np.ndarray:
    """Whole numbers with this sum, in these proportions."""
    ends = np.rint(np.cumsum(n) * (rows / n.sum()))
    return np.diff(ends, prepend=0.0).astype(np.int64)


def _hardest(cells: ScoreTable, borders: FloatArray, count: np.ndarray) -> np.ndarray:
    """Cells of the bin whose labels say least of its log-odds."""
    place = assign(cells.p, borders)
    information = np.bincount(place, count * cells.p * (1.0 - cells.p))
    filled = np.bincount(place, count) > 0
    return np.asarray(place == np.where(filled, information, np.inf).argmin())


def _smallest(power_at: Callable[[float], float], power: float) -> float:
    """Smallest positive size with this power, by bisection; NaN if there is none."""
    low, high = 0.0, 0.25
    while power_at(high) < power:
        low, high = high, 2.0 * high
        if high > _LARGEST:
            return np.nan
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        if power_at(middle) < power:
            low = middle
        else:
            high = middle
        if high - low < 1e-3 * high:
            break
    return high


def _error(cells: ScoreTable, borders: FloatArray, count: np.ndarray, truth: FloatArray) -> float:
    """Root mean square of the bins' gaps."""
    place = assign(cells.p, borders)
    size = np.bincount(place, count)
    gap = np.bincount(place, count * (cells.p - truth)) / np.maximum(size, 1)
    return float(np.sqrt(size @ gap**2 / size.sum()))
