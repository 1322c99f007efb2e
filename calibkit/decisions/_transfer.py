"""Calibrators fitted on one task, model or project and judged on another."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.base import clone

from .._core.base import BaseCalibrator
from .._core.errors import InputError, called
from .._core.labels import validate_group_labels
from .._core.params import check_choice, check_int, check_scale, generator
from .._core.printed import spelled
from .._core.scores import SATURATED
from .._core.signals import check_range, scales_of, validate_correct, validate_signals
from .._core.warnings import CalibrationWarning
from .._numerics.links import expit, logit
from .._numerics.shrinkage import FIXED, fit_shrunk
from .._typing import FloatArray, IntArray, SignalScale
from ..calibrators import AutoOrPlatt, validate_calibrator
from ..metrics import ResultTable
from ._folds import of_rows, out_of_fold, validate_folds

#: Names that the tables use for a row and a column.
TAKEN = {"all others", "fitted on"}


@dataclass(frozen=True)
class Part:
    """The outputs of one task, model or project."""

    rows: IntArray
    signal: FloatArray
    y: IntArray
    groups: np.ndarray | None

    def draw(self, n: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """n random rows (whole groups, so perhaps a few more), and all other rows."""
        m = len(self.y)
        if self.groups is None:
            order = rng.permutation(m)
            return order[:n], order[n:]
        codes = np.unique(self.groups, return_inverse=True)[1]
        sizes = np.bincount(codes)
        place = rng.permutation(len(sizes))
        before = np.cumsum(sizes[place]) - sizes[place]  # rows drawn before each group's turn
        chosen = np.zeros(len(sizes), dtype=bool)
        chosen[place[before < n]] = True
        return np.flatnonzero(chosen[codes]), np.flatnonzero(~chosen[codes])


class PartitionedOutputs:
    """Checked outputs by part, and calibrators fitted on any of the parts."""

    def __init__(
        self,
        confidence: Any,
        correct: Any,
        by: Any,
        groups: Any,
        calibrator: Any,
        scale: SignalScale,
    ) -> None:
        y = validate_correct(correct, confidence)
        self.n = len(y)
        signal = validate_signals({"confidence": confidence}, len(y))["confidence"]
        scales_of(scale, {"confidence": signal})
        check_range(signal, scale, "confidence")
        b = validate_group_labels(by, len(y), "by")
        g = None if groups is None else validate_group_labels(groups, len(y), "groups")
        self.template = validate_calibrator(calibrator, scale)
        known = np.flatnonzero(~np.isnan(signal))
        distinct, code = np.unique(b[known], return_inverse=True)
        if len(distinct) < 2:
            raise InputError(
                f"by holds {len(distinct)} value(s); expected at least two: the names of the "
                "tasks, models or projects."
            )
        at = [known[code == i] for i in range(len(distinct))]
        self.names = [str(v) for v in distinct]
        if taken := sorted(TAKEN & set(self.names)):
            raise InputError(
                f"by holds {spelled(taken[0])}, which is a name in the result tables; expected "
                "another name. Rename it."
            )
        self.rows = [Part(i, signal[i], y[i], None if g is None else g[i]) for i in at]
        for name, part in zip(self.names, self.rows, strict=True):
            if len(np.unique(part.y)) < 2:
                kind = "correct" if part.y[0] else "wrong"
                raise InputError(
                    f"all {len(part.y)} outputs of {name} are {kind}; expected correct and wrong "
                    f"outputs in every part. Drop {name}, or merge it with another part."
                )

    def check_rest(self, n_local: int) -> None:
        """Raise unless every part has outputs left to judge after its local labels."""
        for name, part in zip(self.names, self.rows, strict=True):
            if len(part.y) < 2 * n_local:
                raise InputError(
                    f"n_local={n_local} and {name} has {len(part.y)} outputs; expected at least "
                    f"twice as many. Use n_local={len(part.y) // 2} or less."
                )

    def fit(self, which: list[int]) -> BaseCalibrator:
        """A calibrator fitted on these parts together."""
        parts = [self.rows[i] for i in which]
        signal, y = (np.concatenate([getattr(p, k) for p in parts]) for k in ("signal", "y"))
        groups = [p.groups for p in parts if p.groups is not None]
        return _fit(self.template, signal, y, np.concatenate(groups) if groups else None)

    def local(self, part: Part, local: IntArray, rest: IntArray) -> FloatArray:
        """Probabilities of the rest by a calibrator fitted on the local labels."""
        signal, y, groups = part.signal, part.y[local], part.groups
        if len(np.unique(y)) < 2:  # only the rate can be fitted
            return np.full(len(rest), (y.sum() + 1.0) / (len(local) + 2.0))
        groups = None if groups is None else groups[local]
        return _fit(self.template, signal[local], y, groups).predict_proba(signal[rest])[:, 1]


def _fit(
    template: BaseCalibrator | AutoOrPlatt, signal: FloatArray, y: IntArray, groups: Any
) -> BaseCalibrator:
    with warnings.catch_warnings():
        # Warnings of separation or reversal are not needed: the skill shows their effect.
        warnings.simplefilter("ignore", CalibrationWarning)
        return clone(template).fit(signal, y, groups=groups)


def log_odds(calibrator: BaseCalibrator, signal: FloatArray) -> FloatArray:
    """Log-odds of the calibrated probabilities."""
    p = calibrator.predict_proba(signal)[:, 1]
    return logit(np.clip(p, SATURATED, 1.0 - SATURATED))


def brier_skill(p: FloatArray, y: IntArray) -> FloatArray:
    """Skill of each row of probabilities; NaN if all labels are equal, or there are none."""
    if len(y) == 0:
        return np.full(p.shape[:-1], np.nan)
    rate = y.mean()
    reference = rate * (1.0 - rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(reference > 0, 1.0 - ((p - y) ** 2).mean(axis=-1) / reference, np.nan)


def mean_known(skill: FloatArray) -> FloatArray:
    """Means over the draws (first axis) with a defined skill; NaN if there is none."""
    known = ~np.isnan(skill)
    with np.errstate(invalid="ignore"):
        return np.where(known, skill, 0.0).sum(axis=0) / known.sum(axis=0)


REPAIRS = ("none", "intercept", "shrinkage")
#: Numbers of local labels to try; a part must have twice as many outputs.
_GRID = (10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000)


@dataclass(frozen=True)
class Transfer:
    """Brier skill score of every part's calibrator on every part; prints as a matrix.

    Attributes
    ----------
    names : list of str
        Names of the rows: the parts (tasks, models, projects), then "all others", a calibrator
        fitted on all parts except the one that is judged.
    skill : ndarray of shape (k + 1, k)
        Skill of the calibrator fitted on the row's part, judged on the column's part, without an
        adjustment. On the diagonal: out of fold.
    intercept : ndarray of shape (k + 1, k)
        The same after the intercept was refitted on ``n_local`` labels of the column's part, judged
        on its other outputs.
    shrinkage : ndarray of shape (k + 1, k)
        The same after slope and intercept were refitted, with the slope shrunk towards 1.
    success_rate : ndarray of shape (k,)
        Share of correct outputs of each part.
    n : ndarray of shape (k,)
        Number of outputs of each part.
    n_local : int
        Number of labels used for the adjustments.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import transfer_matrix
    >>> rng = np.random.default_rng(0)
    >>> task, z = np.repeat(["repair", "synthesis"], 1000), rng.normal(size=2000)
    >>> correct = rng.random(2000) < 1 / (1 + np.exp(-z - 2 * (task == "repair")))
    >>> found = transfer_matrix(1 / (1 + np.exp(-z)), correct, by=task)
    >>> found.names, found.skill.shape
    (['repair', 'synthesis', 'all others'], (3, 2))
    """

    names: list[str]
    skill: FloatArray
    intercept: FloatArray
    shrinkage: FloatArray
    success_rate: FloatArray
    n: IntArray
    n_local: int

    def to_table(self, repair: Literal["none", "intercept", "shrinkage"] = "none") -> ResultTable:
        """Return a matrix as a table.

        Parameters
        ----------
        repair : {"none", "intercept", "shrinkage"}, default="none"
            Which matrix: without an adjustment, with the intercept refitted, or with slope and
            intercept refitted.

        Returns
        -------
        table : ResultTable
            A row for each part that was fitted on, a column for each part that was judged.
        """
        check_choice("repair", repair, REPAIRS)
        matrix = self.skill if repair == "none" else getattr(self, repair)
        rows = [
            {"fitted on": name, **dict(zip(self.names, map(float, line), strict=False))}
            for name, line in zip(self.names, matrix, strict=True)
        ]
        what = {
            "none": "without adjustment",
            "intercept": f"intercepts refitted on {self.n_local} labels",
            "shrinkage": f"slopes (shrunk) and intercepts refitted on {self.n_local} labels",
        }
        caption = f"Brier skill score on the column's outputs, {what[repair]}"
        return ResultTable(tuple(rows), (), caption)

    def summary(self) -> ResultTable:
        """Return, for each part, the skill of its own calibrator and of those of other parts.

        Returns
        -------
        table : ResultTable
            For each part: its own calibrator out of fold ("local"); the calibrator of all other
            parts together, without and with the two adjustments; the best and the worst calibrator
            of a single other part.
        """
        k = len(self.names) - 1
        others = np.where(np.eye(k, dtype=bool), np.nan, self.skill[:-1])
        rows = [
            {
                "judged on": name,
                "n": int(self.n[j]),
                "success_rate": float(self.success_rate[j]),
                "local": float(self.skill[j, j]),
                "all others": float(self.skill[-1, j]),
                "+ intercept": float(self.intercept[-1, j]),
                "+ shrinkage": float(self.shrinkage[-1, j]),
                "best other": float(np.nanmax(others[:, j])),
                "worst other": float(np.nanmin(others[:, j])),
            }
            for j, name in enumerate(self.names[:-1])
        ]
        caption = f"Brier skill score; adjusted on {self.n_local} labels; local: out of fold"
        return ResultTable(tuple(rows), (), caption)

    def __str__(self) -> str:
        small = len(self.names) <= 9
        return f"{self.to_table()}\n\n{self.summary()}" if small else str(self.summary())


def transfer_matrix(
    confidence: Any,
    correct: Any,
    by: Any,
    *,
    groups: Any = None,
    calibrator: Any = "platt",
    n_local: int = 50,
    shrinkage: float = 1.0,
    n_repeats: int = 20,
    cv: Any = 5,
    scale: SignalScale = "probability",
    random_state: Any = 0,
) -> Transfer:
    """Fit a calibrator on each task, model or project, and judge it on all others.

    Use it before you borrow a calibrator from another task: if success rates or signals differ, it
    may be worse than none. A few labels of the new task allow two adjustments: refit the intercept
    of the borrowed calibrator, or its slope and intercept, with the slope shrunk towards 1.

    Parameters
    ----------
    confidence : array-like of shape (n,)
        One signal; outputs where it is NaN are left out.
    correct : array-like of shape (n,)
        Whether each output is correct: 0/1 or bool.
    by : array-like of shape (n,)
        Task, model or project of each output. Each value must have correct and wrong outputs.
    groups : array-like of shape (n,), optional
        Problem or repository of each output. Outputs of one group stay in one fold and are drawn
        together as local labels.
    calibrator : str or calibrator, default="platt"
        Calibrator to fit.
    n_local : int, default=50
        Number of labels of the judged part for the adjustments. Whole groups are drawn, so it may
        be a few more.
    shrinkage : float, default=1.0
        Strength of the shrinkage: ``shrinkage/2 * (slope - 1)**2`` is added to the summed log loss
        of the local labels. Infinity: only the intercept is refitted.
    n_repeats : int, default=20
        Number of random draws of the local labels. Skills after adjustment are means over the
        draws; draws whose remaining outputs are all correct or all wrong are ignored.
    cv : int or splitter, default=5
        Folds for the diagonal.
    scale : {"probability", "logit", "score"}, default="probability"
        Scale of the signal; "logit" means log-odds, a "score" is any other number.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the folds and draws.

    Returns
    -------
    transfer : Transfer
        Matrices of skills; prints as the matrix and a summary for each part.

    Raises
    ------
    ValueError
        If the data are invalid, or a part has fewer than ``2 * n_local`` outputs.

    Notes
    -----
    The Brier skill score compares with the success rate r of the judged part,
    ``1 - brier / (r (1 - r))``. If it is negative, predicting r for every output would be better.

    References
    ----------
    C. Spiess et al. (2024). Calibration and correctness of language models for code. ICSE 2025,
    arXiv 2402.02047 (which studies where rescaling transfers).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import transfer_matrix
    >>> rng = np.random.default_rng(0)
    >>> task = np.repeat(["repair", "synthesis"], 1000)
    >>> z = rng.normal(size=2000)
    >>> correct = rng.random(2000) < 1 / (1 + np.exp(-z + 2 * (task == "repair")))
    >>> found = transfer_matrix(1 / (1 + np.exp(-z)), correct, by=task)
    >>> bool(found.skill[1, 0] < 0 < found.intercept[1, 0])  # synthesis, judged on repair
    True
    """
    check_int("n_local", n_local, low=1)
    check_int("n_repeats", n_repeats, low=1)
    check_scale("shrinkage", shrinkage)
    parts = PartitionedOutputs(confidence, correct, by, groups, calibrator, scale)
    parts.check_rest(n_local)
    cv = validate_folds(cv, parts.n)
    k, rng = len(parts.names), generator(random_state)
    out = {repair: np.full((k + 1, k), np.nan) for repair in REPAIRS}
    seed = int(rng.integers(2**31))
    maps = [parts.fit([i]) for i in range(k)]
    for j, part in enumerate(parts.rows):
        given = part.signal, part.y, part.groups, of_rows(cv, part.rows)
        with called(part=f": {parts.names[j]}"):
            own = out_of_fold(parts.template, *given, scale, seed)
        pooled = parts.fit([i for i in range(k) if i != j])
        z = np.array([log_odds(m, part.signal) for m in (*maps, pooled)])
        out["none"][:, j] = brier_skill(expit(z), part.y)
        repaired = np.zeros((n_repeats, 2, k + 1))
        for i in range(n_repeats):
            local, rest = part.draw(n_local, rng)
            for r, pull in enumerate((FIXED, shrinkage)):
                a, b = fit_shrunk(z[:, local], part.y[local], pull)
                q = expit(a[:, None] * z[:, rest] + b[:, None])
                repaired[i, r] = brier_skill(q, part.y[rest])
        out["intercept"][:, j], out["shrinkage"][:, j] = mean_known(repaired)
        for repair in REPAIRS:  # the diagonal is out of fold, without an adjustment
            out[repair][j, j] = brier_skill(own[None], part.y)[0]
    rates = np.array([part.y.mean() for part in parts.rows])
    sizes = np.array([len(part.y) for part in parts.rows])
    matrices = (out["none"], out["intercept"], out["shrinkage"])
    return Transfer([*parts.names, "all others"], *matrices, rates, sizes, n_local)


def local_labels_needed(
    confidence: Any,
    correct: Any,
    by: Any,
    *,
    groups: Any = None,
    calibrator: Any = "platt",
    shrinkage: float = 1.0,
    n_repeats: int = 20,
    scale: SignalScale = "probability",
    random_state: Any = 0,
) -> ResultTable:
    """Find how many labels a task, model or project needs for a calibrator of its own.

    Use it to decide between a calibrator borrowed from other parts and a new one.

    Parameters
    ----------
    confidence : array-like of shape (n,)
        One signal; outputs where it is NaN are left out.
    correct : array-like of shape (n,)
        Whether each output is correct: 0/1 or bool.
    by : array-like of shape (n,)
        Task, model or project of each output.
    groups : array-like of shape (n,), optional
        Problem or repository of each output. Outputs of one group are drawn together.
    calibrator : str or calibrator, default="platt"
        Calibrator to fit.
    shrinkage : float, default=1.0
        Strength of the shrinkage, as in :func:`transfer_matrix`.
    n_repeats : int, default=20
        Number of random draws of the local labels at each number of labels. Draws whose remaining
        outputs are all correct or all wrong are ignored.
    scale : {"probability", "logit", "score"}, default="probability"
        Scale of the signal; "logit" means log-odds, a "score" is any other number.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the draws.

    Returns
    -------
    table : ResultTable
        A row for each part and number n of labels. It contains the skill, on the remaining outputs,
        of the calibrator of all other parts ("borrowed"), of the same calibrator adjusted on the n
        labels ("intercept", "shrinkage"), and of a calibrator fitted on the n labels alone
        ("local"). Notes say from which n on the local calibrator is always the better one.

    Raises
    ------
    ValueError
        If the data are invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import local_labels_needed
    >>> rng = np.random.default_rng(0)
    >>> task = np.repeat(["a", "b", "c"], 500)
    >>> z = rng.normal(size=1500)
    >>> correct = rng.random(1500) < 1 / (1 + np.exp(-z + 2 * (task == "a")))
    >>> table = local_labels_needed(1 / (1 + np.exp(-z)), correct, by=task)
    >>> print(table.notes[0])
    a: a local calibrator is better than the borrowed one from 10 labels on; on 200 labels it is
    not better than the adjusted borrowed one
    """
    check_int("n_repeats", n_repeats, low=1)
    check_scale("shrinkage", shrinkage)
    parts = PartitionedOutputs(confidence, correct, by, groups, calibrator, scale)
    rng, rows, notes = generator(random_state), [], []
    for j, part in enumerate(parts.rows):
        pooled = parts.fit([i for i in range(len(parts.names)) if i != j])
        z = log_odds(pooled, part.signal)[None]
        curve = []
        for n in (n for n in _GRID if 2 * n <= len(part.y)):
            skills = [_compare(parts, part, z, n, shrinkage, rng) for _ in range(n_repeats)]
            mean = mean_known(np.array(skills))
            if np.isnan(mean).any():  # groups so large that no draw leaves anything to judge
                break
            names = ("borrowed", "intercept", "shrinkage", "local")
            means = dict(zip(names, map(float, mean), strict=True))
            curve.append((n, means))
            rows.append({"judged on": parts.names[j], "labels": n, **means})
        notes.append(f"{parts.names[j]}: {_verdict(curve)}")
    return ResultTable(tuple(rows), tuple(notes), f"Brier skill score, mean of {n_repeats} draws")


def _compare(
    parts: PartitionedOutputs,
    part: Part,
    z: FloatArray,
    n: int,
    shrinkage: float,
    rng: np.random.Generator,
) -> list[float]:
    """Skill on the remaining outputs: borrowed, adjusted in the two ways, and fitted locally."""
    local, rest = part.draw(n, rng)
    y = part.y
    q = [z[0, rest]]
    for pull in (FIXED, shrinkage):
        a, b = fit_shrunk(z[:, local], y[local], pull)
        q.append(a[0] * z[0, rest] + b[0])
    p = [*expit(np.array(q)), parts.local(part, local, rest)]
    return list(brier_skill(np.array(p), y[rest]))


def _verdict(curve: list[tuple[int, dict[str, float]]]) -> str:
    if not curve:
        return "too few outputs or groups to compare calibrators"
    plain = _from(curve, ("borrowed",))
    if plain is None:
        return f"a local calibrator on {curve[-1][0]} labels is not better than the borrowed one"
    adjusted = _from(curve, ("intercept", "shrinkage"))
    than = f"on {curve[-1][0]} labels it is not better than the adjusted borrowed one"
    if adjusted is not None:
        than = f"from {adjusted} labels on it is also better than the adjusted borrowed one"
    return f"a local calibrator is better than the borrowed one from {plain} labels on; {than}"


def _from(curve: list[tuple[int, dict[str, float]]], rivals: tuple[str, ...]) -> int | None:
    """Labels from which the local calibrator is better than all of these, at every number tried."""
    first = None
    for n, means in reversed(curve):
        if means["local"] <= max(means[name] for name in rivals):
            break
        first = n
    return first
