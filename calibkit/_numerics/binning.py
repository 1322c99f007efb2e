"""The one binning of the package: where bins begin, who is in them, and their sums.

Bins are half-open, ``[lower, upper)``, and the last one holds its upper end; they are described
by their inner borders (the lower ends of all bins but the first). Metrics, calibrators and plots
all come here, so they can't disagree about a score that lies on a border.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._typing import FloatArray, IntArray
from .links import row_blocks
from .lookup import count_at_or_below
from .packed import Packed, packed

#: More bins than this are a slip, and may not fit into memory.
MOST_BINS = 1_000_000


class BinSums(NamedTuple):
    """Sums per bin: rows, weight, weighted scores, weighted labels.

    Those of squares are filled where they are asked for: ``w2dd`` of ``w**2 * (score - label)**2``,
    and with sampling weights ``w2`` of ``w**2``, and of that times score, label and squared label.
    Where weights count rows they are the sums of rows of weight one, which are None if they are
    at hand: ``w``, ``wp``, ``wy`` and, of labels 0 and 1, ``wy``.
    """

    n: IntArray
    w: FloatArray
    wp: FloatArray
    wy: FloatArray
    w2dd: FloatArray | None = None
    w2: FloatArray | None = None
    w2p: FloatArray | None = None
    w2y: FloatArray | None = None
    w2yy: FloatArray | None = None

    def squares(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """``(w2, w2p, w2y, w2yy)``."""
        pairs = ((self.w2, self.w), (self.w2p, self.wp), (self.w2y, self.wy), (self.w2yy, self.wy))
        return tuple(b if a is None else a for a, b in pairs)  # type: ignore[return-value]


class Squares(NamedTuple):
    """Squared weights of rows or cells, and these times label and squared label."""

    w2: FloatArray | None  # None for ones
    w2y: FloatArray | IntArray
    w2yy: FloatArray | IntArray
    scores: bool = True  # whether those times the score are wanted


def auto_bins(n: float) -> int:
    """Number of bins for ``n`` rows: the cube root of n, rounded up.

    The sampling bias of a binned squared error grows like B / n and what it overlooks inside the
    bins shrinks like 1 / B^2; their sum is least at B of the order of n^(1/3).
    """
    return max(1, int(np.ceil(np.round(np.cbrt(float(n)), 9))))


def assign(p: FloatArray, borders: FloatArray) -> IntArray:
    """Index of the bin of each score."""
    return count_at_or_below(p, borders)


def uniform_borders(n_bins: int) -> FloatArray:
    """Inner borders k / n_bins of equal-width bins on [0, 1].

    They are quotients, not multiples of a width: a score k/n that equals a border as a fraction
    then equals it as a float too, both being the nearest float to one rational number.
    """
    return np.arange(1, n_bins) / n_bins


def _uniform_factor(n_bins: int, borders: FloatArray) -> float | None:
    """A factor f with ``floor(p * f)`` equal to the bin of p for every float p in [0, 1).

    Multiplying by n_bins may round across a border (0.29 * 100 = 28.999...). Rounded
    multiplication is monotone, so it is enough to look at each border and the float before it.
    """
    bins = np.arange(1, n_bins)
    below = np.nextafter(borders, 0.0)
    for factor in (float(n_bins), np.nextafter(n_bins, np.inf), np.nextafter(n_bins, 0.0)):
        at_border = np.floor(borders * factor) == bins
        before = np.floor(below * factor) == bins - 1
        if at_border.all() and before.all():
            return float(factor)
    return None


def uniform_sums(
    p: FloatArray, y: IntArray, w: FloatArray | None, n_bins: int, borders: FloatArray
) -> BinSums:
    """Sums of equal-width bins straight from the rows, in one pass and without a sort."""
    factor = _uniform_factor(n_bins, borders)
    rows_y = np.zeros(2 * n_bins + 2)
    weight_y = np.zeros_like(rows_y)
    score_y = np.zeros_like(rows_y)
    for rows in row_blocks(len(p)):
        score = p[rows]
        index = assign(score, borders) if factor is None else (score * factor).astype(np.intp)
        index *= 2
        index += y[rows]
        rows_y += np.bincount(index, minlength=rows_y.size)
        # With weights, add.at is a quarter faster than bincount.
        if w is None:
            np.add.at(score_y, index, score)
        else:
            np.add.at(weight_y, index, w[rows])
            np.add.at(score_y, index, w[rows] * score)
    if w is None:
        weight_y = rows_y
    # A score of exactly 1 has index n_bins: it belongs to the last bin.
    for sums in (rows_y, score_y) if w is None else (rows_y, score_y, weight_y):
        sums[-4:-2] += sums[-2:]

    def by_label(sums: FloatArray) -> FloatArray:
        return sums[:-2].reshape(n_bins, 2)

    return BinSums(
        by_label(rows_y).sum(axis=1).astype(np.int64),
        by_label(weight_y).sum(axis=1),
        by_label(score_y).sum(axis=1),
        by_label(weight_y)[:, 1].copy(),
    )


def uniform_gaps(p: FloatArray, y: IntArray, n_bins: int, borders: FloatArray) -> FloatArray:
    """Sum of score minus label in each equal-width bin: all that an unweighted ECE needs."""
    factor = _uniform_factor(n_bins, borders)
    out = np.zeros(n_bins + 1)
    for rows in row_blocks(len(p)):
        score = p[rows]
        index = assign(score, borders) if factor is None else (score * factor).astype(np.intp)
        np.add.at(out, index, score - y[rows])
    out[-2] += out[-1]
    return out[:-1]


def sort_by_score(
    p: FloatArray, y: IntArray, w: FloatArray | None = None
) -> tuple[FloatArray, IntArray, FloatArray | None]:
    """Rows in ascending order of the score: ``(p, y, w)``.

    Scores in [0, 1] and labels 0/1 without weights are sorted as :class:`Packed`, the others by
    ``np.argsort``.
    """
    if w is None and y.dtype.kind != "f" and len(p) and (rows := packed(p, y)) is not None:
        return *rows.unpacked(), None
    order = np.argsort(p, kind="stable")
    return p[order], y[order], None if w is None else w[order]


def order_by_score(p: FloatArray) -> tuple[IntArray, FloatArray]:
    """What puts scores in [0, 1] into ascending order, and the scores in that order.

    One sort of integers, as in :func:`sort_by_score`: the last bits of a score give way to the
    number of its row. A stable sort then corrects the few neighbours that differ in these alone.
    """
    rows = (1 << max(len(p) - 1, 1).bit_length()) - 1
    key = (p + 0.0).view(np.int64)
    key <<= 1
    key &= ~rows
    key |= np.arange(len(p))
    key.sort()
    key &= rows
    ordered = p[key]
    if (ordered[1:] < ordered[:-1]).any():
        last = np.argsort(ordered, kind="stable")
        return key[last], ordered[last]
    return key, ordered


def distinct_starts(p_sorted: FloatArray) -> IntArray:
    """Index of the first row of each distinct value of a sorted array."""
    return np.flatnonzero(np.concatenate(([True], p_sorted[1:] != p_sorted[:-1])))


#: Scores that differ by less, relative to their size, are equal but for rounding: products of
#: matrices add in an order that depends on the machine and on the rows beside a row.
ROUNDING = 2.0**-36
_TWO_BITS = 2.0**-50
#: So far below the first score of its bin a border lies, or in the middle of the gap if that is
#: nearer: the last bits of single precision put no score on the other side.
_CLEAR = 2.0**-22


def _size(x: FloatArray, x_sorted: FloatArray | Packed, quartiles: FloatArray | None) -> FloatArray:
    """What the rounding of a score is relative to: for log-odds near 0 the terms of their sum."""
    least = 1e-290
    if x_sorted[0] < 0:
        n = len(x_sorted)
        quartiles = x_sorted[[n // 4, 3 * n // 4]] if quartiles is None else quartiles
        least += float(np.abs(quartiles).min())
    return np.abs(x) + least


def _apart(
    x_sorted: FloatArray | Packed, rows: slice, rounding: float, quartiles: FloatArray | None
) -> NDArray[np.bool_]:
    """Whether the scores after these rows differ from those of the rows by more than rounding."""
    left, right = x_sorted[rows], x_sorted[rows.start + 1 : rows.stop + 1]
    return right - left > rounding * _size(right, x_sorted, quartiles)


def tied(x_sorted: FloatArray | Packed, quartiles: FloatArray | None = None) -> bool:
    """Whether two of the sorted scores are equal but for their last two bits."""
    for rows in row_blocks(len(x_sorted) - 1):
        # Two of six passes are enough for most scores.
        clear = isinstance(x_sorted, Packed) and x_sorted.clear(rows)
        if not clear and not _apart(x_sorted, rows, _TWO_BITS, quartiles).all():
            return True
    return False


def tie_starts(
    x_sorted: FloatArray, rounding: float = _TWO_BITS, quartiles: FloatArray | None = None
) -> IntArray:
    """Index of the first row of each score; those equal but for rounding are one.

    Default: the last two bits, for scores as they were passed. ``ROUNDING`` is for computed ones.
    Distinct scores come with the ``quartiles`` of all rows.
    """
    first = np.ones(len(x_sorted), dtype=bool)
    for rows in row_blocks(len(x_sorted) - 1):
        first[rows.start + 1 : rows.stop + 1] = _apart(x_sorted, rows, rounding, quartiles)
    return np.flatnonzero(first)


def kept_clear(border: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Borders moved inside the gaps between scores, out of reach of rounding where there is room.

    Between neighbouring floats there is none: the border is the upper one.
    """
    # Halves first: the difference of two huge logits could overflow.
    reach = np.minimum(0.5 * high - 0.5 * low, _CLEAR * np.maximum(np.abs(low), np.abs(high)))
    border = np.clip(border, low + reach, high - reach)
    return np.where(border > low, border, high)


def sklearn_borders(
    p: FloatArray, w: FloatArray, n_bins: int, *, uniform: bool = False
) -> FloatArray:
    """Inner borders of scikit-learn's ``calibration_curve``; p are distinct ascending scores.

    Its bins contain their upper border; the next float is the lower end of a bin that contains its
    lower end. Quantiles are those of ``numpy.percentile``; a weight of m counts as m rows.
    """
    edges = np.linspace(0.0, 1.0, n_bins + 1)[1:-1]
    if not uniform:
        cumulative = np.cumsum(w)
        # Rounded as numpy.percentile does it, since a last bit decides where a score belongs.
        at = np.maximum(cumulative[-1] - 1.0, 0.0) * (edges * 100.0 / 100.0)
        part, last = at % 1.0, len(p) - 1
        low, high = (
            p[np.minimum(np.searchsorted(cumulative, k, side="right"), last)]
            for k in (np.floor(at), np.floor(at) + 1.0)
        )
        step = high - low
        edges = np.where(part < 0.5, low + step * part, high - step * (1.0 - part))
    return np.unique(np.nextafter(edges, np.inf))


def mass_borders(
    p_sorted: FloatArray | Packed,
    w_sorted: FloatArray | IntArray | None,
    n_bins: int,
    quartiles: FloatArray | None = None,
) -> FloatArray:
    """Inner borders of equal-mass bins of sorted scores; ties stay together.

    Bin j ends with the smallest score that has at least the share (j+1)/n_bins of the weight at
    or below it, all rows of equal score included, so there may be fewer bins than asked for.
    A weight of m counts as m rows. Scores that are equal but for rounding count as equal, and
    borders lie a little below the score that sets them, where no last bit reaches. Distinct scores
    come with their numbers of rows (whole numbers) or weights, and the ``quartiles`` of all rows.
    """
    n = len(p_sorted)
    share = np.arange(1, n_bins)
    if w_sorted is None:
        last = -(-share * n // n_bins) - 1
    else:
        cumulative = np.cumsum(w_sorted)
        # The slack forgives rounding in sums of fractional weights; it is below half a row
        # for up to 10^11 rows of weight 1.
        if cumulative.dtype.kind == "i":
            target = -(-share * cumulative[-1] // n_bins)
        else:
            target = share * (cumulative[-1] / n_bins) * (1 - 1e-12)
        last = np.minimum(np.searchsorted(cumulative, target), n - 1)
    end = p_sorted[last]
    after = p_sorted.searchsorted(end + ROUNDING * _size(end, p_sorted, quartiles), side="right")
    after = np.unique(after[after < n])
    return kept_clear(p_sorted[after], p_sorted[after - 1], p_sorted[after])


def trend(weight: FloatArray, events: FloatArray, n_rows: float) -> float:
    """Standard score of the rank correlation of event rates with the order of groups.

    It is Mann and Whitney's, ties taken into account, or Cochran and Armitage's with ranks.
    """
    total = weight.sum()
    share, rate = weight / total, events.sum() / total
    rank = np.cumsum(share) - 0.5 * share - 0.5
    variance = rate * (1.0 - rate) * float(share @ (rank * rank)) / n_rows
    return float(rank @ (events / total) / np.sqrt(variance)) if variance > 0 else 0.0


#: A sweep ends here at the latest: where the scores separate the classes it never would.
MOST_SWEPT = 1000


def sweep_borders(
    p: FloatArray, w: FloatArray, wy: FloatArray, strategy: str, n_rows: int
) -> FloatArray:
    """Borders of as many bins as keep the bins' mean labels in ascending order.

    Roelofs et al. (2022): a true calibration curve mostly ascends, so bins that break the order
    are too narrow for their noise. Bins are added one by one until the order first breaks.
    """
    events = np.concatenate(([0.0], np.cumsum(wy, dtype=np.float64)))
    weight = np.concatenate(([0.0], np.cumsum(w)))
    best: FloatArray = np.empty(0)
    for n_bins in range(2, min(n_rows, MOST_SWEPT) + 1):
        uniform = strategy == "uniform"
        borders = uniform_borders(n_bins) if uniform else mass_borders(p, w, n_bins)
        ends = np.append(bin_starts(p, borders), len(p))
        size = np.diff(weight[ends])
        share = np.diff(events[ends])[size > 0] / size[size > 0]
        if (np.diff(share) < 0).any():
            break
        best = borders
    return best


def bin_starts(p_sorted: FloatArray | Packed, borders: FloatArray) -> IntArray:
    """Index of the first row of each bin of a sorted array; that of an empty bin is the next's."""
    return np.concatenate(([0], p_sorted.searchsorted(borders, side="left")))


def packed_sums(rows: Packed, borders: FloatArray) -> BinSums:
    """Sums per bin of sorted rows with labels 0 and 1; with many bins, ``rows`` are used up."""
    if len(borders) >= _FEW_BINS:
        p, y = rows.unpacked()
        return sorted_sums(p, None, None, y, borders)
    starts = bin_starts(rows, borders)
    ends = np.append(starts[1:], len(rows))
    wp, wy = np.zeros(len(starts)), np.zeros(len(starts))
    for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        for block in row_blocks(end - start):
            scores, labels = rows.sums(slice(start + block.start, start + block.stop))
            wp[i] += scores
            wy[i] += labels
    return BinSums(ends - starts, (ends - starts).astype(np.float64), wp, wy)


def sorted_sums(
    p: FloatArray,
    n: IntArray | None,
    w: FloatArray | None,
    wy: FloatArray | IntArray,
    borders: FloatArray,
    *,
    squares: bool | Squares = False,
) -> BinSums:
    """Sums per bin of sorted rows or table cells; ``None`` for n or w means ones.

    ``squares`` asks for sums of squares, of rows that count alike (True) or as given.
    """
    starts = bin_starts(p, borders)
    sizes = np.diff(np.append(starts, len(p)))
    filled = sizes > 0

    def per_bin(values: FloatArray | IntArray) -> FloatArray:
        out = np.zeros(len(starts))
        # reduceat over the starts of the filled bins alone: an empty slice would return a value.
        out[filled] = np.add.reduceat(values, starts[filled], dtype=np.float64)
        return out

    counts = sizes if n is None else per_bin(n).astype(np.int64)
    weight = counts.astype(np.float64) if w is None else per_bin(w)
    sum_y = per_bin(wy)
    out = BinSums(counts, weight, per_bin(p if w is None else w * p), sum_y)
    if squares is True:
        return out._replace(w2dd=_squares(p, w, wy, starts, sum_y))
    if not squares:
        return out
    w2, w2y, w2yy, scores = squares
    sum_w2y = per_bin(w2y)
    sum_yy = sum_w2y if w2yy is w2y else per_bin(w2yy)
    return out._replace(
        w2dd=_squares(p, w2, w2y, starts, sum_yy),
        w2=None if w2 is None else per_bin(w2),
        w2p=per_bin(w2 * p) if scores and w2 is not None else None,
        w2y=sum_w2y,
        w2yy=sum_yy,
    )


#: With fewer bins a product of vectors per bin beats summing an array of products.
_FEW_BINS = 500


def _squares(
    p: FloatArray,
    w: FloatArray | None,
    wy: FloatArray | IntArray,
    starts: IntArray,
    sum_yy: FloatArray,
) -> FloatArray:
    """Sums of weighted (score - label)^2: w p^2 - 2 wy p + wyy; a label 0 or 1 is its square."""
    wp = p if w is None else w * p
    ends = np.append(starts[1:], len(p))
    if len(starts) > _FEW_BINS:
        product = p * (wp - 2.0 * wy)
        filled = ends > starts
        out = np.zeros(len(starts))
        out[filled] = np.add.reduceat(product, starts[filled])
        return out + sum_yy
    pairs = [slice(i, j) for i, j in zip(starts.tolist(), ends.tolist(), strict=True)]
    # einsum stays on one thread: starting others costs more than the products.
    score = np.array([np.einsum("i,i", p[rows], wp[rows]) for rows in pairs])
    event = np.array([np.einsum("i,i", p[rows], wy[rows].astype(np.float64)) for rows in pairs])
    return score - 2.0 * event + sum_yy


#: Distance of neighbouring floats below 1: its multiples in [0, 1] are all floats, and so are
#: their distances from 1.
_GRID = 2.0**-53


def distinct_values(value: FloatArray) -> FloatArray:
    """Values of bins in [0, 1], moved apart by some 1e-16 where two of them are equal.

    Outputs that differ tell which bin they come from: a bin of 0 events in 25 rows and another of
    0 in 25 are two bins. Afterwards no two values are equal, nor are two of their distances from
    1, which are the other column of the output. Values below 1/2 move up and others down, by at
    most 2^-52 a bin; of equal ones the bin that comes first ends up lower.
    """
    out = np.array(value, dtype=np.float64)
    order = np.argsort(out, kind="stable")
    v = out[order]
    half = int(np.searchsorted(v, 0.5))
    # Beyond 1/2 all floats lie on the grid, and one step down is exact.
    for i in range(len(v) - 2, half - 1, -1):
        v[i] = min(v[i], v[i + 1] - _GRID)
    # Below they are finer. The second step up keeps clear of the rounding of 1 - v.
    for i in range(1, len(v)):
        if v[i] <= v[i - 1] or 1.0 - v[i] >= 1.0 - v[i - 1]:
            v[i] = (np.ceil(v[i - 1] / _GRID) + 1.0) * _GRID
    out[order] = v
    return out
