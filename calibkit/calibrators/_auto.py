"""Automatic calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import StateKind
from .._core.inputs import Rows
from .._core.params import check_flag
from .._core.scores import Scores
from .._core.warnings import silent
from .._numerics.binning import assign
from .._numerics.cells import Cells, coarse_cells
from .._numerics.links import LARGEST, expit, logit
from .._numerics.logistic import separation
from .._numerics.spline import leave_one_out
from .._typing import FloatArray, Scale
from ._auto_classes import (
    FEW,
    FEW_NAMES,
    MOST_MATRIX,
    NAMES,
    ClassMap,
    learn_classes,
    predict_classes,
)
from ._beta import BetaCalibrator
from ._spline import MOST_CELLS, SplineCalibrator
from ._summed import SummedCalibrator
from ._venn_abers import VennAbersCalibrator

#: Prior odds of "the scores are calibrated": so many to the number of rows.
_PRIOR = 150.0
#: Weights of spline, beta calibration and Venn-Abers predictor among each other.
_BLEND = {SplineCalibrator: 4.0, BetaCalibrator: 1.0, VennAbersCalibrator: 1.0}
#: Weight of the Venn-Abers probability in the result.
_MIXED = 0.05
#: With fewer events, or fewer non-events, beta calibration is left out.
_FEW = 10.0
#: How far beyond the log-odds of ``fit`` the identity goes on: half the odds.
_BEYOND = float(np.log(2.0))


@dataclass(frozen=True)
class AutoSummary:
    """What :class:`AutoCalibrator` made its map of.

    Parameters
    ----------
    names : tuple of str
        The parts of the blend; "identity" is no calibration.
    weights : tuple of float
        Weights of the parts' log-odds, which sum to 1.
    losses : tuple of float or None
        Mean leave-one-out log loss of each part in nats; None where there is no closed form. For K
        classes each row is left out by one Newton step.
    evidence : float
        Log of the evidence for a change of the scores over that for none.
    freedom : float
        Effective number of parameters of the spline, or for K classes of the weighted mean.
    n_rows : float
        Number of independent rows that the rows of ``fit`` count as.
    few_rows : bool
        Whether there were too few rows of one class for beta calibration, or for K classes too few
        rows for a matrix.

    Examples
    --------
    >>> from calibkit import AutoSummary
    >>> names = ("identity", "spline", "venn_abers")
    >>> losses = (0.6, 0.61, None)
    >>> print(AutoSummary(names, (0.9, 0.08, 0.02), losses, -2.2, 1.1, 30.0, True))
    part        weight  leave-one-out log loss
    identity     0.900  0.6000
    spline       0.080  0.6100
    venn_abers   0.020  -
    The scores show no miscalibration (log evidence -2.2); they are kept with a weight of 0.900.
    Effective parameters of the spline: 1.1; independent rows: 30.
    Then 5% of the Venn-Abers probability is mixed in.
    Without beta calibration: fewer than 10 rows of one class, or scores that separate the classes.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    losses: tuple[float | None, ...]
    evidence: float
    freedom: float
    n_rows: float
    few_rows: bool

    def __str__(self) -> str:
        lines = ["part        weight  leave-one-out log loss"]
        for name, weight, loss in zip(self.names, self.weights, self.losses, strict=True):
            lines.append(f"{name:11} {weight:6.3f}  {'-' if loss is None else f'{loss:.4f}'}")
        binary = "spline" in self.names
        shown = "look miscalibrated" if self.evidence > 0 else "show no miscalibration"
        lines += [
            f"The scores {shown} (log evidence {self.evidence:.1f}); they are kept with a weight "
            f"of {self.weights[0]:.3f}.",
            f"Effective parameters of the {'spline' if binary else 'weighted mean'}: "
            f"{self.freedom:.1f}; independent rows: {self.n_rows:,.0f}.",
        ]
        if binary:
            lines.append(f"Then {_MIXED:.0%} of the Venn-Abers probability is mixed in.")
        else:
            lines.append("Numbers: strength of the penalty; large ones keep temperature scaling.")
        if self.few_rows and binary:
            lines.append(
                f"Without beta calibration: fewer than {_FEW:.0f} rows of one class, or scores "
                "that separate the classes."
            )
        elif self.few_rows:
            lines.append(f"Without matrix: fewer than {FEW:.0f} rows per class.")
        return "\n".join(lines)


class AutoCalibrator(SummedCalibrator):
    """Automatic calibration: a blend of several maps and of the scores as they are.

    Use it when you don't want to choose a calibrator. For two classes it averages a spline, beta
    calibration and the Venn-Abers predictor; for K classes temperature scaling and vector and
    matrix maps of several strengths. The less the rows show that the scores are miscalibrated, the
    more it keeps them as they are. So it does little harm to calibrated scores, also with 100 rows.

    Parameters
    ----------
    monotone : bool, default=True
        Whether a higher score never gets a lower probability. False leaves the spline free to
        fall; the other parts are monotone. For K classes it has no effect.
    scale : {"probability", "logit"}, default="probability"
        What the scores are.
    eps : float or "auto", default="auto"
        Distance from 0 and 1 at which probabilities are clipped before the logarithm is taken.
        "auto" learns it from the scores: half the distance of the outermost score that is not 0
        or 1 itself.
    classes : array-like, optional
        All class labels in sorted order; needed if some classes have no rows in ``fit``.

    Attributes
    ----------
    parts_ : list of BaseCalibrator
        The fitted spline, beta calibration (if there are rows enough for it) and Venn-Abers
        predictor, which take log-odds. Empty for K classes.
    weights_ : ndarray
        Weights of the log-odds of no calibration and of each of ``parts_``, or for K classes of the
        logits of each part; they sum to 1. :meth:`summary` names them.
    losses_ : ndarray
        Mean leave-one-out log losses, in nats, of no calibration and of each of ``parts_`` but
        the Venn-Abers predictor; for K classes of no calibration and of all parts.
    map_ : ndarray
        For K classes the coefficients of the weighted mean of all parts; empty for two.
    range_ : ndarray of shape (2,)
        Smallest and largest log-odds of ``fit``, or for K classes log-probabilities after
        temperature scaling. The parts are constant beyond them.
    n_rows_ : float
        Number of independent rows that the rows of ``fit`` count as.
    worth_ : float
        Number of independent rows that one row counts as; below 1 for dependent rows of groups.
    clip_ : ndarray of shape (2,)
        Distances from 0 and from 1 at which probabilities are clipped.
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    Raises
    ------
    ValueError
        In ``fit``: bad data, or one class only in a two-class problem.

    Notes
    -----
    1. The log-odds of the spline, beta calibration and the Venn-Abers predictor (its probability
       for the log loss) are averaged with the weights 4, 1 and 1.
    2. The result and the log-odds of the scores are averaged with the posterior probabilities of
       "the scores need a change" and "the scores are calibrated". The prior probability of the
       latter is ``150 / (150 + n)``; the evidence for the former is that of
       :class:`SplineCalibrator`.
    3. The probability gets 5 % of that of the Venn-Abers predictor, which claims no more certainty
       than the rows can show, so that no tail costs much.

    These numbers were chosen on the half of the data sets of ``benchmarks/arena.py`` that is for
    development: 573 experiments with 100 to 5,000 rows. There ``monotone=True`` costs 0.0001 nats
    (standard error 0.0001) if rows are independent, 0.0004 (0.0002) with 1,000 rows or more.

    With fewer than 10 rows of one class, or scores that separate the classes, beta calibration,
    which has no prior, is left out. Rows of groups count as what they are worth in all parts:
    their design effect divides the likelihood.

    After the sort the time does not grow with n, since all parts are fitted to at most 256
    weighted values of the log-odds. There is no randomness.

    For K classes the logits of these maps are averaged: temperature scaling, then ``l + b + v l +
    t h`` with ``h = -log(1 - exp(l))`` for the tempered log-probabilities l (vector), and ``l + b +
    W l`` (matrix), with ridge penalties of two and of three strengths; with more than 300 classes
    only one map ``l + b + v l`` whose strength is learned. The weights have the
    smallest leave-one-out log loss, with a prior that is worth three rows. Each row is left out by
    one Newton step from the fit to all rows, so nothing is fitted twice. The log odds of a change
    are the gain in the sum of the leave-one-out log losses, less the root of the effective number
    of parameters. No matrix is fitted with fewer than 20 rows per class or with more than 32
    classes; the matrix of the smallest strength needs 200 rows in all. With more than 300 classes
    there is no t.

    References
    ----------
    A. Beirami, M. Razaviyayn, S. Shahrampour, V. Tarokh (2017). On optimal generalizability in
    parametric learning. NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import AutoCalibrator
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random(20_000)
    >>> y = rng.random(20_000) < truth
    >>> cal = AutoCalibrator().fit(truth**2, y)  # the right map is the square root
    >>> cal.predict_proba([0.04, 0.25, 0.81])[:, 1].round(1)
    array([0.2, 0.5, 0.9])
    >>> calibrated = AutoCalibrator().fit(truth[:100], y[:100])
    >>> bool(calibrated.weights_[0] > 0.5)  # the scores are mostly kept
    True
    """

    name: ClassVar[str] = "auto"
    _state: ClassVar[dict[str, StateKind]] = {
        **SummedCalibrator._state,
        "parts_": "calibrators",
        "weights_": "vector",
        "losses_": "vector",
        "map_": "vector",
        "range_": "vector",
        "n_rows_": "float",
    }
    _traits: ClassVar[frozenset[str]] = frozenset({"monotone", "multiclass", "soft_labels"})
    _mixed: ClassVar[float] = _MIXED
    _beyond: ClassVar[float] = _BEYOND

    def __init__(
        self,
        *,
        monotone: bool = True,
        scale: Scale = "probability",
        eps: float | Literal["auto"] = "auto",
        classes: Any = None,
    ) -> None:
        super().__init__(scale=scale, eps=eps, classes=classes)
        self.monotone = monotone

    def _check_params(self) -> None:
        super()._check_params()
        check_flag("monotone", self.monotone)

    # -- the map ----------------------------------------------------------------------------

    def _learn_rows(self, rows: Rows) -> None:
        self.map_ = np.zeros(0)
        if rows.scores.n_classes == 2:
            super()._learn_rows(rows)
            return
        made = learn_classes(rows)
        self.parts_: list[Any] = []
        self.worth_, self.n_rows_ = made.worth, made.n_rows
        self.weights_, self.losses_ = made.weights, made.losses
        self.range_, self.map_ = np.array([made.low, 0.0]), made.packed()

    def _learn(self, cells: Cells) -> None:
        cells = coarse_cells(cells, MOST_CELLS)
        self.range_ = np.array([cells.low[0], cells.high[-1]])
        self.n_rows_ = float(cells.weight.sum())
        spline = SplineCalibrator(monotone=self.monotone, scale="logit", classes=self.classes)
        spline.worth_, spline.clip_ = self.worth_, self.clip_.copy()
        venn_abers = VennAbersCalibrator(scale="logit", classes=self.classes)
        for part in (spline, venn_abers):
            part.classes_ = self.classes_
            part._learn(cells)
        self.parts_, losses = [spline, venn_abers], spline.loss_.tolist()
        beta = self._beta(cells)
        if beta is not None:
            self.parts_.insert(1, beta)
            losses.append(_beta_loss(beta, cells))
        self.losses_ = np.array(losses)
        kept = float(expit(np.log([_PRIOR / self.n_rows_]) - spline.evidence_)[0])
        blend = np.array([_BLEND[type(part)] for part in self.parts_])
        self.weights_ = np.concatenate(([kept], (1.0 - kept) * blend / blend.sum()))

    def _beta(self, cells: Cells) -> BetaCalibrator | None:
        """Beta calibration, which has no prior, where there are rows enough of both classes."""
        events = float(cells.event.sum())
        rows = _rows_of(cells, self.classes_)
        if min(events, self.n_rows_ - events) < _FEW * (1.0 - 1e-9):
            return None
        if separation(rows.scores.values, rows.y) != 0:
            return None
        beta = BetaCalibrator(scale="logit", classes=self.classes)
        with silent():
            beta._fit_rows(rows)
        return beta

    def _predict(self, s: Scores) -> FloatArray:
        if s.n_classes > 2:
            return predict_classes(s, self._class_map())
        z = s.logits()
        low, high = self.range_
        out = self.weights_[0] * np.clip(z, low - _BEYOND, high + _BEYOND)
        z = np.clip(z, low, high)
        smooth: Any = self.parts_[:-1]
        for weight, part in zip(self.weights_[1:], smooth, strict=False):
            out += weight * part._log_odds(z)
        steps: Any = self.parts_[-1]
        x, p = steps._table()
        index = assign(z, x)
        out += (self.weights_[-1] * logit(p)).take(index)
        out = expit(np.clip(out, -LARGEST, LARGEST, out=out))
        out *= 1.0 - _MIXED
        out += (_MIXED * p).take(index)
        return out

    def _class_map(self) -> ClassMap:
        facts = self.range_[0], self.weights_, self.losses_, self.n_rows_, self.worth_
        return ClassMap.unpacked(self.map_, len(self.classes_), *facts)

    def summary(self) -> AutoSummary:
        """Return the weights of the parts, their leave-one-out losses, and the evidence.

        Returns
        -------
        summary : AutoSummary
            Prints as a table.

        Examples
        --------
        >>> import numpy as np
        >>> from calibkit import AutoCalibrator
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=1000)
        >>> y = rng.random(1000) < 1 / (1 + np.exp(-z))
        >>> summary = AutoCalibrator(scale="logit").fit(3 * z, y).summary()
        >>> summary.names
        ('identity', 'spline', 'beta', 'venn_abers')
        >>> summary.losses[1] < summary.losses[0]
        True
        """
        now = self._now()
        now._ensure_fitted()
        if len(now.classes_) > 2:
            made = now._class_map()
            return AutoSummary(
                names=FEW_NAMES if len(made.weights) == 3 else NAMES[: len(made.weights)],
                weights=tuple(made.weights.tolist()),
                losses=tuple(made.losses.tolist()),
                evidence=made.evidence,
                freedom=made.freedom,
                n_rows=made.n_rows,
                few_rows=made.n_rows < FEW * len(now.classes_) <= FEW * MOST_MATRIX,
            )
        spline: Any = now.parts_[0]
        missing = [None] * (len(now.weights_) - len(now.losses_))
        return AutoSummary(
            names=("identity", *[part.name for part in now.parts_]),
            weights=tuple(now.weights_.tolist()),
            losses=(*now.losses_.tolist(), *missing),
            evidence=spline.evidence_,
            freedom=spline.freedom_,
            n_rows=now.n_rows_,
            few_rows=len(now.parts_) == 2,
        )

    def _check_state(self) -> None:
        super()._check_state()
        if self.weights_.min() < 0 or abs(self.weights_.sum() - 1.0) > 1e-9:
            raise ValueError("weights_ holds negative numbers or does not sum to 1")
        if len(self.range_) != 2 or self.range_[0] > self.range_[1] or self.n_rows_ <= 0:
            raise ValueError("range_ is not in ascending order, or n_rows_ is not positive")
        if len(self.classes_) > 2:
            if self.parts_ or len(self.weights_) != len(self.losses_):
                raise ValueError("parts_ holds calibrators, or weights_ and losses_ differ")
            self._class_map().check()
            return
        if len(self.map_):
            raise ValueError("map_ holds the map of several classes")
        kinds = tuple(type(part) for part in self.parts_)
        if kinds not in (tuple(_BLEND), (SplineCalibrator, VennAbersCalibrator)):
            raise ValueError("parts_ is not a spline, beta calibration if any, and Venn-Abers")
        if any(part._input_scale() != "logit" for part in self.parts_):
            raise ValueError("parts_ holds calibrators of another scale than log-odds")
        if any(not np.array_equal(part.classes_, self.classes_) for part in self.parts_):
            raise ValueError("parts_ has other classes")
        if len(self.weights_) != len(kinds) + 1 or len(self.losses_) != len(kinds):
            raise ValueError("weights_ or losses_ is of another length than parts_")


def _rows_of(cells: Cells, classes: np.ndarray) -> Rows:
    """Cells as weighted rows, those of events first."""
    none = cells.weight - cells.event
    one, zero = cells.event > 0, none > 1e-12 * cells.weight
    y = np.repeat(np.array([1, 0], dtype=np.int8), (int(one.sum()), int(zero.sum())))
    x = np.concatenate((cells.x[one], cells.x[zero]))
    w = np.concatenate((cells.event[one], none[zero]))
    return Rows(Scores(x, "logit"), y, w, classes)


def _beta_loss(beta: BetaCalibrator, cells: Cells) -> float:
    """Leave-one-out log loss of beta calibration, whose zero coefficients stay zero."""
    eta = beta._log_odds(cells.x)
    q = expit(eta)
    upper, lower = -np.logaddexp(0.0, -cells.x), np.logaddexp(0.0, cells.x)
    columns = [np.ones_like(q)]
    columns += [c for c, k in ((upper, "a_"), (lower, "b_")) if getattr(beta, k) > 0]
    x = np.column_stack(columns)
    information = (x.T * (cells.weight * q * (1.0 - q))) @ x
    variance = np.einsum("ni,ij,nj->n", x, np.linalg.pinv(information), x)
    return leave_one_out(eta, np.maximum(variance, 0.0), cells)
