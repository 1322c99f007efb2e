"""An alarm on miscalibration whose false-alarm probability is valid at any time."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from copy import copy
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._core.errors import InputError, message_of
from .._core.labels import is_missing
from .._core.params import check_real
from .._core.printed import few, spelled
from .._core.provenance import Traced
from .._core.saved import check_keys, check_sound, short, vector
from .._numerics import betting
from .._numerics.binning import assign
from .._numerics.links import logit
from .._typing import FloatArray
from ._stream_labels import known_classes, validate_stream

#: Scores are clipped to [_EPS, 1 - _EPS] for bets on the log-odds.
_EPS = 1e-5
#: Largest clipped log-odds.
_WIDEST = math.log(1.0 / _EPS)


class _State(NamedTuple):
    """Wealth and state of the bettors. Lists, so that single rows need no arrays."""

    weights: list[float]
    maps: list[list[float]]
    gaps: list[list[float]]
    clock: list[float]

    @classmethod
    def of(cls, arrays: Iterable[FloatArray]) -> _State:
        return cls(*(a.tolist() for a in arrays))

    def copied(self) -> _State:
        maps, gaps = ([row.copy() for row in rows] for rows in (self.maps, self.gaps))
        return _State(self.weights.copy(), maps, gaps, self.clock.copy())


def _fresh() -> tuple[FloatArray, ...]:
    """Return the state before any label."""
    return betting.first_weights(), betting.first_maps(), betting.first_gaps(), np.zeros(2)


class CalibrationAlarm(Traced):
    """Raise an alarm when forecasts are miscalibrated, with a bounded false-alarm probability.

    Use it on a stream that is checked again and again. If the forecasts are calibrated, the
    probability that it ever raises an alarm is at most ``alpha``, however long it runs. A test that
    is repeated on a sliding window would raise a false alarm sooner or later.

    Call :meth:`update` with labels and with the forecasts that were made before them, for single
    rows or for batches. An online method is miscalibrated at first, and this raises an alarm: skip
    its first 1,000 rows. Late labels need care, see Notes.

    Parameters
    ----------
    alpha : float, default=0.05
        False-alarm probability, over the whole stream.
    tolerance : float, default=0.0
        Error of the log-odds that is tolerated. No model is perfectly calibrated: with 0, the alarm
        detects even unimportant errors once there are enough labels.
    classes : array-like, optional
        The two class labels in sorted order. Default: those of the first labels.

    Attributes
    ----------
    alarm_ : bool
        Whether an alarm was raised.
    alarm_time_ : int or None
        Number of labels when it was raised.
    e_value_ : float
        Evidence against calibration so far: the wealth of a bettor who started with 1.
    log_e_value_ : float
        Its logarithm, which does not overflow.
    n_seen_ : int
        Number of labels so far.
    classes_ : ndarray of shape (2,) or None
        Class labels; None before the first label.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    The null hypothesis is that ``E[y_t | past, p_t] = p_t`` for all t. The past is all rows passed
    before, with their labels. The order of rows must not depend on labels that are passed later. If
    labels are late, some forecasts are made before earlier labels are known, but must be calibrated
    given these labels too. Therefore give forecasts that wait at the same time to different alarms.

    Before each label the bettor chooses a probability r. Its wealth is multiplied by ``r / p`` if
    ``y = 1`` and by ``(1 - r) / (1 - p)`` if ``y = 0``. Under the null hypothesis the mean of this
    factor is ``p * r / p + (1 - p) * (1 - r) / (1 - p) = 1`` for every r. So the wealth e_t is a
    martingale that starts at 1 (a supermartingale if p may be 0 or 1), and by Ville's inequality
    ``P(e_t >= 1 / alpha for some t) <= alpha``. This is exact for any number of labels and for any
    source of the scores, which may depend on the past and even on the alarm. ``min(1, 1 / max e)``
    is a p-value at any time.

    The wealth is a mixture: cash (r = p), ten fixed shifts and slopes of the log-odds, three online
    Platt maps, and three sets of shifts by bins of p, with different forgetting rates. A quarter is
    bet at once. Cash decreases like ``1 / (1 + log(1 + t / 300))``; about
    ``1 / (t * log(t)**2)`` of the total is bet after label t. Hence e_t never falls below
    ``0.75 / (1 + log(1 + t / 300))``. If a bet gains k nats per label from t on, the alarm is
    raised about ``(log(1 / alpha) + log(t) + 2 log log(t) + 3) / k`` labels later. For example,
    after 10^5 calibrated forecasts a shift of the log-odds by 1 is found within a few hundred
    labels.

    With ``tolerance`` the null hypothesis is that the true log-odds differ from those of p by at
    most the tolerance. A bet on an r above (below) the range that this allows is paid at the odds
    of its upper (lower) end; inside the range there is no bet. The mean of the factor is then at
    most 1.

    If a forecast is exactly 0 or 1 and wrong, the e-value becomes infinite: the null hypothesis is
    refuted. If it is right, nothing changes. ``TrackingCalibrator(smoothing=0)`` makes such
    forecasts; the default does not. For forecasts of other models, pass
    ``np.clip(p, 0.001, 0.999)``.

    Any number of threads may read an alarm while one thread updates it. Memory is constant. 10^6
    labels take about 7 s, or .2 s with Numba; one by one, 12 s.

    References
    ----------
    A. Henzi, J. Ziegel (2022). Valid sequential inference on probability forecast performance.
    Biometrika 109(3).
    S. Arnold, A. Henzi, J. Ziegel (2023). Sequentially valid tests for forecast calibration.
    Annals of Applied Statistics 17(3).
    J. Ville (1939). Étude critique de la notion de collectif. Gauthier-Villars.
    M. Herbster, M. Warmuth (1998). Tracking the best expert. Machine Learning 32.

    Examples
    --------
    The base rate rises after 5000 labels.

    >>> import numpy as np
    >>> from calibkit import CalibrationAlarm
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=10_000)
    >>> drift = np.where(np.arange(10_000) < 5000, 0.0, 1.0)
    >>> y = rng.random(10_000) < 1 / (1 + np.exp(-z - drift))
    >>> alarm = CalibrationAlarm(alpha=0.01)
    >>> _ = alarm.update(y, 1 / (1 + np.exp(-z)))
    >>> alarm.alarm_, alarm.alarm_time_
    (True, 5186)
    """

    name: ClassVar[str] = "calibration_alarm"
    _keys = ("alpha", "tolerance", "classes", "alarm_time", "refuted", "state")

    def __init__(self, alpha: float = 0.05, *, tolerance: float = 0.0, classes: Any = None) -> None:
        check_real("alpha", alpha, low=0.0, high=1.0, open_low=True, open_high=True)
        check_real("tolerance", tolerance, low=0.0, high=betting.LIMIT)
        self.alpha = float(alpha)
        self.tolerance = float(tolerance)
        self.classes_: np.ndarray | None = known_classes(classes)
        if self.classes_ is not None and len(self.classes_) > 2:
            raise InputError(f"classes={spelled(classes)}; expected two class labels.")
        self._declared = self.classes_
        self._start()

    # -- results ------------------------------------------------------------------------------

    @property
    def alarm_(self) -> bool:
        """Return whether an alarm was raised."""
        return self.alarm_time_ is not None

    @property
    def log_e_value_(self) -> float:
        """Return the logarithm of the e-value."""
        return math.inf if self._refuted else self._state.clock[0]

    @property
    def e_value_(self) -> float:
        """Return the evidence against calibration, infinite if it is too large for a float."""
        log_e = self.log_e_value_
        return math.exp(log_e) if log_e < math.log(sys.float_info.max) else math.inf

    @property
    def n_seen_(self) -> int:
        """Return the number of labels so far."""
        return int(self._state.clock[1])

    def __repr__(self) -> str:
        now = self._snapshot()
        alarm = f", alarm at label {now.alarm_time_}" if now.alarm_ else ""
        return f"<CalibrationAlarm: e-value {now.e_value_:.3g} after {now.n_seen_} labels{alarm}>"

    # -- public methods ---------------------------------------------------------------------

    def update(self, y: Any, p: Any) -> float:
        """Add rows in time order, or a single row.

        Parameters
        ----------
        y : label or array-like of shape (n,)
            Labels; None or NaN is skipped.
        p : float, or array-like of shape (n,) or (n, 2)
            The forecasts that were made before these labels: probabilities of the larger class.

        Returns
        -------
        e_value : float
            The e-value after these rows, as ``e_value_``.

        Raises
        ------
        ValueError
            If the data are invalid; the alarm does not change.

        Examples
        --------
        >>> from calibkit import CalibrationAlarm
        >>> alarm = CalibrationAlarm()
        >>> for _ in range(30):
        ...     e_value = alarm.update(1, 0.3)
        >>> alarm.alarm_
        True
        """
        new = self._snapshot()
        if isinstance(p, Real) and not isinstance(p, bool) and np.ndim(y) == 0:
            new._take_one(y, p)
        else:
            new._take(y, p)
        self.__dict__ = new.__dict__
        return self.e_value_

    def trace(self, y: Any, p: Any) -> FloatArray:
        """Add rows as :meth:`update` does, and return the evidence after each row.

        Parameters
        ----------
        y : array-like of shape (n,)
            Labels; None or NaN is skipped.
        p : array-like of shape (n,) or (n, 2)
            Forecasts.

        Returns
        -------
        log_e_values : ndarray of shape (n,)
            Logarithm of the e-value after each row.

        Raises
        ------
        ValueError
            If the data are invalid; the alarm does not change.

        Examples
        --------
        >>> from calibkit import CalibrationAlarm
        >>> CalibrationAlarm().trace([1, None, 1], [0.1, 0.1, 0.1]).round(2)
        array([0.01, 0.01, 0.14])
        """
        new = self._snapshot()
        log_e = new._take(y, p)
        self.__dict__ = new.__dict__
        return log_e

    def reset(self) -> CalibrationAlarm:
        """Forget all rows, for instance after the model was retrained; the parameters stay.

        Returns
        -------
        self : CalibrationAlarm
            The same alarm, as new.

        Examples
        --------
        >>> from calibkit import CalibrationAlarm
        >>> alarm = CalibrationAlarm()
        >>> _ = alarm.update([0, 1], [0.0, 0.0])
        >>> alarm.alarm_, alarm.reset().alarm_
        (True, False)
        """
        new = self._snapshot()
        new.classes_ = self._declared
        new._start()
        self.__dict__ = new.__dict__
        return self

    def _to_dict(self) -> dict[str, Any]:
        now = self._snapshot()
        return {
            "alpha": now.alpha,
            "tolerance": now.tolerance,
            "classes": None if now.classes_ is None else now.classes_.tolist(),
            "alarm_time": now.alarm_time_,
            "refuted": now._refuted,
            "state": now._state.copied()._asdict(),
        }

    @classmethod
    def _from_dict(cls, data: dict[str, Any], _: Any) -> CalibrationAlarm:
        state, what = _checked(data), cls.__name__
        try:
            alarm = cls(data["alpha"], tolerance=data["tolerance"], classes=data["classes"])
        except (TypeError, ValueError) as error:
            raise InputError(f"{cls.__name__}: {message_of(error)}") from error
        alarm._state = state
        alarm.alarm_time_, alarm._refuted = data["alarm_time"], data["refuted"]
        twin = copy(alarm)
        labels = [0, 1] if alarm.classes_ is None else alarm.classes_.tolist()
        with np.errstate(all="ignore"):
            evidence = twin._take(labels, [0.7, 0.3])
        check_sound(alarm._refuted or np.isfinite(evidence).all(), what)
        return alarm

    # -- implementation -----------------------------------------------------------------------

    def _start(self) -> None:
        self._state = _State.of(_fresh())
        self._refuted = False
        self.alarm_time_: int | None = None

    def _snapshot(self) -> CalibrationAlarm:
        """Return a copy. A call updates a copy, which then replaces the state in one step."""
        new = object.__new__(type(self))
        new.__dict__ = self.__dict__.copy()
        return new

    def _take(self, y: Any, p: Any) -> FloatArray:
        distinct, s, codes = validate_stream(
            p, y, "probability", self.classes_, ("p", "y"), labels_first=True
        )
        if s.n_classes > 2:
            raise InputError(
                f"p has {s.n_classes} columns; expected the probabilities of one event. Pass the "
                "column of one class and y == that class, or the highest probability and whether "
                "the predicted class was right."
            )
        if distinct is not None and len(distinct) > 2:
            raise InputError(
                f"y holds {len(distinct)} classes, {few(distinct)}; expected "
                "two. Pass y == one class, with the probabilities of that class."
            )
        forecast = np.array(s.values)  # a copy: the loop may change it
        state = [np.array(v) for v in self._state]
        out = np.empty(len(codes))
        betting.bet_stream(forecast, *self._prepared(forecast), codes, out, *state, self.tolerance)
        self.classes_ = distinct
        self._state = _State.of(state)
        return self._judge(forecast, codes, out)

    def _take_one(self, y: Any, p: Any) -> None:
        classes = () if self.classes_ is None else self.classes_.tolist()
        if is_missing(y) or y not in classes or not 0.0 <= p <= 1.0:
            self._take([y], [p])  # the first label, a missing one, or an error
            return
        p, code = float(p), float(classes.index(y))
        rest = [a.tolist() for a in self._prepared(np.array([p]))]
        run: Callable[..., None] = betting.bet_stream.source  # type: ignore[attr-defined]
        state = self._state.copied()
        run([p], *rest, [code], [0.0], *state, self.tolerance)
        self._state = state
        self._refuted = self._refuted or abs(p - code) == 1.0
        if self.alarm_time_ is None and self.log_e_value_ >= self._threshold():
            self.alarm_time_ = self.n_seen_

    def _prepared(self, p: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, np.ndarray]:
        """Return the lowest and highest tolerated probabilities, clipped log-odds, and bins."""
        low, high = p, p
        if self.tolerance > 0.0:
            factor = math.exp(self.tolerance)
            low, high = p / (p + factor * (1.0 - p)), p * factor / (1.0 - p + p * factor)
        z = logit(np.minimum(np.maximum(p, _EPS), 1.0 - _EPS))
        return low, high, z, assign(p, betting.BORDERS)

    def _judge(self, p: FloatArray, y: FloatArray, log_e: FloatArray) -> FloatArray:
        """Find the first alarm among new rows; return the evidence, infinite if refuted."""
        known = ~np.isnan(y)
        refuted = known & (np.abs(p - y) == 1.0)
        if self._refuted or refuted.any():
            log_e[0 if self._refuted else int(refuted.argmax()) :] = math.inf
            self._refuted = True
        alarms = known & (log_e >= self._threshold())
        if self.alarm_time_ is None and alarms.any():
            after = int(np.count_nonzero(known[int(alarms.argmax()) + 1 :]))
            self.alarm_time_ = self.n_seen_ - after
        return log_e

    def _threshold(self) -> float:
        return -math.log(self.alpha)


def _checked(data: dict[str, Any]) -> _State:
    """Return the state in a dict after checking it."""
    what = CalibrationAlarm.__name__
    check_keys(data["state"], set(_State._fields), f"the state of {what}")
    arrays = [
        _numbers(data["state"][name], like.shape, f"{what}.{name}")
        for name, like in zip(_State._fields, _fresh(), strict=True)
    ]
    weights, maps, gaps, clock = arrays
    n_bins = gaps.shape[1] // 2
    n, time = clock[1], data["alarm_time"]
    a, b, c = maps[:, 2], maps[:, 3], maps[:, 4]
    low, more = 1.0 - 1e-9, 1.0 + 1e-9
    most, most_bin = np.array(betting.MEMORY), np.array(betting.BIN_MEMORY)[:, None]
    # Each label adds at most the squared log-odds, and old terms are forgotten.
    sound = (
        (weights >= 0.0).all()
        and abs(weights.sum() - 1.0) < 1e-6
        and (np.abs(maps) <= 1e100).all()
        and ((a >= betting.PRIOR * low) & (a <= (betting.PRIOR + most) * more)).all()
        and ((c >= betting.PRIOR * low) & (c <= (betting.PRIOR + most * _WIDEST**2) * more)).all()
        and (a * c > b**2).all()
        and (np.abs(gaps[:, :n_bins]) <= betting.LIMIT).all()
        and (gaps[:, n_bins:] >= betting.BIN_PRIOR * low).all()
        and (gaps[:, n_bins:] <= (betting.BIN_PRIOR + most_bin) * more).all()
        and 0.0 <= n <= 2.0**53
        and n == math.floor(n)
        and abs(clock[0]) <= betting.LIMIT * n
        and type(data["refuted"]) is bool
        and (time is None or (type(time) is int and 1 <= time <= float(n)))
        and (time is not None or not data["refuted"])
    )
    check_sound(sound, what)
    return _State.of(arrays)


def _numbers(values: Any, shape: tuple[int, ...], what: str) -> FloatArray:
    """Return an array of this shape from a list of numbers or of lists."""
    if len(shape) == 1:
        return vector(values, what, shape[0])
    if not isinstance(values, list) or len(values) != shape[0]:
        raise InputError(f"{what} is {short(values)}; expected {shape[0]} lists.")
    return np.array([vector(row, what, shape[1]) for row in values])
