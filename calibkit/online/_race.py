"""An anytime-valid comparison of two models on a stream."""

from __future__ import annotations

import math
import sys
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._core.errors import InputError, message_of
from .._core.inputs import check_lengths, validate_scores
from .._core.labels import is_missing
from .._core.params import check_choice, check_real, percent
from .._core.printed import few, spelled
from .._core.provenance import Traced
from .._core.saved import check_keys, check_sound, count, number, vector
from .._core.scores import Scores
from .._numerics import mean_bets
from .._typing import FloatArray
from ._stream_labels import known_classes, validate_stream

#: Rows whose bets are computed together.
_BLOCK = 4096


class _State(NamedTuple):
    """Number of labels, sum of differences, and logarithm of the wealth of each bet."""

    n: int
    total: float
    logs: FloatArray


class ComparisonAlarm(Traced):
    """Compare two models on a stream at any time, with a bounded false-alarm probability.

    Use it to find out which of two models has the lower Brier score or log loss while rows arrive,
    and to stop as soon as the answer is clear. You may look after every row: with probability
    ``1 - alpha`` the interval covers the true mean difference at all times. If you know the number
    of rows in advance and look once, use :func:`calibkit.compare`, which needs fewer rows.

    Call :meth:`update` with labels and with the forecasts that both models made before them.

    Parameters
    ----------
    metric : {"brier_score", "log_loss"}, default="brier_score"
        The loss that is compared. For more than two classes, the Brier score is the sum over all
        classes.
    alpha : float, default=0.05
        Probability of a false statement, over the whole stream.
    floor : float, optional
        Required for "log_loss": probabilities are clipped to [floor, 1 - floor]; between 0 and 0.5,
        such as 0.001.
    classes : array-like, optional
        The class labels in sorted order. Default: those of the first labels.

    Attributes
    ----------
    better_ : {None, "first", "second"}
        Model whose mean loss so far is lower, if the interval excludes 0 now.
    alarm_ : bool
        Whether the interval has excluded 0 at any time so far.
    alarm_time_ : int or None
        Number of labels when it first did.
    difference_ : float
        Mean loss of the first model minus that of the second; NaN before the first label.
    low_, high_ : float
        Ends of the interval for the mean expected difference.
    e_value_ : float
        Evidence that the mean losses differ; at least ``1 / alpha`` if the interval excludes 0.
    log_e_value_ : float
        Its logarithm, which does not overflow.
    log_e_values_ : dict
        Logarithms of the evidence that the "first" or the "second" model is better, for one-sided
        questions. ``e_value_`` is the mean of both e-values.
    n_seen_ : int
        Number of labels so far.
    classes_ : ndarray or None
        Class labels; None before the first label.

    Raises
    ------
    ValueError
        If a parameter is out of range, or ``floor`` is missing for the log loss.

    Notes
    -----
    Let d_t be the loss of the first model minus that of the second on row t, and ``m_t = E[d_t |
    past, forecasts of row t]``. The interval is for ``(m_1 + ... + m_t) / t``, the running mean,
    and covers it for all t at once with probability ``1 - alpha``. The m_t may change in any way.
    The past is all rows passed before; the order of rows must not depend on later labels.

    A bet with stake s multiplies its wealth by ``exp(s * c) * (1 + s * (d_t - c))``. Here c is a
    number that is known before the label: 0, unless the bet could lose more than 3/4 of its wealth.
    Because ``1 + x <= exp(x)``, the mean of this factor is at most ``exp(s * m_t)``. So the wealth
    divided by ``exp(s * (m_1 + ... + m_t))`` is a supermartingale, and so is a mixture over stakes
    (16 of each sign, 2^-10 to 2^5). The interval holds all means at which the mixture is below
    ``1 / alpha``; by Ville's inequality it fails with probability at most ``alpha``. It always
    contains ``difference_``.

    The null hypothesis of ``e_value_`` is the weak one: the running mean is 0 at each t. That of
    ``log_e_values_["second"]`` is that the running mean is at most 0 at each t, and reversed for
    "first". With stakes that change from row to row (Waudby-Smith and Ramdas), the null hypothesis
    is that m_t = 0 for every single t: if two models that are equally good on average took turns in
    being better, such a test would raise an alarm. Therefore each stake is fixed here.

    With c = 0 and r the largest possible loss of the bet, ``log(1 + x) >= x + (r + log(1 - r)) *
    x**2 / r**2`` for ``x >= -r``. So a bet gains at least as much as that of Choe and Ramdas with
    the same stake and center 0. Their r is for the largest possible difference of all rows. Here r
    is for the possible differences of the row, which are known before its label. This allows larger
    stakes.

    The price of looking at any time: to find the better model with probability 0.8, about 1.7 to
    2.1 times as many rows are needed as for one test at a fixed number of rows, and up to 2.5 times
    if the event is rare or the models differ much (``benchmarks/race.py``).

    The log loss has no bound: one forecast of 0 for an event can outweigh all other rows. With
    ``floor``, the clipped forecasts are compared.

    Any number of threads may read an alarm while one thread updates it. Memory is constant.

    References
    ----------
    Y. J. Choe, A. Ramdas (2024). Comparing sequential forecasters. Operations Research 72(4).
    I. Waudby-Smith, A. Ramdas (2024). Estimating means of bounded random variables by betting. JRSS
    B 86(1).
    S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon (2021). Time-uniform, nonparametric,
    nonasymptotic confidence sequences. Annals of Statistics 49(2).

    Examples
    --------
    The second model is calibrated, the first is over-confident.

    >>> import numpy as np
    >>> from calibkit import ComparisonAlarm
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=5000)
    >>> y = rng.random(5000) < 1 / (1 + np.exp(-z))
    >>> alarm = ComparisonAlarm("brier_score", alpha=0.05)
    >>> _ = alarm.update(y, 1 / (1 + np.exp(-2 * z)), 1 / (1 + np.exp(-z)))
    >>> alarm.better_, alarm.alarm_time_
    ('second', 836)
    >>> print(f"{alarm.difference_:.4f} in [{alarm.low_:.4f}, {alarm.high_:.4f}]")
    0.0114 in [0.0068, 0.0162]
    """

    name: ClassVar[str] = "comparison_alarm"
    _keys = ("metric", "alpha", "floor", "classes", "alarm_time", "state")

    def __init__(
        self,
        metric: str = "brier_score",
        *,
        alpha: float = 0.05,
        floor: float | None = None,
        classes: Any = None,
    ) -> None:
        check_choice("metric", metric, ("brier_score", "log_loss"))
        check_real("alpha", alpha, low=0.0, high=1.0, open_low=True, open_high=True)
        if floor is not None:
            check_real("floor", floor, low=0.0, high=0.5, open_low=True, open_high=True)
        if (floor is None) != (metric == "brier_score"):
            raise InputError(
                "floor=None for the log loss, which has no bound: one forecast of 0 can outweigh "
                "all other rows; expected a number between 0 and 0.5. Pass floor=0.001, and "
                "probabilities are clipped to [0.001, 0.999]."
                if floor is None
                else f"floor={spelled(floor)} for the Brier score; expected None, because only "
                "the log loss needs it. Drop floor."
            )
        self.metric, self.alpha = metric, float(alpha)
        self.floor = None if floor is None else float(floor)
        self.classes_: np.ndarray | None = known_classes(classes)
        self.alarm_time_: int | None = None
        self._state = _State(0, 0.0, np.zeros(len(mean_bets.STAKES)))

    # -- results ------------------------------------------------------------------------------

    @property
    def alarm_(self) -> bool:
        """Return whether the interval has excluded 0 at any time so far."""
        return self.alarm_time_ is not None

    @property
    def better_(self) -> str | None:
        """Return the model whose mean loss so far is lower, if the interval excludes 0 now."""
        now = self._state
        if mean_bets.log_wealth(now.logs) < self._limit():
            return None
        return "first" if now.total < 0.0 else "second"

    @property
    def difference_(self) -> float:
        """Return the mean loss of the first model minus that of the second."""
        now = self._state
        return now.total / now.n if now.n else math.nan

    @property
    def low_(self) -> float:
        """Return the lower end of the interval."""
        return self._interval()[0]

    @property
    def high_(self) -> float:
        """Return the upper end of the interval."""
        return self._interval()[1]

    @property
    def log_e_value_(self) -> float:
        """Return the logarithm of the e-value."""
        return float(mean_bets.log_wealth(self._state.logs))

    @property
    def e_value_(self) -> float:
        """Return the evidence for a difference, infinite if it is too large for a float."""
        log_e = self.log_e_value_
        return math.exp(log_e) if log_e < math.log(sys.float_info.max) else math.inf

    @property
    def log_e_values_(self) -> dict[str, float]:
        """Return the logarithm of the evidence that each model is better."""
        logs, sides = self._state.logs, {"first": mean_bets.BELOW, "second": mean_bets.ABOVE}
        # Each side begins with half of the wealth.
        return {
            name: float(mean_bets.log_wealth(logs, bets=bets)) + math.log(2.0)
            for name, bets in sides.items()
        }

    @property
    def n_seen_(self) -> int:
        """Return the number of labels so far."""
        return self._state.n

    def __repr__(self) -> str:
        now = self._snapshot()
        low, high = now._interval()
        alarm = f", alarm at label {now.alarm_time_}" if now.alarm_ else ""
        return (
            f"<ComparisonAlarm: {now.metric} of first - second {now.difference_:.4g}, "
            f"{percent(1.0 - now.alpha)} interval [{low:.4g}, {high:.4g}] after {now.n_seen_} "
            f"labels{alarm}>"
        )

    # -- public methods -----------------------------------------------------------------------

    def update(self, y: Any, p: Any, q: Any) -> float:
        """Add rows in time order, or a single row.

        Parameters
        ----------
        y : label or array-like of shape (n,)
            Labels; None or NaN is skipped.
        p, q : float, or array-like of shape (n,), (n, 2) or (n, K)
            The forecasts of the first and of the second model, made before these labels:
            probabilities of the larger class, or of every class. For a single row of K classes, K
            probabilities.

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
        >>> from calibkit import ComparisonAlarm
        >>> alarm = ComparisonAlarm("log_loss", floor=0.01)
        >>> for _ in range(30):
        ...     e_value = alarm.update(1, 0.9, 0.3)
        >>> alarm.better_
        'first'
        """
        new = self._snapshot()
        if not new._take_one(y, p, q):
            if isinstance(y, (str, Real)) or (isinstance(p, Real) and np.ndim(y) == 0):
                y, p, q = [y], [p], [q]
            new._take(y, p, q)
        self.__dict__ = new.__dict__
        return self.e_value_

    def _to_dict(self) -> dict[str, Any]:
        now = self._snapshot()
        n, total, logs = now._state
        return {
            "metric": now.metric,
            "alpha": now.alpha,
            "floor": now.floor,
            "classes": None if now.classes_ is None else now.classes_.tolist(),
            "alarm_time": now.alarm_time_,
            "state": {"n": n, "total": total, "logs": logs.tolist()},
        }

    @classmethod
    def _from_dict(cls, data: dict[str, Any], _: Any) -> ComparisonAlarm:
        what, time = cls.__name__, data["alarm_time"]
        check_keys(data["state"], set(_State._fields), f"the state of {what}")
        n = count(data["state"]["n"], f"{what}.n")
        total = number(data["state"]["total"], f"{what}.total")
        logs = vector(data["state"]["logs"], f"{what}.logs", len(mean_bets.STAKES))
        settings = {key: data[key] for key in ("metric", "alpha", "floor", "classes")}
        try:
            alarm = cls(**settings)
        except (TypeError, ValueError) as error:
            raise InputError(f"{what}: {message_of(error)}") from error
        alarm._state, alarm.alarm_time_ = _State(n, total, logs), time
        most = n * alarm._bound()
        least, highest = mean_bets.log_range(n, min(max(total, -most), most), most)
        sound = (
            abs(total) <= most * (1.0 + 1e-9)
            and ((logs >= least) & (logs <= highest)).all()
            and (n == 0 or alarm.classes_ is not None)
            and (time is None or (type(time) is int and 1 <= time <= n))
            and (time is not None or alarm.log_e_value_ < alarm._limit() + 1e-9)
        )
        check_sound(sound, what)
        return alarm

    # -- implementation -----------------------------------------------------------------------

    def _snapshot(self) -> ComparisonAlarm:
        """Return a copy. A call updates a copy, which then replaces the state in one step."""
        new = object.__new__(type(self))
        new.__dict__ = self.__dict__.copy()
        return new

    def _limit(self) -> float:
        return -math.log(self.alpha)

    def _bound(self) -> float:
        """Return the largest possible difference of the losses of a row."""
        if self.floor is not None:
            return math.log((1.0 - self.floor) / self.floor)
        return 1.0 if self.classes_ is None or len(self.classes_) == 2 else 2.0

    def _interval(self) -> tuple[float, float]:
        now = self._snapshot()
        n, total, logs = now._state
        bound = now._bound()
        if n == 0:
            return -bound, bound
        low, high = mean_bets.interval(logs, total, now._limit())
        return max(low / n, -bound), min(high / n, bound)

    def _take(self, y: Any, p: Any, q: Any) -> None:
        names = ("p", "y")
        distinct, first, codes = validate_stream(
            p, y, "probability", self.classes_, names, labels_first=True
        )
        second = validate_scores(
            q, scale="probability", name="q", allow_empty=True, classes=distinct
        )
        check_lengths(len(second), len(codes), ("q", "y"))
        for name, s in (("p", first), ("q", second)):
            k = first.n_classes if distinct is None else len(distinct)
            if s.n_classes != k:
                other = f"p of {k}" if distinct is None else f"y holds {k} ({few(distinct)})"
                raise InputError(
                    f"{name} has the probabilities of {s.n_classes} classes, and {other}; "
                    "expected one column per class. If y lacks some classes, pass classes=[...]."
                )
        self.classes_ = distinct
        known = np.flatnonzero(~np.isnan(codes))
        for start in range(0, len(known), _BLOCK):
            rows = known[start : start + _BLOCK]
            # What the difference would be for each class.
            possible = self._losses(first[rows]) - self._losses(second[rows])
            self._bet(possible, codes[rows].astype(np.intp))

    def _take_one(self, y: Any, p: Any, q: Any) -> bool:
        """Take a single row of two classes if it needs no further checks."""
        plain = all(isinstance(v, float) and 0.0 <= v <= 1.0 for v in (p, q))
        classes = () if self.classes_ is None else self.classes_.tolist()
        if not plain or len(classes) != 2 or is_missing(y) or y not in classes:
            return False
        first, second = (self._losses(Scores(np.array([v]), "probability")) for v in (p, q))
        self._bet(first - second, np.array([classes.index(y)]))
        return True

    def _losses(self, s: Scores) -> FloatArray:
        """Return the loss of each row for each class."""
        p = s.probs().astype(np.float64, copy=False)
        if self.floor is not None:
            columns = np.column_stack((1.0 - p, p)) if p.ndim == 1 else p
            return -np.log(np.clip(columns, self.floor, 1.0 - self.floor))
        if p.ndim == 1:
            return np.column_stack((p**2, (1.0 - p) ** 2))
        return np.einsum("ij,ij->i", p, p)[:, None] - 2.0 * p + 1.0

    def _bet(self, possible: FloatArray, codes: np.ndarray) -> None:
        n, total, logs = self._state
        d = possible[np.arange(len(codes)), codes]
        factors = mean_bets.log_factors(d, possible.min(axis=1), possible.max(axis=1))
        path = np.cumsum(np.vstack((logs, factors)), axis=0)[1:]
        if self.alarm_time_ is None:
            alarms = mean_bets.log_wealth(path) >= self._limit()
            if alarms.any():
                self.alarm_time_ = n + 1 + int(alarms.argmax())
        total = float(np.cumsum(np.append(total, d))[-1])
        self._state = _State(n + len(d), total, path[-1].copy())
