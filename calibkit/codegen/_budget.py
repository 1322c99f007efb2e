"""Choose the number of samples, and simulate the effect on recorded runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.errors import InputError
from .._core.inputs import check_lengths
from .._core.labels import validate_group_labels
from .._core.params import check_int, check_real, generator, percent
from .._core.signals import validate_floats
from .._typing import FloatArray, IntArray
from ..decisions import ResultTable

#: Success probabilities are clipped this far from 0 and 1.
_NEAREST = 1e-4


def samples_needed(p: Any, target: float = 0.99, cap: int | None = 64) -> Any:
    """Compute how many samples contain a correct one with the target probability.

    Use it to divide a sampling budget: few samples for easy problems, many for hard ones. Pass a
    cautious p, such as :meth:`QuantileCalibrator.lower_bound`: if p is too high, there are too few
    samples; if p is too low, some samples are wasted.

    Parameters
    ----------
    p : float or array-like
        Probability that one sample is correct (pass@1), in [0, 1]. It is clipped to [0.0001,
        0.9999].
    target : float, default=0.99
        Probability that at least one sample is correct (pass@n), in (0, 1).
    cap : int or None, default=64
        Maximum number of samples; None: no maximum.

    Returns
    -------
    n : int, or ndarray of int of the shape of p
        Number of samples, from 1 to ``cap``.

    Raises
    ------
    ValueError
        If p is outside [0, 1] or NaN.

    Notes
    -----
    ``ceil(log(1 - target) / log(1 - p))`` (Park et al. 2025, instance-adaptive scaling), the
    smallest n with ``1 - (1 - p)**n >= target``. It assumes that samples are independent given p.
    It does not say whether a correct sample is then chosen.

    References
    ----------
    Y.-J. Park et al. (2025). Know what you don't know: uncertainty calibration of process reward
    models. NeurIPS.

    Examples
    --------
    >>> from calibkit.codegen import samples_needed
    >>> samples_needed([0.01, 0.07, 0.5, 0.9, 0.99])
    array([64, 64,  7,  2,  1])
    >>> samples_needed(0.01, cap=None)
    459
    """
    check_real("target", target, low=0.0, high=1.0, open_low=True, open_high=True)
    if cap is not None:
        check_int("cap", cap, low=1)
    a = np.clip(_probabilities(p), _NEAREST, 1.0 - _NEAREST)
    n = np.log1p(-target) / np.log1p(-a)
    # Rounding may leave log(.01) / log(.1) above 2.
    n = np.maximum(np.ceil(n * (1.0 - 1e-9)), 1.0).astype(np.int64)
    if cap is not None:
        n = np.minimum(n, int(cap))
    return n if n.ndim else int(n)


def success_at(p: Any, n: Any) -> Any:
    """Compute pass@n: the probability that at least one of n independent samples is correct.

    Parameters
    ----------
    p : float or array-like
        Probability that one sample is correct (pass@1), in [0, 1].
    n : int or array-like
        Number of samples, at least 0. It is broadcast with p.

    Returns
    -------
    probability : float or ndarray
        ``1 - (1 - p)**n``, accurate for small p too.

    Raises
    ------
    ValueError
        If p is outside [0, 1] or NaN, n is negative or not a whole number, or the shapes do not
        match.

    Examples
    --------
    >>> from calibkit.codegen import success_at
    >>> round(success_at(0.1, 44), 3)
    0.99
    """
    a, count = _probabilities(p), validate_floats(n, "n")
    bad = ~((count >= 0) & (count == np.floor(count)))
    if bad.any():
        raise InputError(f"n holds {count[bad].flat[0]:.6g}; expected whole numbers of at least 0.")
    if any(len({1, i, j}) > 2 for i, j in zip(a.shape[::-1], count.shape[::-1], strict=False)):
        raise InputError(
            f"p has shape {a.shape} and n {count.shape}; expected shapes that broadcast. Pass one "
            "number for n, or one per p."
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        out = -np.expm1(count * np.log1p(-a))
    out = np.where(count == 0, 0.0, out)  # 0 times the infinite log of 1 - 1
    return out if out.ndim else float(out)


def _probabilities(p: Any) -> FloatArray:
    a = validate_floats(p, "p")
    bad = ~((a >= 0) & (a <= 1))
    if bad.any():
        at = f" at row {int(np.flatnonzero(bad)[0])}" if a.ndim == 1 else ""
        raise InputError(f"p is {a[bad].flat[0]:.6g}{at}; expected probabilities in [0, 1].")
    return a


@dataclass(frozen=True)
class BudgetSimulation:
    """Results of :func:`simulate_budget`; prints as a table.

    Attributes
    ----------
    n_questions : int
        Number of questions.
    accuracy_fixed, accuracy_adaptive, accuracy_uniform : float
        Share of questions whose best sample is correct. Fixed: all recorded samples. Adaptive: each
        question's own number of samples. Uniform: the same number for every question, with the
        same total as adaptive.
    difference, low, high : float
        Adaptive minus fixed accuracy, and its confidence interval.
    gain, gain_low, gain_high : float
        Adaptive minus uniform accuracy, at the same cost, and its confidence interval.
    level : float
        Confidence level of both intervals.
    budget_share : float
        Number of samples of the adaptive budget, divided by the number recorded.
    found_fixed, found_adaptive, found_uniform : float
        Share of questions with a correct sample among those drawn.
    n_samples : ndarray of shape (n_questions,)
        Number of samples of each question in the adaptive budget.
    n_orders : int
        Number of sample orders that the results are averaged over.

    Examples
    --------
    >>> from calibkit.codegen import simulate_budget
    >>> correct, score = [[1, 0, 1, 1]] * 20, [[0.9, 0.2, 0.8, 0.7]] * 20
    >>> found = simulate_budget(correct, score, [0.99] * 20, random_state=0)
    >>> found.budget_share
    0.25
    """

    n_questions: int
    accuracy_fixed: float
    accuracy_adaptive: float
    accuracy_uniform: float
    difference: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    level: float
    budget_share: float
    found_fixed: float
    found_adaptive: float
    found_uniform: float
    n_samples: IntArray
    n_orders: int

    def to_table(self) -> ResultTable:
        """Return the simulation as a table, for pandas, Markdown and LaTeX.

        Returns
        -------
        table : ResultTable
            A row for each budget: share of the samples used, accuracy, and share of questions with
            a correct sample among those drawn.
        """
        rows = [
            {"budget": n, "share_used": u, "accuracy": a, "right_one_drawn": f}
            for n, u, a, f in self._rows()
        ]
        return ResultTable(tuple(rows), tuple(self._words()))

    def _rows(self) -> list[tuple[str, float, float, float]]:
        return [
            ("fixed", 1.0, self.accuracy_fixed, self.found_fixed),
            ("adaptive", self.budget_share, self.accuracy_adaptive, self.found_adaptive),
            ("uniform", self.budget_share, self.accuracy_uniform, self.found_uniform),
        ]

    def _words(self) -> list[str]:
        interval = f"{percent(self.level)} interval"
        orders = "" if self.n_orders == 1 else f", mean over {self.n_orders} orders"
        return [
            f"adaptive - fixed   {self.difference:+.4f}, {interval} "
            f"[{self.low:+.4f}, {self.high:+.4f}]",
            f"adaptive - uniform {self.gain:+.4f}, {interval} "
            f"[{self.gain_low:+.4f}, {self.gain_high:+.4f}]",
            f"{self.n_questions} questions, {self.n_samples.mean():.1f} samples each on "
            f"average{orders}",
        ]

    def __str__(self) -> str:
        lines = [f"{'budget':<10}{'share used':>11}{'accuracy':>10}{'correct drawn':>15}"]
        lines += [f"{n:<10}{u:>11.1%}{a:>10.4f}{f:>15.4f}" for n, u, a, f in self._rows()]
        return "\n".join([*lines, *self._words()])


def simulate_budget(
    correct: Any,
    score: Any,
    p: Any,
    *,
    target: float = 0.99,
    cap: int | None = None,
    n_orders: int | None = None,
    groups: Any = None,
    level: float = 0.9,
    n_resamples: int = 2000,
    random_state: Any = 0,
) -> BudgetSimulation:
    """Simulate an adaptive number of samples per question on recorded best-of-N runs.

    Use it to see whether :func:`samples_needed` saves samples without a loss of accuracy.

    Parameters
    ----------
    correct : array-like of shape (n_questions, n_samples)
        Whether each sample is correct, 0/1 or bool. If questions have fewer samples, pass shorter
        lists, or pad rows at the end with NaN.
    score : array-like of shape (n_questions, n_samples)
        Score that chooses the best sample: the largest one among those drawn, or the first of
        equals.
    p : array-like of shape (n_questions,)
        Probability that one sample of the question is correct. It must be known before samples are
        drawn, for instance from a calibrated score of the question.
    target : float, default=0.99
        Probability that at least one drawn sample is correct.
    cap : int or None, default=None
        Maximum number of samples; None: as many as were recorded.
    n_orders : int or None, default=None
        Number of random orders of each question's samples to average over. None: only the recorded
        order.
    groups : array-like of shape (n_questions,), optional
        Group of each question (a repository, a contest). Questions of one group are resampled
        together for the intervals.
    level : float, default=0.9
        Confidence level of the intervals.
    n_resamples : int, default=2000
        Number of bootstrap resamples.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the orders and of the bootstrap.

    Returns
    -------
    simulation : BudgetSimulation
        Accuracies, budget share and intervals; prints as a table.

    Raises
    ------
    ValueError
        If shapes do not match, a label is neither 0 nor 1, or a score is missing where the label is
        known.

    Notes
    -----
    The adaptive budget takes the first ``samples_needed(p[i], target, cap)`` samples of question i.
    The uniform budget takes the mean of these numbers for every question; between two whole
    numbers, accuracies are interpolated. If adaptive is not better than uniform, p is
    uninformative. The intervals come from the basic bootstrap over questions (or groups); the
    budgets are compared on the same resamples. With a single question or group the interval is
    [-1, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.codegen import simulate_budget
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.05, 1, 300)
    >>> correct = rng.random((300, 64)) < p[:, None]
    >>> score = 3 * correct + rng.normal(size=correct.shape)
    >>> print(simulate_budget(correct, score, p, random_state=0))
    budget     share used  accuracy  correct drawn
    fixed          100.0%    0.9967         1.0000
    adaptive        17.6%    0.9800         0.9933
    uniform         17.6%    0.9543         0.9633
    adaptive - fixed   -0.0167, 90% interval [-0.0267, -0.0033]
    adaptive - uniform +0.0257, 90% interval [+0.0033, +0.0457]
    300 questions, 11.3 samples each on average
    """
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int("n_resamples", n_resamples, low=10)
    if n_orders is not None:
        check_int("n_orders", n_orders, low=1)
    right, value, recorded = _validate_runs(correct, score)
    n_questions = len(right)
    p = _probabilities(p)
    if p.ndim != 1:
        raise InputError(f"p has shape {p.shape}; expected one probability per question.")
    check_lengths(n_questions, len(p), ("correct", "p"))
    drawn = np.minimum(samples_needed(p, target, cap), recorded)
    few, part = _uniform(drawn, recorded)
    budgets = [recorded, drawn, np.minimum(few, recorded), np.minimum(few + 1, recorded)]
    rng = generator(random_state)
    fixed, adaptive, less, more = _replay(right, value, recorded, budgets, n_orders, rng)
    uniform = (1.0 - part) * less + part * more
    policies = {"fixed": fixed, "adaptive": adaptive, "uniform": uniform}
    code = np.arange(n_questions)
    if groups is not None:
        code = np.unique(validate_group_labels(groups, n_questions, "groups"), return_inverse=True)[
            1
        ]
    change = np.stack((adaptive[0] - fixed[0], adaptive[0] - uniform[0]))
    against_fixed, against_uniform = _intervals(change, code, level, n_resamples, rng)
    return BudgetSimulation(
        n_questions=n_questions,
        **{f"accuracy_{name}": float(result[0].mean()) for name, result in policies.items()},
        **{f"found_{name}": float(result[1].mean()) for name, result in policies.items()},
        **dict(zip(("difference", "low", "high"), against_fixed, strict=True)),
        **dict(zip(("gain", "gain_low", "gain_high"), against_uniform, strict=True)),
        level=level,
        budget_share=float(drawn.sum() / recorded.sum()),
        n_samples=drawn,
        n_orders=n_orders or 1,
    )


def _uniform(drawn: IntArray, recorded: IntArray) -> tuple[int, float]:
    """The number for every question with the same total, and its fractional part."""
    totals = np.cumsum([(recorded > j).sum() for j in range(int(recorded.max()))])
    spent = int(drawn.sum())
    few = int(np.searchsorted(totals, spent, side="right"))
    below = int(totals[few - 1]) if few else 0
    return few, 0.0 if few == len(totals) else (spent - below) / int(totals[few] - below)


def _replay(
    right: np.ndarray,
    value: FloatArray,
    recorded: IntArray,
    budgets: list[IntArray],
    n_orders: int | None,
    rng: np.random.Generator,
) -> FloatArray:
    """(budget, answer correct | correct one drawn, question), averaged over orders."""
    n, most = right.shape
    out = np.zeros((len(budgets), 2, n))
    rows, place = np.arange(n), np.arange(most)
    for _ in range(n_orders or 1):
        if n_orders is not None:
            # Random keys; the padding of a short run stays at its end.
            order = np.argsort(rng.random((n, most)) + 2.0 * (place >= recorded[:, None]), axis=1)
            right, value = np.take_along_axis(right, order, 1), np.take_along_axis(value, order, 1)
        for i, budget in enumerate(budgets):
            drawn = place < budget[:, None]
            best = np.where(drawn, value, -np.inf).argmax(axis=1)
            out[i, 0] += right[rows, best]
            out[i, 1] += (right & drawn).any(axis=1)
    return out / (n_orders or 1)


def _intervals(
    change: FloatArray, code: IntArray, level: float, n_resamples: int, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Mean of each row and its basic bootstrap interval, resampling groups of columns."""
    n_groups = int(code.max()) + 1
    sums = np.stack([np.bincount(code, row, n_groups) for row in (*change, np.ones(len(code)))])
    counts = rng.multinomial(n_groups, np.full(n_groups, 1.0 / n_groups), size=n_resamples)
    totals = sums @ counts.T
    out = []
    for row, drawn in zip(change, totals[:-1] / totals[-1], strict=True):
        value = float(row.mean())
        upper, lower = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
        low, high = max(2.0 * value - lower, -1.0), min(2.0 * value - upper, 1.0)
        if n_groups < 2:  # one group does not show how groups differ
            low, high = -1.0, 1.0
        out.append((value, float(min(low, value)), float(max(high, value))))
    return out


def _validate_runs(correct: Any, score: Any) -> tuple[np.ndarray, FloatArray, IntArray]:
    """Labels and scores of equal shape, and how many samples each question has."""
    right, value = _table(correct, "correct"), _table(score, "score")
    if right.shape != value.shape:
        raise InputError(
            f"correct has shape {right.shape} and score {value.shape}; expected the same shape, "
            "(n_questions, n_samples)."
        )
    known = ~np.isnan(right)
    recorded = known.sum(axis=1)
    if not right.size or not recorded.all():
        at = "" if not right.size else f" of question {int(np.flatnonzero(recorded == 0)[0])}"
        raise InputError(f"correct has no sample{at}; expected at least one per question.")
    front = np.arange(right.shape[1]) < recorded[:, None]
    for bad, a, name, expected in [
        (known != front, right, "correct", "NaN only after the samples of a row"),
        (known & (right != 0) & (right != 1), right, "correct", "labels 0 or 1"),
        (known & np.isnan(value), value, "score", "a score where correct is known, or -inf"),
        (~known & ~np.isnan(value), value, "score", "NaN where correct is NaN"),
    ]:
        if bad.any():
            i, j = (int(v) for v in np.argwhere(bad)[0])
            raise InputError(
                f"{name} is {a[i, j]:.6g} at question {i}, sample {j}; expected {expected}."
            )
    return right == 1, value, recorded


def _table(values: Any, name: str) -> FloatArray:
    """Rows of numbers; shorter ones are padded with NaN."""
    if getattr(getattr(values, "dtype", None), "kind", "") == "O":  # such as a column of lists
        values = list(values)
    if isinstance(values, (list, tuple)) and len({np.size(row) for row in values}) > 1:
        rows = [np.ravel(validate_floats(row, name)) for row in values]
        out = np.full((len(rows), max(map(len, rows))), np.nan)
        for i, row in enumerate(rows):
            out[i, : len(row)] = row
        return out
    a = validate_floats(values, name)
    if a.ndim != 2:
        raise InputError(f"{name} has shape {a.shape}; expected shape (n_questions, n_samples).")
    return a
