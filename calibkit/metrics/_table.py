"""`ScoreTable`: a mergeable table of distinct scores, from which all binary metrics follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.inputs import Rows
from .._core.labels import validate_labels
from .._core.params import check_choice, check_int
from .._core.printed import a_type
from .._core.rows import Binary, reduce_rows, refuse_beside_table, validate_problem
from .._numerics.binning import (
    MOST_BINS,
    BinSums,
    Squares,
    assign,
    distinct_starts,
    mass_borders,
    sklearn_borders,
    sort_by_score,
    sorted_sums,
    sweep_borders,
    uniform_borders,
)
from .._numerics.links import logit
from .._numerics.losses import brier_rows, log_rows
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray, Strategy, Weights
from ._cells import refuse_unclear
from ._dask import FromDask
from ._sql import FromSql

#: Columns that add up beside ``n``.
SUMS = ("w", "wy", "w2", "w2y", "w2yy")


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable(FromSql, FromDask):
    """A summary of labeled rows: one entry for each distinct score. Tables can be added exactly.

    Pass a table instead of the rows to each metric and plot of binary probabilities. This allows
    data in chunks, in files or on several machines: make a table of each and add them. Make one
    with :meth:`from_arrays`, :meth:`from_chunks`, of rows in a database with :meth:`from_sql`, or
    of a Dask collection with :meth:`from_dask`.

    Attributes
    ----------
    p : ndarray of shape (m,)
        Distinct scores in ascending order.
    n : ndarray of shape (m,)
        Number of rows with that score.
    w, wy : ndarray of shape (m,)
        Sum of their weights, and sum of weight times label (1 if the event happened, 0 if not, or a
        fraction).
    w2, w2y, w2yy : ndarray of shape (m,)
        Sums of the squared weights, and of squared weight times label and times squared label.
        Debiased errors and intervals of weighted rows need them.
    losses : ndarray of shape (2,), or None
        Sums of the rows' weighted squared errors and log losses, where entries are cells of
        several scores. None if they follow from the other sums.

    Notes
    -----
    Weights are sampling weights: a row of weight 2 represents twice as much of the population, but
    holds no more information than a row of weight 1. With ``weights="frequency"`` a weight is a
    count of rows, and the table is that of repeated rows.

    Examples
    --------
    >>> from calibkit import ScoreTable
    >>> monday = ScoreTable.from_arrays([0, 1, 1], [0.2, 0.2, 0.9])
    >>> tuesday = ScoreTable.from_arrays([1, 0], [0.9, 0.5])
    >>> week = monday + tuesday
    >>> week.p, week.n, week.wy
    (array([0.2, 0.5, 0.9]), array([2, 1, 2]), array([1., 0., 2.]))
    """

    p: FloatArray
    n: IntArray
    w: FloatArray
    wy: FloatArray
    w2: FloatArray
    w2y: FloatArray
    w2yy: FloatArray
    losses: FloatArray | None = None

    @classmethod
    def from_arrays(
        cls,
        y_true: Any,
        y_prob: Any,
        sample_weight: Any = None,
        *,
        weights: Weights = "sampling",
        pos_label: Any = None,
    ) -> ScoreTable:
        """Build a table from rows.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Two labels of any type, of which the larger is the event unless ``pos_label`` is given;
            or the fraction of events in each row, in [0, 1].
        y_prob : array-like of shape (n,), (n, 1) or (n, 2)
            Probabilities of the event.
        sample_weight : array-like of shape (n,), optional
            Weights >= 0.
        weights : {"sampling", "frequency"}, default="sampling"
            Whether a weight is a row's share of the population or a count of rows.
        pos_label : label, optional
            Label of the event; default: the larger label.

        Returns
        -------
        table : ScoreTable
            The table.

        Raises
        ------
        ValueError
            If the data are invalid.
        """
        given = sample_weight, weights, pos_label
        rows = validate_problem(y_true, y_prob, *given, fractions=True)
        return cls._from_binary(one_event(rows, weights))

    @classmethod
    def _from_binary(cls, rows: Binary) -> ScoreTable:
        """Build a table of validated rows."""
        p, y, w = sort_by_score(rows.p, rows.y, rows.w)
        starts = distinct_starts(p)
        n = np.diff(np.append(starts, len(p)))

        def total(values: FloatArray | IntArray) -> FloatArray:
            if len(starts) == len(p):
                return values.astype(np.float64)
            return np.add.reduceat(values, starts, dtype=np.float64)

        fractional = y.dtype.kind == "f"
        if w is None:
            ones, events = n.astype(np.float64), total(y)
            squares = total(y * y) if fractional else events
            return cls(p[starts], n, ones, events, ones, events, squares)
        weight, events = total(w), total(w * y)
        if rows.counts:
            events = np.rint(events)
            n = weight.astype(np.int64)
            return cls(p[starts], n, weight, events, weight, events, events)
        w2y = w * w * y
        events2 = total(w2y)
        squares = total(w2y * y) if fractional else events2
        return cls(p[starts], n, weight, events, total(w * w), events2, squares)

    @classmethod
    def from_chunks(
        cls,
        chunks: Iterable[tuple[Any, ...]],
        *,
        weights: Weights = "sampling",
        pos_label: Any = None,
    ) -> ScoreTable:
        """Build a table from an iterable of ``(y_true, y_prob)`` or ``(y_true, y_prob, weight)``.

        Parameters
        ----------
        chunks : iterable of tuples
            Each is passed to :meth:`from_arrays`. At most about log2(n) tables of n chunks are kept
            in memory.
        weights : {"sampling", "frequency"}, default="sampling"
            As in :meth:`from_arrays`.
        pos_label : label, optional
            The event. Needed unless labels are 0 and 1, or -1 and 1.

        Returns
        -------
        table : ScoreTable
            The same table as from all rows together.

        Notes
        -----
        Tables are merged in pairs, as in a merge sort: n chunks of m scores take
        O(n m log(n m)).
        """
        runs: list[tuple[int, ScoreTable]] = []  # chunks in it, and their table
        labels: set[Any] = set()
        if not isinstance(chunks, Iterable):
            raise InputTypeError(
                f"chunks is {a_type(chunks)}; expected an iterable of tuples "
                "(y_true, y_prob) or (y_true, y_prob, weight)."
            )
        for chunk in chunks:
            if not isinstance(chunk, (tuple, list)) or len(chunk) not in (2, 3):
                raise InputTypeError(
                    f"a chunk is {a_type(chunk)}; expected a tuple (y_true, y_prob) or "
                    "(y_true, y_prob, weight)."
                )
            if len(chunk[0]) == 0 or (len(chunk) == 3 and not np.any(chunk[2])):
                continue  # no rows, or only rows of weight 0
            if pos_label is None:
                labels.update(validate_labels(chunk[0], name="y_true")[0].tolist())
                refuse_unclear(labels, "chunks hold")
            run = 1, cls.from_arrays(*chunk, weights=weights, pos_label=pos_label)
            while runs and runs[-1][0] <= run[0]:
                n, before = runs.pop()
                run = n + run[0], before + run[1]
            runs.append(run)
        if not runs:
            raise InputError("the chunks have no rows; expected at least one row.")
        *others, (_, table) = runs
        for _, before in reversed(others):
            table = before + table
        return table

    def __add__(self, other: ScoreTable) -> ScoreTable:
        if not isinstance(other, ScoreTable):
            return NotImplemented
        p, index = np.unique(np.concatenate((self.p, other.p)), return_inverse=True)

        def total(name: str) -> np.ndarray:
            both = np.concatenate((getattr(self, name), getattr(other, name)))
            return np.bincount(index, both, minlength=len(p))

        n = total("n").astype(np.int64)
        known = self.losses is not None or other.losses is not None
        losses = self._losses() + other._losses() if known else None
        return replace(ScoreTable(p, n, *(total(c) for c in SUMS)), losses=losses)

    def _losses(self) -> FloatArray:
        if self.losses is not None:
            return self.losses
        share = self.wy / self.w
        return np.array([self.w @ loss(self.p, share) for loss in (brier_rows, log_rows)])

    def __radd__(self, other: int) -> ScoreTable:
        # sum() starts with 0.
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __len__(self) -> int:
        return len(self.p)

    @property
    def n_rows(self) -> int:
        """Number of rows in the table."""
        return int(self.n.sum())

    @property
    def effective_rows(self) -> float:
        """Effective number of rows, ``(sum w)^2 / sum w^2`` (Kish 1965)."""
        return float(effective_count(self.w.sum(), self.w2.sum()))

    @property
    def weighted(self) -> bool:
        """Whether any row has a weight other than 1."""
        return not (np.array_equal(self.w, self.n) and np.array_equal(self.w2, self.n))

    @property
    def plain(self) -> bool:
        """Whether all rows have the weight 1 and the label 0 or 1."""
        return not self.weighted and np.array_equal(self.w2y, self.w2yy)

    @property
    def base_rate(self) -> float:
        """Weighted share of rows with the event."""
        return float(self.wy.sum() / self.w.sum())

    @property
    def mean_score(self) -> float:
        """Weighted mean of the scores."""
        return float(self.w @ self.p / self.w.sum())

    def borders(self, strategy: str, n_bins: int | str) -> FloatArray:
        """Inner borders of the bins: the lower ends of all bins except the first.

        Parameters
        ----------
        strategy : {"quantile", "uniform", "unique", "sklearn_quantile", "sklearn_uniform"}
            Equal mass (ties are never split), equal width, one bin for each distinct score, or
            scikit-learn's bins, see :func:`calibration_error`.
        n_bins : int or "sweep"
            Requested number of bins (ties may leave fewer), or "sweep": as many as keep the bins'
            mean labels in ascending order.

        Returns
        -------
        borders : ndarray
            In ascending order.
        """
        check_choice("strategy", strategy, get_args(Strategy))
        if strategy == "unique":
            return self.p[1:]
        theirs = strategy.startswith("sklearn")
        check_int("n_bins", n_bins, low=1, high=MOST_BINS, options=() if theirs else ("sweep",))
        if theirs:
            uniform = strategy == "sklearn_uniform"
            return sklearn_borders(self.p, self.w, int(n_bins), uniform=uniform)
        if isinstance(n_bins, str):
            return sweep_borders(self.p, self.w, self.wy, strategy, self.n_rows)
        if strategy == "uniform":
            return uniform_borders(n_bins)
        return mass_borders(self.p, self.w, n_bins)

    def bins(self, strategy: str, n_bins: int | str, *, squares: bool = False) -> BinSums:
        """Sum rows, weights, weighted scores and weighted labels in each bin.

        Parameters
        ----------
        strategy : {"quantile", "uniform", "unique"}
            Equal mass (ties are never split), equal width, or one bin for each distinct score.
        n_bins : int or "sweep"
            Number of bins, as in :meth:`borders`.
        squares : bool, default=False
            Also sum the squares of the weights, and of score minus label.

        Returns
        -------
        sums : BinSums
            Named tuple of the arrays ``n``, ``w``, ``wp``, ``wy`` and, of squares, ``w2dd``,
            ``w2``, ``w2p``, ``w2y`` and ``w2yy``. Those are None unless ``squares`` is set and they
            differ from the first four.
        """
        return self.sums(self.borders(strategy, n_bins), squares=squares)

    def sums(self, borders: FloatArray, *, squares: bool = False) -> BinSums:
        """Sum rows, weights, weighted scores and weighted labels between given borders.

        Parameters
        ----------
        borders : ndarray
            Inner borders, as from :meth:`borders`.
        squares : bool, default=False
            As in :meth:`bins`.

        Returns
        -------
        sums : BinSums
            As from :meth:`bins`.
        """
        own: bool | Squares = squares
        if squares and not self.plain:
            own = Squares(self.w2, self.w2y, self.w2yy)
        return sorted_sums(self.p, self.n, self.w, self.wy, borders, squares=own)

    def coarsen(
        self, n_cells: int = 4096, *, borders: FloatArray | None = None, tails: bool = True
    ) -> ScoreTable:
        """Make a smaller table, in which neighboring scores are replaced by their weighted mean.

        Parameters
        ----------
        n_cells : int, default=4096
            Number of equal-mass cells.
        borders : ndarray, optional
            Bin borders that no cell may cross.
        tails : bool, default=True
            Add a few hundred cells near 0 and 1, so that no cell spans more than 0.1 in log-odds.

        Returns
        -------
        table : ScoreTable
            The table itself, if it has at most ``n_cells`` scores.
        """
        check_int("n_cells", n_cells, low=1)
        if len(self) <= n_cells:
            return self
        key = assign(self.p, mass_borders(self.p, self.w, n_cells))
        cut = np.diff(key) != 0
        if tails:
            odds = np.clip(logit(np.clip(self.p, 1e-16, 1 - 1e-16)), -40, 40)
            cut |= np.diff(np.floor(10 * odds)) != 0
        if borders is not None:
            cut |= np.diff(assign(self.p, borders)) != 0
        return replace(self._merged(np.append(0, np.flatnonzero(cut) + 1)), losses=self._losses())

    def _merged(self, starts: IntArray) -> ScoreTable:
        """Make one entry of all from each start to the next."""
        known: dict[int, np.ndarray] = {}

        def total(values: np.ndarray) -> np.ndarray:
            if id(values) not in known:  # without weights, some columns are one array
                known[id(values)] = np.add.reduceat(values, starts)
            return known[id(values)]

        w = total(self.w)
        ends = np.append(starts[1:], len(self)) - 1
        mean = np.add.reduceat(self.w * self.p, starts) / w
        p = np.clip(mean, self.p[starts], self.p[ends])
        sums = (total(getattr(self, c)) for c in SUMS[1:])
        return ScoreTable(p, total(self.n), w, *sums)

    def __repr__(self) -> str:
        return (
            f"ScoreTable({self.n_rows:,} rows, {len(self):,} distinct scores, base rate "
            f"{self.base_rate:.4g}, mean score {self.mean_score:.4g})"
        )


def one_event(rows: Rows, weights: Weights) -> Binary:
    """Return the rows of two classes; raise if there are more."""
    if (k := rows.scores.n_classes) > 2:
        raise InputError(
            f"y_prob has {k} columns; expected the probability of one event. Pass one column, "
            "or for the predicted class y_true == p.argmax(1) and p.max(1)."
        )
    return reduce_rows(rows, "binary", weights)[0]


def validate_given(
    y_true: Any,
    y_prob: Any,
    sample_weight: Any,
    weights: Weights,
    pos_label: Any,
    classes: Any = None,
) -> ScoreTable | Rows:
    """Return the table that a metric was given, or the validated rows."""
    if isinstance(y_true, ScoreTable):
        refuse_beside_table(y_prob, sample_weight, pos_label, classes)
        return y_true
    given = sample_weight, weights, pos_label, classes
    return validate_problem(y_true, y_prob, *given, fractions=True)
