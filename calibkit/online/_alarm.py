"""An alarm for forecasts that are not calibrated, valid at any time."""

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
from .._core.printed import spelled
from .._core.provenance import Traced
from .._core.saved import check_keys, check_sound, short, vector
from .._numerics import betting
from .._numerics.binning import assign
from .._numerics.links import logit
from .._typing import FloatArray
from ._stream_labels import known_classes, validate_stream

#: Scores nearer to 0 or 1 enter the maps as this far: their slope bets on log-odds.
_EPS = 1e-5
#: As far from 0 go their log-odds.
_WIDEST = math.log(1.0 / _EPS)


class _State(NamedTuple):
    """What the bettors have and know. Lists, so that single rows are played without arrays."""

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
    """The state before any label."""
    return betting.first_weights(), betting.first_maps(), betting.first_gaps(), np.zeros(2)


class CalibrationAlarm(Traced):
    """Watch forecasts and their labels, and say when they can't be calibrated any more.

    Use it on a stream that is looked at again and again: however long it runs, it rings with
    probability at most ``alpha`` while the forecasts are calibrated. A test repeated on a sliding
    window would ring sooner or later.

    Parameters
    ----------
    alpha : float, default=0.05
        Probability of a false alarm, ever.
    tolerance : float, default=0.0
        Log-odds by which forecasts may be off without alarm. No model is exactly calibrated, and
        with 0 the alarm finds what is too small to matter once it has seen enough labels.
    classes : array-like, optional
        The two class labels in sorted order; by default those of the first labels.

    Attributes
    ----------
    alarm_ : bool
        Whether it has rung.
    alarm_time_ : int or None
        Labels seen when it rang.
    e_value_ : float
        Evidence against calibration so far: the wealth of a bettor who began with 1.
    log_e_value_ : float
        Its logarithm, which does not overflow.
    n_seen_ : int
        Labels seen.
    classes_ : ndarray of shape (2,) or None
        Class labels; None before the first.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    The null hypothesis is that ``E[y_t | past, p_t] = p_t`` at all t, where the past are the rows
    given before with their labels. Rows must come in an order that does not depend on labels not
    yet given. Where labels are late, a forecast may have been made before labels that are given
    before its own were known: it must be right in the light of these too, so forecasts of
    overlapping outcomes can't be watched in one stream.

    Before each label the bettor chooses a probability r; its wealth is multiplied by
    ``r / p`` if y = 1 and by ``(1 - r) / (1 - p)`` if y = 0. Under the null hypothesis the mean of
    the factor is ``p * r / p + (1 - p) * (1 - r) / (1 - p) = 1`` whatever r, so the wealth e_t is
    a martingale that starts at 1 (a supermartingale where p may be 0 or 1), and by Ville's
    inequality ``P(e_t >= 1 / alpha for some t) <= alpha``. This needs no large numbers and no
    assumption about how scores arise; they may depend on the past, even on the alarm. ``min(1,
    1 / max e)`` is a p-value at any time.

    The wealth is a mixture: cash (r = p), ten fixed shifts and slopes of the log-odds, three
    online Platt maps and three sets of shifts by bins of p, which forget at different rates. A
    quarter is staked at once; cash shrinks like ``1 / (1 + log(1 + t / 300))``, and what it loses
    is staked after label t, about ``1 / (t * log(t)**2)`` of the whole. Hence e_t never falls below
    ``0.75 / (1 + log(1 + t / 300))``; and if a bet gains k nats a label from t on, the alarm
    rings about ``(log(1 / alpha) + log(t) + 2 log log(t) + 3) / k`` labels later. After 10^5
    calibrated forecasts a shift of the log-odds by 1 is found within a few hundred labels.

    With ``tolerance`` the null hypothesis is that the true log-odds are within it of those of
    p. A bet on a higher (lower) r is settled at the odds of the highest (lowest) probability that
    this allows, and no bet is made inside: the mean of the factor is then at most 1.

    A forecast of exactly 0 or 1 that is contradicted makes the e-value infinite, since the null
    hypothesis has then been refuted; such a forecast that comes true changes nothing. Tracking
    by the paper's rule (``TrackingCalibrator(smoothing=0)``) makes such forecasts; by default it
    does not.
    For forecasts of others watch ``np.clip(p, 0.001, 0.999)``. Those of a method that is still
    finding its feet are wrong, and seen to be: leave its first thousand rows out.

    Any number of threads may read an alarm while one updates it.

    Constant memory; 10^6 labels take about 7 s, with Numba .2 s, and one by one 12 s.

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
    The world changes after 5000 labels.

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

    # -- what it knows -----------------------------------------------------------------------

    @property
    def alarm_(self) -> bool:
        """Whether it has rung."""
        return self.alarm_time_ is not None

    @property
    def log_e_value_(self) -> float:
        """Logarithm of the e-value."""
        return math.inf if self._refuted else self._state.clock[0]

    @property
    def e_value_(self) -> float:
        """Evidence against calibration; infinite where it is too large for a float."""
        log_e = self.log_e_value_
        return math.exp(log_e) if log_e < math.log(sys.float_info.max) else math.inf

    @property
    def n_seen_(self) -> int:
        """Labels seen."""
        return int(self._state.clock[1])

    def __repr__(self) -> str:
        now = self._snapshot()
        rung = f", rang at label {now.alarm_time_}" if now.alarm_ else ""
        return f"<CalibrationAlarm: e-value {now.e_value_:.3g} after {now.n_seen_} labels{rung}>"

    # -- what a user calls -------------------------------------------------------------------

    def update(self, y: Any, p: Any) -> float:
        """Take in more rows, in order, or a single one.

        Parameters
        ----------
        y : label or array-like of shape (n,)
            Labels; None or NaN where there is none, which is skipped.
        p : float, or array-like of shape (n,) or (n, 2)
            The forecasts that were made before these labels: probabilities of the larger class.

        Returns
        -------
        e_value : float
            The e-value after these rows, as ``e_value_``.

        Raises
        ------
        ValueError
            If the data are not of the kind described; the alarm stays as it was.

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
        """Take in more rows as :meth:`update` does, and return the evidence after each.

        Parameters
        ----------
        y : array-like of shape (n,)
            Labels; None or NaN where there is none.
        p : array-like of shape (n,) or (n, 2)
            Forecasts.

        Returns
        -------
        log_e_values : ndarray of shape (n,)
            Logarithm of the e-value after each row.

        Raises
        ------
        ValueError
            If the data are not of the kind described; the alarm stays as it was.

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
        """Forget everything but the parameters: to begin again once the model has been mended.

        Returns
        -------
        self : CalibrationAlarm
            The same alarm, silent.

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

    # -- how it is done ----------------------------------------------------------------------

    def _start(self) -> None:
        self._state = _State.of(_fresh())
        self._refuted = False
        self.alarm_time_: int | None = None

    def _snapshot(self) -> CalibrationAlarm:
        """The alarm as it is. Rows are learnt by such a copy, which takes its place in one step, so
        that others may read meanwhile."""
        new = object.__new__(type(self))
        new.__dict__ = self.__dict__.copy()
        return new

    def _take(self, y: Any, p: Any) -> FloatArray:
        distinct, s, codes = validate_stream(
            p, y, "probability", self.classes_, ("p", "y"), labels_first=True
        )
        if s.n_classes > 2:
            raise InputError(
                f"p has {s.n_classes} columns; expected the probabilities of one event. Of K "
                "classes watch one at a time, or whether the winner was right."
            )
        if distinct is not None and len(distinct) > 2:
            raise InputError(
                f"y holds {len(distinct)} classes, {spelled(distinct.tolist()[:10])}; expected "
                "two. Of K classes watch one at a time."
            )
        forecast = np.array(s.values)  # a copy, which the loop may write to
        state = [np.array(v) for v in self._state]
        out = np.empty(len(codes))
        betting.bet_stream(forecast, *self._prepared(forecast), codes, out, *state, self.tolerance)
        self.classes_ = distinct
        self._state = _State.of(state)
        return self._judge(forecast, codes, out)

    def _take_one(self, y: Any, p: Any) -> None:
        classes = () if self.classes_ is None else self.classes_.tolist()
        if is_missing(y) or y not in classes or not 0.0 <= p <= 1.0:
            self._take([y], [p])  # a first label, none, or an error
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
        """The probabilities that the tolerance reaches, clipped log-odds, and bins."""
        low, high = p, p
        if self.tolerance > 0.0:
            factor = math.exp(self.tolerance)
            low, high = p / (p + factor * (1.0 - p)), p * factor / (1.0 - p + p * factor)
        z = logit(np.minimum(np.maximum(p, _EPS), 1.0 - _EPS))
        return low, high, z, assign(p, betting.BORDERS)

    def _judge(self, p: FloatArray, y: FloatArray, log_e: FloatArray) -> FloatArray:
        """Look for the first alarm among rows just played; the evidence, infinite if refuted."""
        known = ~np.isnan(y)
        refuted = known & (np.abs(p - y) == 1.0)
        if self._refuted or refuted.any():
            log_e[0 if self._refuted else int(refuted.argmax()) :] = math.inf
            self._refuted = True
        rung = known & (log_e >= self._threshold())
        if self.alarm_time_ is None and rung.any():
            after = int(np.count_nonzero(known[int(rung.argmax()) + 1 :]))
            self.alarm_time_ = self.n_seen_ - after
        return log_e

    def _threshold(self) -> float:
        return -math.log(self.alpha)


def _checked(data: dict[str, Any]) -> _State:
    """The state in a dict, if it is what it should be."""
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
    # What labels add is forgotten as it grows, at most the square of the log-odds for each.
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
    """An array of this shape, of one dimension or two, from a list of numbers or of lists."""
    if len(shape) == 1:
        return vector(values, what, shape[0])
    if not isinstance(values, list) or len(values) != shape[0]:
        raise InputError(f"{what} is {short(values)}; expected {shape[0]} lists.")
    return np.array([vector(row, what, shape[1]) for row in values])
