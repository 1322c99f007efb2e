"""Accept, review or discard each output at the least expected cost."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from .._core.errors import InputError
from .._core.inputs import check_lengths
from .._core.params import check_int, check_real, generator, percent
from .._core.provenance import Traced
from .._core.rows import validate_groups
from .._core.signals import validate_correct
from .._numerics.exact import clopper_pearson, korn_graubard, share_variance
from .._numerics.weights import widened
from .._persistence import made_of, params_to_dict
from .._typing import FloatArray, IntArray
from ..metrics import Estimate, ResultTable
from ._threshold import validate_signal

DECISIONS = ("accept", "review", "discard")
_ACCEPT, _REVIEW, _DISCARD = range(3)


@dataclass(frozen=True)
class TriageReport:
    """Results of a :class:`TriagePolicy` on labeled outputs; prints as a table.

    Attributes
    ----------
    policy : TriagePolicy
        The policy.
    n : int
        Number of outputs.
    n_groups : int or None
        Number of groups; None without groups.
    level : float
        Confidence level of the intervals.
    shares : dict of str to Estimate
        Share of the outputs that the policy accepts, reviews and discards.
    error_accepted : Estimate
        Error rate among the accepted outputs; NaN if none is accepted.
    right_discarded : Estimate
        Share of correct outputs among the discarded; NaN if none is discarded.
    costs : dict of str to Estimate
        Cost per output of the policy ("triage") and of "accept all", "discard all" and, if reviews
        are possible, "review all".
    savings : dict of str to Estimate
        Cost per output of each alternative less that of the policy.
    expected_cost : float
        Cost per output that the policy would have if the probabilities were calibrated.

    Examples
    --------
    >>> from calibkit.decisions import TriagePolicy
    >>> policy = TriagePolicy(cost_accept_wrong=10, cost_review=1, cost_discard_right=4)
    >>> report = policy.evaluate([0.95, 0.5, 0.1, 0.92] * 50, [1, 1, 0, 1] * 50)
    >>> report.shares["accept"].value, report.error_accepted.value
    (0.5, 0.0)
    """

    policy: TriagePolicy
    n: int
    n_groups: int | None
    level: float
    shares: dict[str, Estimate]
    error_accepted: Estimate
    right_discarded: Estimate
    costs: dict[str, Estimate]
    savings: dict[str, Estimate]
    expected_cost: float

    def to_table(self) -> ResultTable:
        """Return the report as a table, for pandas, Markdown and LaTeX.

        Returns
        -------
        table : ResultTable
            A row for each decision: its share, and the share of mistakes among its outputs. A row
            for each policy: its cost per output, and the cost that triage saves against it.
        """
        mistakes = {"accept": self.error_accepted, "discard": self.right_discarded}
        rows: list[dict[str, Any]] = [
            {"what": name, "share": share, "mistaken": mistakes.get(name, np.nan)}
            for name, share in self.shares.items()
        ]
        rows += [{"what": name, "cost": cost} for name, cost in self.costs.items()]
        names = ("what", "share", "mistaken", "cost", "saved")
        saved = (row | {"saved": self.savings.get(row["what"], np.nan)} for row in rows)
        table = tuple({name: row.get(name, np.nan) for name in names} for row in saved)
        return ResultTable(table, (str(self.policy),), f"{percent(self.level)} intervals")

    def __str__(self) -> str:
        groups = "" if self.n_groups is None else f" in {self.n_groups:,} groups"
        lines = [f"{self.policy}", f"{self.n:,} outputs{groups}; {percent(self.level)} intervals"]
        notes = {
            "accept": (self.error_accepted, "wrong"),
            "discard": (self.right_discarded, "correct"),
        }
        for name, share in self.shares.items():
            line = f"  {name:<12}{_percents(share):<24}"
            if name in notes and notes[name][0].n:
                line += f"{_percents(notes[name][0])} of them {notes[name][1]}"
            lines.append(line.rstrip())
        lines.append("cost per output")
        for name, cost in self.costs.items():
            line = f"  {name:<12}{_numbers(cost):<24}"
            if name in self.savings:
                line += f"triage saves {_numbers(self.savings[name])}"
            lines.append(line.rstrip())
        lines.append(
            f"If the probabilities are calibrated, the policy is optimal and costs "
            f"{self.expected_cost:.4g} per output."
        )
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class TriagePolicy(Traced):
    """Accept, review or discard each output, whichever has the lowest expected cost.

    Use it with calibrated probabilities, when you know what mistakes and reviews cost. Only the
    ratios of the costs matter. To limit the error rate among the accepted outputs instead, use
    :class:`RiskControlledThreshold`.

    Parameters
    ----------
    cost_accept_wrong : float
        Cost of accepting a wrong output, above 0.
    cost_discard_right : float
        Cost of discarding a correct output, above 0.
    cost_review : float, optional
        Cost of a review, which reveals whether the output is correct. None or infinity: no reviews.

    Attributes
    ----------
    accept_at : float
        Outputs with this probability or a higher one are accepted.
    discard_below : float
        Outputs with a lower probability than this are discarded; those between are reviewed.

    Raises
    ------
    ValueError
        If a cost is out of range.

    Notes
    -----
    Accepting costs ``(1 - p) * cost_accept_wrong`` in expectation, discarding
    ``p * cost_discard_right``. Let w, r and d be the costs of accepting a wrong output, of a
    review, and of discarding a correct output. The policy accepts at ``max(1 - r/w, w / (w + d))``
    and discards below ``min(r/d, w / (w + d))``; without reviews both are ``w / (w + d)`` (Chow
    1970; Elkan 2001). The policy is optimal if p is calibrated.

    References
    ----------
    C. Chow (1970). On optimum recognition error and reject tradeoff. IEEE Transactions on
    Information Theory 16(1). --- C. Elkan (2001). The foundations of cost-sensitive learning.
    IJCAI.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import TriagePolicy
    >>> policy = TriagePolicy(cost_accept_wrong=10, cost_review=1, cost_discard_right=4)
    >>> print(policy)
    By cost: accept at a calibrated probability of 0.9 or more, discard below 0.25, else review.
    >>> policy.decide([0.95, 0.5, 0.1]).tolist()
    ['accept', 'review', 'discard']
    """

    cost_accept_wrong: float
    cost_discard_right: float
    cost_review: float | None = None

    name: ClassVar[str] = "triage_policy"
    _keys: ClassVar[tuple[str, ...]] = ("params",)

    def __post_init__(self) -> None:
        for name in ("cost_accept_wrong", "cost_discard_right"):
            check_real(name, getattr(self, name), low=0.0, open_low=True)
        review = self.cost_review
        if review is not None and not (isinstance(review, float) and review == np.inf):
            check_real("cost_review", self.cost_review, low=0.0)
        if self.cost_accept_wrong + self.cost_discard_right == np.inf:
            raise InputError(
                f"cost_accept_wrong={self.cost_accept_wrong:g} and cost_discard_right="
                f"{self.cost_discard_right:g} are too large to add up; expected a finite sum. "
                "Divide all costs by the same number: only their ratios matter."
            )

    def _to_dict(self) -> dict[str, Any]:
        params = params_to_dict({f.name: getattr(self, f.name) for f in fields(self)})
        if params["cost_review"] == np.inf:
            params["cost_review"] = None  # the same, and JSON has no infinity
        return {"params": params}

    @classmethod
    def _from_dict(cls, data: dict[str, Any], _: Any) -> TriagePolicy:
        made: TriagePolicy = made_of(cls, data["params"], cls.__name__)
        if made.cost_review == np.inf:
            raise InputError("cost_review is infinite; expected null, which means no reviews.")
        return made

    @property
    def _review(self) -> float:
        return np.inf if self.cost_review is None else float(self.cost_review)

    @property
    def _break_even(self) -> float:
        """Probability at which accepting and discarding cost the same."""
        return self.cost_accept_wrong / (self.cost_accept_wrong + self.cost_discard_right)

    @property
    def accept_at(self) -> float:
        """Lowest probability that is accepted."""
        return max(1.0 - self._review / self.cost_accept_wrong, self._break_even)

    @property
    def discard_below(self) -> float:
        """Probability below which outputs are discarded."""
        return min(self._review / self.cost_discard_right, self._break_even)

    def _codes(self, p: FloatArray) -> IntArray:
        unknown = _REVIEW if self.discard_below < self.accept_at else _DISCARD
        codes = np.full(len(p), unknown, dtype=np.int8)
        codes[p < self.discard_below] = _DISCARD
        codes[p >= self.accept_at] = _ACCEPT
        return codes

    def decide(self, p: Any) -> np.ndarray:
        """Decide on each output.

        Parameters
        ----------
        p : array-like of shape (n,) or (n, 2)
            Calibrated probability that each output is correct. If there are two columns, as from
            ``predict_proba``, the second one is used.

        Returns
        -------
        decisions : ndarray of str of shape (n,)
            "accept", "review" or "discard". Outputs whose probability is NaN are reviewed, or
            discarded if the policy never reviews.

        Raises
        ------
        ValueError
            If the data are invalid.
        """
        values = validate_signal(p, "probability")
        return np.array(DECISIONS)[self._codes(values)]

    def evaluate(
        self,
        p: Any,
        correct: Any,
        groups: Any = None,
        *,
        level: float = 0.9,
        n_resamples: int = 1000,
        random_state: Any = 0,
    ) -> TriageReport:
        """Measure the decisions and their cost on labeled outputs.

        Parameters
        ----------
        p : array-like of shape (n,) or (n, 2)
            Probabilities, as in :meth:`decide`, from a calibrator that was fitted on other outputs.
        correct : array-like of shape (n,)
            Whether each output is correct: 0/1 or bool.
        groups : array-like of shape (n,), optional
            Problem or repository of each output. Outputs of one group are treated as dependent.
        level : float, default=0.9
            Confidence level of the intervals.
        n_resamples : int, default=1000
            Number of bootstrap resamples for the intervals of the costs.
        random_state : int, RandomState, Generator or None, default=0
            Seed of the bootstrap.

        Returns
        -------
        report : TriageReport
            Shares, error rates and costs; prints as a table.

        Raises
        ------
        ValueError
            If the data or settings are invalid.

        Notes
        -----
        Intervals of shares and error rates are Clopper-Pearson intervals; with groups they use the
        effective number of rows (Korn and Graubard 1998). Intervals of costs and savings are
        bootstrap quantiles. The bootstrap resamples groups if they are given, and is widened for
        few groups as in :func:`~calibkit.estimate`.

        Examples
        --------
        >>> import numpy as np
        >>> from calibkit.decisions import TriagePolicy
        >>> rng = np.random.default_rng(0)
        >>> p = rng.beta(2, 1, 1000)
        >>> policy = TriagePolicy(cost_accept_wrong=10, cost_review=1, cost_discard_right=4)
        >>> print(policy.evaluate(p, rng.random(1000) < p, random_state=0))
        By cost: accept at a calibrated probability of 0.9 or more, discard below 0.25, else review.
        1,000 outputs; 90% intervals
          accept      15.9% [14.0%, 17.9%]    5.0% [2.5%, 8.9%] of them wrong
          review      78.2% [75.9%, 80.3%]
          discard     5.9% [4.7%, 7.3%]       8.5% [3.4%, 17.0%] of them correct
        cost per output
          triage      0.882 [0.833, 0.934]
          review all  1                       triage saves 0.118 [0.066, 0.167]
          accept all  3.42 [3.19, 3.67]       triage saves 2.54 [2.3, 2.79]
          discard all 2.63 [2.53, 2.72]       triage saves 1.75 [1.63, 1.87]
        If the probabilities are calibrated, the policy is optimal and costs 0.8947 per output.
        """
        check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
        check_int("n_resamples", n_resamples, low=10)
        values = validate_signal(p, "probability")
        if len(values) == 0:
            raise InputError("p has 0 sample(s); expected at least one labeled output.")
        right = validate_correct(correct, p, "p").astype(np.int64)
        check_lengths(len(values), len(right), ("p", "correct"))
        n = len(values)
        units = None if groups is None else validate_groups(groups, None, n)
        codes = self._codes(values)
        shares = {
            name: _share(codes == i, None, units, level, f"share {name}")
            for i, name in enumerate(DECISIONS)
        }
        draws = _cell_draws(2 * codes + right, units, n_resamples, generator(random_state))
        costs, savings = self._costs(draws, units, level, n)
        w, d = self.cost_accept_wrong, self.cost_discard_right
        options = np.stack(((1.0 - values) * w, np.full(n, self._review), values * d))
        return TriageReport(
            policy=self,
            n=n,
            n_groups=None if units is None else int(units.max()) + 1,
            level=level,
            shares=shares,
            error_accepted=_share(right == 0, codes == _ACCEPT, units, level, "error accepted"),
            right_discarded=_share(right == 1, codes == _DISCARD, units, level, "right discarded"),
            costs=costs,
            savings=savings,
            expected_cost=float(np.fmin.reduce(options, axis=0).mean()),
        )

    def _costs(
        self, draws: FloatArray, units: IntArray | None, level: float, n: int
    ) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
        """Costs and savings from the shares of cells; the first row is of the data themselves."""
        w, d, r = self.cost_accept_wrong, self.cost_discard_right, self._review
        # Cells are accept, review, discard, each of wrong and of right outputs.
        triage = np.array([w, 0.0, r if r < np.inf else 0.0, r if r < np.inf else 0.0, 0.0, d])
        others = {"review all": np.full(6, r)} if r < np.inf else {}
        others |= {"accept all": np.tile([w, 0.0], 3), "discard all": np.tile([0.0, d], 3)}
        costs = {
            name: _quantiles(draws @ cost, units, level, n, f"cost of {name}")
            for name, cost in {"triage": triage, **others}.items()
        }
        savings = {
            name: _quantiles(draws @ (cost - triage), units, level, n, f"saved against {name}")
            for name, cost in others.items()
        }
        return costs, savings

    def __str__(self) -> str:
        high, low = self.accept_at, self.discard_below
        accept = f"By cost: accept at a calibrated probability of {high:.4g} or more"
        if low < high:
            return f"{accept}, discard below {low:.4g}, else review."
        return f"{accept}, discard the rest; reviews would cost more."


def _share(
    events: np.ndarray, among: np.ndarray | None, units: IntArray | None, level: float, name: str
) -> Estimate:
    """Share of events, with an interval."""
    if among is not None:
        events, units = events[among], None if units is None else units[among]
    n, count = len(events), int(events.sum())
    if n == 0:
        return Estimate(np.nan, 0.0, 1.0, level, 0, name, method="none")
    if units is None:
        low, high = clopper_pearson(np.array([count / n]), np.array([float(n)]), level)
        ends = float(low[0]), float(high[0])
        return Estimate(count / n, *ends, level, n, name, method="Clopper-Pearson")
    codes = np.unique(units, return_inverse=True)[1]
    variance, n_groups = share_variance(codes, events.astype(np.int64), np.array([n]))
    low, high = korn_graubard(np.array([count]), np.array([n]), variance, n_groups, level)
    ends = float(low[0]), float(high[0])
    return Estimate(count / n, *ends, level, n, name, method="Korn-Graubard")


def _cell_draws(
    cells: IntArray, units: IntArray | None, n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """Shares of the six cells: of the data, then of bootstrap resamples of rows or groups."""
    if units is None:
        counts = np.bincount(cells, minlength=6)
        drawn = rng.multinomial(len(cells), counts / len(cells), size=n_draws)
    else:
        n_units = int(units.max()) + 1
        per_unit = np.bincount(6 * units + cells, minlength=6 * n_units).reshape(n_units, 6)
        counts = per_unit.sum(axis=0)
        drawn = rng.multinomial(n_units, np.full(n_units, 1.0 / n_units), size=n_draws) @ per_unit
    both = np.vstack((counts, drawn)).astype(np.float64)
    return both / both.sum(axis=1, keepdims=True)


def _quantiles(
    values: FloatArray, units: IntArray | None, level: float, n: int, name: str
) -> Estimate:
    """The first value, with an interval from the others."""
    ends = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
    low, high = np.quantile(widened(values[1:], units, level), ends)
    value = float(values[0])
    return Estimate(value, min(float(low), value), max(float(high), value), level, n, name)


def _percents(e: Estimate) -> str:
    return f"{e.value:.1%} [{e.low:.1%}, {e.high:.1%}]"


def _numbers(e: Estimate) -> str:
    if np.isclose(e.low, e.high, rtol=1e-9):
        return f"{e.value:.4g}"
    return f"{e.value:.3g} [{e.low:.3g}, {e.high:.3g}]"
