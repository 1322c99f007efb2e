"""Automatic calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import BaseCalibrator, StateKind
from .._core.inputs import Rows
from .._core.params import check_flag
from .._core.scores import Scores
from .._core.warnings import silent
from .._numerics.cells import Cells, coarse_cells
from .._numerics.links import expit, logit
from .._numerics.logistic import separation
from .._numerics.spline import leave_one_out
from .._typing import FloatArray, Scale
from ._beta import BetaCalibrator
from ._spline import LARGEST, MOST_CELLS, SplineCalibrator
from ._summed import SummedCalibrator
from ._venn_abers import VennAbersCalibrator

#: With so many rows or fewer "the scores are calibrated" has even prior odds; with more the odds
#: fall with the root of n, since the evidence against a change that isn't there grows with it.
_EVEN = 100.0
#: Weights of the spline, beta calibration and the Venn-Abers predictor.
_BLEND = (2.0, 1.0, 1.0)
#: With fewer events, or fewer non-events, the spline is all that is fitted.
_FEW = 10.0
#: Values of the score that the Venn-Abers predictor is fitted to.
_MOST_STEPS = 1024
#: How far beyond the log-odds of ``fit`` the identity goes on: half the odds.
_BEYOND = float(np.log(2.0))
#: Probabilities are kept this far from 0 and 1 before their log-odds are taken.
_TINY = float(expit(np.array([-LARGEST]))[0])
_PARTS: tuple[type[BaseCalibrator], ...] = (SplineCalibrator, BetaCalibrator, VennAbersCalibrator)


@dataclass(frozen=True)
class AutoSummary:
    """What :class:`AutoCalibrator` made its map of.

    Parameters
    ----------
    names : tuple of str
        The parts of the blend; "identity" is no calibration.
    weights : tuple of float
        Weights of the parts, which sum to 1.
    losses : tuple of float or None
        Mean leave-one-out log loss of each part in nats; None where there is no closed form.
    evidence : float
        Log of the evidence for a change of the scores over that for none.
    freedom : float
        Effective number of parameters of the spline.
    n_rows : float
        Number of independent rows that the rows of ``fit`` count as.
    few_rows : bool
        Whether there were so few rows that only the spline was fitted.

    Examples
    --------
    >>> from calibkit import AutoSummary
    >>> print(AutoSummary(("identity", "spline"), (0.9, 0.1), (0.6, 0.61), -2.2, 1.1, 30.0, True))
    part        weight  leave-one-out log loss
    identity     0.900  0.6000
    spline       0.100  0.6100
    log evidence for a change: -2.2; effective parameters of the spline: 1.1; independent rows: 30
    Few rows of one class: only the spline was fitted.
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
        lines.append(
            f"log evidence for a change: {self.evidence:.1f}; effective parameters of the spline: "
            f"{self.freedom:.1f}; independent rows: {self.n_rows:.0f}"
        )
        if self.few_rows:
            lines.append("Few rows of one class: only the spline was fitted.")
        return "\n".join(lines)


class AutoCalibrator(SummedCalibrator):
    """Automatic calibration: a blend of four maps, weighted by what the rows show.

    Use it when you don't want to choose a calibrator. It averages a spline, beta calibration and
    the Venn-Abers predictor, and keeps the scores as they are as far as the rows don't show that
    they are miscalibrated. So it does little harm to calibrated scores, also with 100 rows.

    Parameters
    ----------
    monotone : bool, default=True
        Whether a higher score never gets a lower probability. False leaves the spline free to
        fall; the other parts are monotone.
    scale : {"probability", "logit"}, default="probability"
        What the scores are.
    eps : float or "auto", default="auto"
        Distance from 0 and 1 at which probabilities are clipped before the logarithm is taken.
        "auto" learns it from the scores: half the distance of the outermost score that is not 0
        or 1 itself.
    classes : array-like, optional
        The two class labels in sorted order.

    Attributes
    ----------
    parts_ : list of BaseCalibrator
        The fitted spline, beta calibration and Venn-Abers predictor, which take log-odds; with
        few rows the spline alone.
    weights_ : ndarray
        Weights of no calibration and of each of ``parts_``; they sum to 1.
    losses_ : ndarray
        Mean leave-one-out log losses, in nats, of no calibration, the spline and beta calibration.
    range_ : ndarray of shape (2,)
        Smallest and largest log-odds of ``fit``. The parts are constant beyond them.
    n_rows_ : float
        Number of independent rows that the rows of ``fit`` count as.
    worth_ : float
        Number of independent rows that one row counts as; below 1 for dependent rows of groups.
    clip_ : ndarray of shape (2,)
        Distances from 0 and from 1 at which probabilities are clipped.
    classes_ : ndarray of shape (2,)
        Class labels.

    Raises
    ------
    ValueError
        In ``fit``: bad data, or one class only.

    Notes
    -----
    The log-odds of the spline, beta calibration and the Venn-Abers predictor (its probability for
    the log loss) are averaged with the weights 2, 1 and 1. The result and the log-odds of the
    scores are averaged with the posterior probabilities of "the scores need a change" and "the
    scores are calibrated". The prior odds of the latter are ``min(1, sqrt(100 / n))``; the
    evidence for the former is that of :class:`SplineCalibrator`.

    With fewer than 10 rows of one class, or scores that separate the classes, only the spline is
    fitted, which has a prior. Rows of groups count as what they are worth in all parts: their
    design effect divides the likelihood.

    After the sort the time does not grow with n, since all parts are fitted to at most 1,024
    weighted values of the log-odds. There is no randomness.

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
    >>> calibrated = AutoCalibrator().fit(truth[:300], y[:300])
    >>> bool(calibrated.weights_[0] > 0.5)  # the scores are mostly kept
    True
    """

    name: ClassVar[str] = "auto"
    _state: ClassVar[dict[str, StateKind]] = {
        **SummedCalibrator._state,
        "parts_": "calibrators",
        "weights_": "vector",
        "losses_": "vector",
        "range_": "vector",
        "n_rows_": "float",
    }
    _traits: ClassVar[frozenset[str]] = frozenset({"monotone", "soft_labels"})

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

    def _learn(self, cells: Cells) -> None:
        few = coarse_cells(cells, MOST_CELLS)
        self.range_ = np.array([cells.low[0], cells.high[-1]])
        self.n_rows_ = float(cells.weight.sum())
        spline = self._spline(few)
        self.parts_, losses = [spline], spline.loss_.tolist()
        rarer = min(float(cells.event.sum()), self.n_rows_ - float(cells.event.sum()))
        rows = _rows_of(few, self.classes_)
        if rarer >= _FEW * (1.0 - 1e-9) and separation(rows.scores.values, rows.y) == 0:
            with silent():
                beta = BetaCalibrator(scale="logit", classes=self.classes)._fit_rows(rows)
            self.parts_ += [beta, self._venn_abers(coarse_cells(cells, _MOST_STEPS))]
            losses.append(_beta_loss(beta, few))
        self.losses_ = np.array(losses)
        kept = _kept(spline.evidence_, self.n_rows_)
        blend = np.array(_BLEND[: len(self.parts_)])
        self.weights_ = np.concatenate(([kept], (1.0 - kept) * blend / blend.sum()))

    def _spline(self, cells: Cells) -> SplineCalibrator:
        spline = SplineCalibrator(monotone=self.monotone, scale="logit", classes=self.classes)
        spline.classes_, spline.worth_, spline.clip_ = self.classes_, self.worth_, self.clip_.copy()
        spline._learn(cells)
        return spline

    def _venn_abers(self, cells: Cells) -> VennAbersCalibrator:
        part = VennAbersCalibrator(scale="logit", classes=self.classes)
        part.classes_ = self.classes_
        part._learn(cells)
        return part

    def _predict(self, s: Scores) -> FloatArray:
        z = s.logits()
        low, high = self.range_
        out = self.weights_[0] * np.clip(z, low - _BEYOND, high + _BEYOND)
        inside = Scores(np.clip(z, low, high), "logit")
        for weight, part in zip(self.weights_[1:], self.parts_, strict=True):
            if isinstance(part, SplineCalibrator):
                out += weight * part._log_odds(inside.values)
            else:
                out += weight * logit(np.clip(part._calibrate(inside), _TINY, 1.0 - _TINY))
        return expit(np.clip(out, -LARGEST, LARGEST, out=out))

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
        spline: Any = now.parts_[0]
        missing = [None] * (len(now.weights_) - len(now.losses_))
        return AutoSummary(
            names=("identity", *[part.name for part in now.parts_]),
            weights=tuple(now.weights_.tolist()),
            losses=(*now.losses_.tolist(), *missing),
            evidence=spline.evidence_,
            freedom=spline.freedom_,
            n_rows=now.n_rows_,
            few_rows=len(now.parts_) == 1,
        )

    def _check_state(self) -> None:
        super()._check_state()
        kinds = tuple(type(part) for part in self.parts_)
        if kinds not in (_PARTS[:1], _PARTS):
            raise ValueError("parts_ holds other calibrators than a spline, beta and Venn-Abers")
        if any(part._input_scale() != "logit" for part in self.parts_):
            raise ValueError("parts_ holds calibrators of another scale than log-odds")
        if any(not np.array_equal(part.classes_, self.classes_) for part in self.parts_):
            raise ValueError("parts_ has other classes")
        if len(self.weights_) != len(kinds) + 1 or len(self.losses_) != min(len(kinds) + 1, 3):
            raise ValueError("weights_ or losses_ is of another length than parts_")
        if self.weights_.min() < 0 or abs(self.weights_.sum() - 1.0) > 1e-9:
            raise ValueError("weights_ holds negative numbers or does not sum to 1")
        if len(self.range_) != 2 or self.range_[0] > self.range_[1] or self.n_rows_ <= 0:
            raise ValueError("range_ is not in ascending order, or n_rows_ is not positive")


def _kept(evidence: float, n: float) -> float:
    """Posterior probability that the scores are calibrated as they are."""
    odds = 0.5 * np.log(min(1.0, _EVEN / n)) - evidence
    return float(expit(np.array([odds]))[0])


def _rows_of(cells: Cells, classes: np.ndarray) -> Rows:
    """Cells as weighted rows, those of events first."""
    none = cells.weight - cells.event
    one, zero = cells.event > 0, none > 1e-12 * cells.weight
    y = np.repeat(np.array([1, 0], dtype=np.int8), (int(one.sum()), int(zero.sum())))
    x = np.concatenate((cells.x[one], cells.x[zero]))
    w = np.concatenate((cells.event[one], none[zero]))
    return Rows(Scores(x, "logit"), y, w, classes)


def _beta_loss(beta: BaseCalibrator, cells: Cells) -> float:
    """Leave-one-out log loss of beta calibration, whose zero coefficients stay zero."""
    q = beta._calibrate(Scores(cells.x, "logit"))
    upper, lower = -np.logaddexp(0.0, -cells.x), np.logaddexp(0.0, cells.x)
    columns = [np.ones_like(q)]
    columns += [c for c, k in ((upper, "a_"), (lower, "b_")) if getattr(beta, k) > 0]
    x = np.column_stack(columns)
    information = (x.T * (cells.weight * q * (1.0 - q))) @ x
    variance = np.einsum("ni,ij,nj->n", x, np.linalg.pinv(information), x)
    eta = logit(np.clip(q, _TINY, 1.0 - _TINY))
    return leave_one_out(eta, np.maximum(variance, 0.0), cells)
