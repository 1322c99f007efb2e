"""Binary calibrators extended to K classes: one class at a time, or the predicted class only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone

from .._core.base import BaseCalibrator, StateKind
from .._core.certification import Certificate, Settings, certify_classes, certify_rows
from .._core.errors import InputError, InputTypeError
from .._core.inputs import Rows
from .._core.labels import validate_classes
from .._core.params import check_flag, check_int, refuse_class, with_hints
from .._core.printed import few, spelled
from .._core.saved import check_held
from .._core.scores import Scores
from .._core.warnings import MissingClassWarning, counted, warn
from .._numerics.weights import row_count
from .._typing import FloatArray, IntArray, Scale

_BINARY = np.array([0, 1])
#: What the certificate of one class at a time is about.
_CLASSWISE = (
    "These are the probabilities of predict_classwise, before rows are rescaled to sum to one."
)


class _Lift(BaseCalibrator):
    """Base of calibrators of K classes made of binary ones; ``None`` means the identity."""

    _state: ClassVar[dict[str, StateKind]] = {"first_": "whole", "calibrators_": "calibrators"}
    _traits: ClassVar[frozenset[str]] = frozenset({"multiclass", "lift"})
    _params_since: ClassVar[dict[str, Any]] = {"first": None}

    @with_hints
    def __init__(
        self,
        calibrator: BaseCalibrator,
        *,
        first: BaseCalibrator | None = None,
        classes: Any = None,
    ) -> None:
        self.calibrator = calibrator
        self.first = first
        self.classes = classes

    def _state_of_earlier_files(self) -> dict[str, Any]:
        return {"first_": None}

    def _check_params(self) -> None:
        name, inner = type(self).__name__, self.calibrator
        refuse_class("calibrator", inner)
        if not isinstance(inner, BaseCalibrator):
            raise InputTypeError(
                f"calibrator={spelled(inner)}; expected an instance of a binary calibrator, for "
                f"instance {name}(PlattCalibrator())."
            )
        if "lift" in inner._traits:
            raise InputTypeError(
                f"calibrator={spelled(inner)} is for K classes already; expected a binary one."
            )
        inner._check_params()
        self._check_first()
        if self.classes is not None:
            validate_classes(self.classes)

    def _check_first(self) -> None:
        first, inner = self.first, self.calibrator
        refuse_class("first", first)
        if first is None:
            return
        if not isinstance(first, BaseCalibrator) or not _may_come_first(first):
            raise InputTypeError(
                f"first={spelled(first)}; expected an instance of a calibrator for K classes, for "
                "instance TemperatureCalibrator(), or None."
            )
        if inner._input_scale() != "probability":
            raise InputError(
                f"calibrator={spelled(inner)} takes log-odds, but first={spelled(first)} returns "
                "probabilities; expected scale='probability'. Set scale='logit' in first only."
            )
        first._check_params()

    def _set_scale(self, scale: Scale) -> BaseCalibrator:
        self._check_params()
        (self.calibrator if self.first is None else self.first)._set_scale(scale)
        return self

    def _input_scale(self) -> Scale:
        return (self.calibrator if self.first is None else self.first)._input_scale()

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        self._learn_rows(Rows(s, y, w, self.classes_))

    def _learn_rows(self, rows: Rows) -> None:
        self.first_ = None if self.first is None else clone(self.first)._fit_rows(rows)
        self._lift(rows._replace(scores=self._prepared(rows.scores)))

    def _lift(self, rows: Rows) -> None:
        """Fit the binary calibrators to the output of ``first_``."""
        raise TypeError(f"{type(self).__name__} must define _lift(rows).")

    def _prepared(self, s: Scores) -> Scores:
        """The scores, or the output of ``first_`` for them."""
        return s if self.first_ is None else Scores(self.first_._calibrate(s), "probability")

    def _fit_binary(self, rows: Rows) -> BaseCalibrator | None:
        """A fitted clone, or None if all labels are equal."""
        present = rows.y.any(), not rows.y.all()
        if not all(present):
            return None
        return clone(self.calibrator)._fit_rows(rows._replace(classes=_BINARY))

    def _check_state(self) -> None:
        if (self.first_ is None) != (self.first is None):
            raise ValueError("first_ does not fit to first")
        if self.first is not None and self.first_ is not None:
            check_held("first_", self.first_, self.first, self.classes_)
        for held in self.calibrators_:
            if held is not None:
                check_held("calibrators_", held, self.calibrator, _BINARY)

    @staticmethod
    def _apply(calibrator: BaseCalibrator | None, s: Scores) -> FloatArray:
        return s.probs() if calibrator is None else calibrator._calibrate(s)


class OneVsRestCalibrator(_Lift):
    """Extend a binary calibrator to K classes, one class at a time.

    Each class is calibrated against all others; then the rows are rescaled to sum to one. Use it if
    the probability of every class matters and each class has 100 rows or more. With many classes or
    few rows use :class:`TemperatureCalibrator`.

    Parameters
    ----------
    calibrator : BaseCalibrator
        Any binary calibrator; it is cloned for each class. Set its ``scale`` to that of the scores.
    first : BaseCalibrator, optional
        A calibrator for K classes that is fitted first, to the same rows; ``calibrator`` then
        calibrates its probabilities. Use it to certify a good map of K classes: see
        :class:`ScalingBinningCalibrator`. Set the ``scale`` of the scores in ``first`` only.
    classes : array-like, optional
        All class labels in sorted order; needed if some classes have no rows in ``fit``.

    Attributes
    ----------
    first_ : BaseCalibrator or None
        The fitted calibrator that comes first.
    calibrators_ : list
        The fitted calibrator of each class; None for a class without rows. For two classes it
        holds one calibrator.
    classes_ : ndarray of shape (n_classes,)
        Class labels; columns of ``predict_proba`` follow them.
    classes_without_data_ : ndarray
        Labels of classes that have no rows in ``fit``; their probabilities are not calibrated.

    Raises
    ------
    ValueError
        In ``fit``: invalid data.
    TypeError
        In ``fit``: ``calibrator`` is not a binary calibrator, or ``first`` is none of K classes.

    Notes
    -----
    A row whose calibrated probabilities are all zero keeps its uncalibrated ones. Rescaling the
    rows changes the calibration of each class a little; :meth:`predict_classwise` returns the
    probabilities before this step.

    References
    ----------
    B. Zadrozny, C. Elkan (2002). Transforming classifier scores into accurate multiclass
    probability estimates. KDD.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import OneVsRestCalibrator, PlattCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.dirichlet([1, 1, 1], size=500)
    >>> y = np.array([rng.choice(["a", "b", "c"], p=row) for row in p])
    >>> cal = OneVsRestCalibrator(PlattCalibrator()).fit(p, y)
    >>> cal.predict_proba(p)[:2].sum(axis=1)
    array([1., 1.])
    """

    name: ClassVar[str] = "one_vs_rest"
    _without_rows: ClassVar[str] = "their probabilities are not calibrated"

    @property
    def classes_without_data_(self) -> np.ndarray:
        """Labels of classes that have no rows in ``fit``."""
        return self.classes_[[c is None for c in self._per_class()]]

    def _per_class(self) -> list[BaseCalibrator | None]:
        # Two classes share one map.
        return self.calibrators_ * 2 if len(self.classes_) == 2 else self.calibrators_

    def _lift(self, rows: Rows) -> None:
        if rows.scores.n_classes == 2:
            self.calibrators_ = [self._fit_binary(rows)]
            return
        with counted("classes"):
            self.calibrators_ = [
                self._fit_binary(rows._replace(scores=one, y=(rows.y == k).view(np.int8)))
                for k, one in enumerate(rows.scores.one_vs_rest())
            ]

    def predict_classwise(self, X: Any) -> FloatArray:
        """Return the calibrated probability of each class, before rows are rescaled to sum to one.

        Use it if you look at single classes: here each class is calibrated, and binning
        calibrators keep the values of their bins, which can be certified.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores on the scale that was used in ``fit``.

        Returns
        -------
        classwise : ndarray of shape (n, n_classes)
            Probabilities in [0, 1]; rows do not sum to one.
        """
        s = self._validate_scores(X)
        return self._predict_scores(s) if s.n_classes == 2 else self._classwise(self._prepared(s))

    def _classwise(self, s: Scores) -> FloatArray:
        """Output of each class's calibrator for prepared scores."""
        parts = zip(self.calibrators_, s.one_vs_rest(), strict=True)
        return np.column_stack([self._apply(c, one) for c, one in parts])

    def _predict(self, s: Scores) -> FloatArray:
        s = self._prepared(s)
        if s.n_classes == 2:
            return self._apply(self.calibrators_[0], s)
        q = self._classwise(s)
        total = q.sum(axis=1, keepdims=True)
        if (total == 0).any():
            lost = total[:, 0] == 0
            q[lost] = s[lost].probs()
            total[lost] = 1.0
        q /= total
        return q

    def _certify(self, s: Scores, codes: IntArray, settings: Settings) -> Certificate:
        # Each class by itself: rows divided by their sums have infinitely many outputs.
        if s.n_classes == 2:
            return super()._certify(s, codes, settings)
        q = self._classwise(self._prepared(s))
        columns = [(q[:, k], (codes == k).view(np.int8)) for k in range(s.n_classes)]
        bounds = certify_classes(columns, settings, _outputs_of(self.calibrators_))
        return replace(bounds, note=_CLASSWISE)

    def _n_outputs(self) -> int | None:
        return _outputs_of(self.calibrators_)[0] if len(self.classes_) == 2 else None

    def _check_state(self) -> None:
        super()._check_state()
        k = len(self.classes_)
        if len(self.calibrators_) != (1 if k == 2 else k):
            raise ValueError(f"{len(self.calibrators_)} calibrators for {k} classes")


class TopLabelCalibrator(_Lift):
    """Extend a binary calibrator to K classes: calibrate the confidence in the predicted class.

    Use it if you need only the predicted class and its confidence, the probability that the
    prediction is correct. One binary calibrator is fitted on all rows, so few rows are enough even
    for many classes. With ``by_class=True`` each predicted class has its own calibrator: then a
    confidence of 0.9 is calibrated within each predicted class. This takes some hundred rows of
    each predicted class.

    Parameters
    ----------
    calibrator : BaseCalibrator
        Any binary calibrator. Set its ``scale`` to that of the scores.
    first : BaseCalibrator, optional
        A calibrator for K classes that is fitted first, to the same rows; ``calibrator`` then
        calibrates its probabilities. Use it to certify a good map of K classes: see
        :class:`ScalingBinningCalibrator`. Set the ``scale`` of the scores in ``first`` only.
    by_class : bool, default=False
        Whether to fit a calibrator for each predicted class. Classes that are predicted on fewer
        than ``min_rows`` rows, or whose predictions are all correct or all wrong, share one
        calibrator fitted on all rows.
    min_rows : int, default=50
        Smallest number of rows for the calibrator of a class; weights count as rows.
    classes : array-like, optional
        All class labels in sorted order; needed if some classes have no rows in ``fit``.

    Attributes
    ----------
    first_ : BaseCalibrator or None
        The fitted calibrator that comes first.
    calibrators_ : list
        The fitted calibrator of the confidence; None if all predictions were correct or all wrong.
        With ``by_class``: the shared one (None if no class needs it), then one for each class (None
        if the class uses the shared one).
    classes_ : ndarray of shape (n_classes,)
        Class labels; columns of ``predict_proba`` follow them.

    Raises
    ------
    ValueError
        In ``fit``: invalid data.
    TypeError
        In ``fit``: ``calibrator`` is not a binary calibrator, or ``first`` is none of K classes.

    Notes
    -----
    ``predict_proba`` returns the calibrated confidence for the predicted class, and divides the
    rest among the other classes in their old proportions. If another class then has the largest
    probability, ``predict`` returns that class; :meth:`predict_confidence` always refers to the
    class with the largest score.

    By default, calibration is conditional on the confidence alone, not on the predicted class.
    Kumar, Liang and Ma (2019) call this top-label calibration; Gupta and Ramdas (2022) call it
    confidence calibration, and use "top-label calibration" for ``by_class=True``. Their histogram
    binning, with n_l // 50 bins for a class predicted on n_l rows, is
    ``HistogramBinningCalibrator(points_per_bin=50, smoothing=0)`` with ``min_rows=50``; each of
    ``calibrators_`` can then be certified by ``certify_bins``.

    References
    ----------
    A. Kumar, P. Liang, T. Ma (2019). Verified uncertainty calibration. NeurIPS, definition of
    the top-label calibration error. --- C. Gupta, A. Ramdas (2022). Top-label calibration and
    multiclass-to-binary reductions. ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import IsotonicCalibrator, TopLabelCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.dirichlet([1, 1, 1], size=500)
    >>> y = np.array([rng.choice(3, p=row) for row in p])
    >>> TopLabelCalibrator(IsotonicCalibrator()).fit(p, y).predict_confidence(p).shape
    (500,)
    """

    name: ClassVar[str] = "top_label"

    @with_hints
    def __init__(
        self,
        calibrator: BaseCalibrator,
        *,
        first: BaseCalibrator | None = None,
        by_class: bool = False,
        min_rows: int = 50,
        classes: Any = None,
    ) -> None:
        super().__init__(calibrator, first=first, classes=classes)
        self.by_class = by_class
        self.min_rows = min_rows

    def _check_params(self) -> None:
        super()._check_params()
        check_flag("by_class", self.by_class)
        check_int("min_rows", self.min_rows, low=1)

    def _lift(self, rows: Rows) -> None:
        confidence, winners = rows.scores.top()
        correct = (winners == rows.y).view(np.int8)
        rows = rows._replace(scores=confidence, y=correct)
        with counted("classes"):
            own = self._fit_each(rows, winners) if self.by_class else []
        alone = [k for k, c in enumerate(own) if c is None]
        shared = bool(alone) or not own
        pooled = self._fit_binary(rows) if shared else None
        self.calibrators_ = [pooled, *own]
        if shared and pooled is None:
            how = "always" if correct[0] else "never"
            warn(
                f"the predicted class is {how} correct in these rows, so the confidence is not "
                "calibrated. Use more rows.",
                MissingClassWarning,
            )
        elif alone:
            warn(
                f"{len(alone)} of {len(own)} classes (labels: {few(self.classes_[alone])}) are "
                f"predicted on fewer than min_rows={self.min_rows} rows, or their predictions are "
                "all correct or all wrong; they share one calibrator fitted on all rows.",
                MissingClassWarning,
            )

    def _fit_each(self, rows: Rows, winners: IntArray) -> list[BaseCalibrator | None]:
        """A calibrator for each class, from the rows where it is predicted; None if too few."""
        out: list[BaseCalibrator | None] = []
        for at in _rows_of(winners, len(self.classes_)):
            own = rows.take(at)
            enough = len(at) > 0 and row_count(own.w, len(at)) >= self.min_rows
            out.append(self._fit_binary(own) if enough else None)
        return out

    def _confidence(self, s: Scores) -> tuple[FloatArray, IntArray]:
        """Calibrated confidence of each row of prepared scores, and the class it refers to."""
        confidence, winners = s.top()
        pooled, own = self.calibrators_[0], self.calibrators_[1:]
        if not own:
            return self._apply(pooled, confidence), winners
        q = np.empty(len(winners))
        for calibrator, rows in zip(own, _rows_of(winners, len(own)), strict=True):
            if len(rows):
                q[rows] = self._apply(
                    pooled if calibrator is None else calibrator, confidence[rows]
                )
        return q, winners

    def predict_confidence(self, X: Any) -> FloatArray:
        """Return the calibrated probability that the class with the largest score is correct.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores on the scale that was used in ``fit``.

        Returns
        -------
        confidence : ndarray of shape (n,)
            Probabilities in [0, 1].
        """
        return self._confidence(self._prepared(self._validate_scores(X)))[0]

    def _predict(self, s: Scores) -> FloatArray:
        s = self._prepared(s)
        q, winners = self._confidence(s)
        out = s.columns().probs()
        index = np.arange(len(out)), winners
        out[index] = 0.0
        rest = out.sum(axis=1, keepdims=True)
        # If all other classes have probability 0, they get equal shares.
        even = 1.0 / (out.shape[1] - 1)
        np.divide(out, rest, out=out, where=rest > 0)
        out[np.broadcast_to(rest == 0, out.shape)] = even
        out *= (1.0 - q)[:, None]
        out[index] = q
        return out

    def _certify(self, s: Scores, codes: IntArray, settings: Settings) -> Certificate:
        # The confidence itself: the largest output of predict_proba may be of another class.
        q, winners = self._confidence(self._prepared(s))
        known = _outputs_of([c for c in self.calibrators_ if c is not None])
        if known and None not in known and settings.finite is None:
            settings = settings._replace(finite=True)
        n_outputs = None if None in known or not known or self.by_class else known[0]
        right = (winners == codes).view(np.int8)
        return certify_rows(q, right, settings, n_outputs, "top_label")

    def _check_state(self) -> None:
        super()._check_state()
        expected = len(self.classes_) + 1 if self.by_class else 1
        if len(self.calibrators_) != expected:
            raise ValueError(f"{len(self.calibrators_)} calibrators; expected {expected}")


def _may_come_first(calibrator: BaseCalibrator) -> bool:
    traits = calibrator._traits
    return "multiclass" in traits and not {"lift", "online"} & traits


def _outputs_of(calibrators: Sequence[BaseCalibrator | None]) -> list[int | None]:
    """How many outputs each calibrator can have; None if there are infinitely many."""
    return [None if c is None else c._n_outputs() for c in calibrators]


def _rows_of(winners: IntArray, n_classes: int) -> list[IntArray]:
    """Indices of the rows where each class is predicted."""
    # 16-bit integers are sorted by radix, in linear time.
    short = winners.astype(np.int16) if n_classes < 1 << 15 else winners
    order = np.argsort(short, kind="stable")
    return np.split(order, np.cumsum(np.bincount(winners, minlength=n_classes))[:-1])
