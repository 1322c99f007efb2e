"""``RiskControlledThreshold``: how often its guarantee fails, and what share it accepts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import bdtr

from calibkit._numerics.risk_control import Rows, accepted_counts, last_passed, sequences_of
from calibkit.decisions import RiskControlledThreshold

MAX_ERROR, ALPHAS = 0.1, (0.1, 0.5)
Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray, np.ndarray]]


class Law(NamedTuple):
    """Error rate at a distance u from the top score, and its mean from 0 to u."""

    error: Callable[[np.ndarray], np.ndarray]
    mean: Callable[[float], float]


def _jump(u: np.ndarray) -> np.ndarray:
    return MAX_ERROR * np.where(u < 0.35, 0.95, np.where(u < 0.45, 1.6, 1.1))


def _mean_of_jump(u: float) -> float:
    lengths = np.clip(u - np.array([0.0, 0.35, 0.45]), 0.0, [0.35, 0.1, 1.0])
    return MAX_ERROR * float(lengths @ [0.95, 1.6, 1.1]) / u


LAWS = {
    "calibrated": Law(lambda u: 0.5 * u, lambda u: 0.25 * u),
    "on the border": Law(
        lambda u: np.full_like(u, MAX_ERROR * 1.0001), lambda u: MAX_ERROR * 1.0001
    ),
    "jump above it": Law(_jump, _mean_of_jump),
    "waves": Law(
        lambda u: MAX_ERROR * (1 + 0.25 * np.sin(8 * np.pi * u)),
        lambda u: MAX_ERROR * (1 + 0.25 * (1 - np.cos(8 * np.pi * u)) / (8 * np.pi * u)),
    ),
}
#: Ways to start; u = .3 is the score .7.
STARTS: dict[str, dict[str, Any]] = {
    "no start": {},
    "start": {"start": 0.7},
    "unlabeled": {},
    "candidates": {"candidates": [0.7, 0.6, 0.5, 0.4, 0.3]},
}
#: Sizes of 80 groups, all of whose rows are wrong together, and how many of these ways are tried.
GROUPS = {"240 outputs": (1, 4), "groups of 4": (4, 2), "groups of 1 to 6": (6, 3)}


class Gate(RiskControlledThreshold):
    """Without the advice that follows if no threshold has the guarantee."""

    def _advise(self, *_: Any) -> None:
        pass

    def __str__(self) -> str:
        return self.name


def drawn(law: Law, size: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Scores from the highest on, which are wrong, and groups; those of a group are the same."""
    n = 80 if size > 1 else 240
    sizes = rng.integers(1, 7, n) if size == 6 else np.full(n, size)
    u = np.sort(rng.random(n))
    # Large groups are wrong more often; the error rate of all rows is that of the law.
    error = law.error(u) * (sizes * 21 / 91 if size == 6 else 1)
    groups = np.repeat(np.arange(n), sizes)
    return 1 - u[groups], (rng.random(n) < error)[groups].astype(np.int8), groups


def threshold(gate: Gate, data: Any, size: int, unlabeled: Any) -> float:
    """What ``fit`` finds, without its checks of the data."""
    values, wrong, codes = data
    gate.n_groups_ = None
    gate.n_outputs_ = gate.n_tested_ = len(values)
    starts = gate._starts(unlabeled, int(codes[-1]) + 1, size)
    gate._search(*gate._rows(values, wrong, codes, size, starts), starts)
    return gate.threshold_


def failures(repeats: int, seed: int) -> dict[str, list[float]]:
    """Shares of simulations whose error is too large, for each of the levels."""
    found = {}
    for law_name, law in LAWS.items():
        for kind, (size, n_ways) in GROUPS.items():
            rng, broken = np.random.default_rng(seed), np.zeros((n_ways, len(ALPHAS)))
            ways = list(STARTS)[:n_ways]
            for _ in range(repeats):
                data, other = drawn(law, size, rng), 1 - rng.random(200)
                for i, way in enumerate(ways):
                    for j, alpha in enumerate(ALPHAS):
                        gate = Gate(MAX_ERROR, alpha=alpha, **STARTS[way])
                        t = threshold(gate, data, size, other if way == "unlabeled" else None)
                        broken[i, j] += t < np.inf and law.mean(1.0 - t) > MAX_ERROR
            for way, found_by in zip(ways, broken / repeats, strict=True):
                found[f"{law_name}; {kind}; {way}"] = found_by.round(4).tolist()
    return found


# -- the share that is accepted --------------------------------------------------------------------


def groups_of(sizes: np.ndarray, alike: float, noise: float = 0.3) -> Draw:
    """400 groups of calibrated rows; ``alike`` is the correlation of their labels."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        groups = np.repeat(np.arange(400), rng.choice(sizes, 400))
        q = np.clip(rng.beta(4, 1, 400), 1e-9, 1 - 1e-9)
        if alike == 1.0:
            rate = (rng.random(400) < q).astype(float)
        else:
            k = (1.0 - alike) / alike
            rate = rng.beta(q * k, (1 - q) * k)
        odds = (q / (1 - q))[groups] * np.exp(rng.normal(0, noise, len(groups)))
        return odds / (1 + odds), rng.random(len(groups)) < rate[groups], groups

    return draw


def uniform(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Any]:
    p = rng.random(600)
    return p, rng.random(600) < p, None


#: Data, the largest size of a group, ``max_error``, ``start``.
TABLE: dict[str, tuple[Draw, int, float, float]] = {
    **{
        f"400 groups of 8, correlation {alike:g}": (groups_of(np.array([8]), alike), 8, 0.1, 0.93)
        for alike in (0.1, 0.3, 0.5, 1.0)
    },
    **{
        f"groups of 1 to 16, correlation {alike:g}": (
            groups_of(np.arange(1, 17), alike),
            16,
            0.1,
            0.93,
        )
        for alike in (0.1, 0.3, 0.5, 1.0)
    },
    "600 outputs, no groups": (uniform, 1, 0.15, 0.9),
}


def best_share(draw: Draw, max_error: float, by_group: bool) -> tuple[float, float]:
    """The largest share of outputs whose error is at most ``max_error``, and that which one exact
    test of a single threshold, declared beforehand, finds with probability 1/2 if all outputs of a
    group are alike: for them no test of any kind finds more."""
    rng = np.random.default_rng(1)
    parts = [draw(rng) for _ in range(400)]
    p, correct = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    wrong = np.cumsum(~correct[np.argsort(-p)]) / np.arange(1, len(p) + 1)
    share = np.arange(1, len(p) + 1) / len(p)
    n = np.floor(share * (400 if by_group else len(parts[0][0]))).astype(int)
    # Half of the samples have at most their expected number of wrong outputs, about.
    half = bdtr(np.floor(wrong * n), n, max_error) <= 0.1
    return float(share[wrong <= max_error].max()), float(share[half & (n > 0)].max(initial=0.0))


def shares(repeats: int, seed: int) -> dict[str, list[float]]:
    """Mean shares: with no start, from unlabeled outputs, from a start; the best two."""
    found = {}
    for name, (draw, size, max_error, start) in TABLE.items():
        rng, sums = np.random.default_rng(seed), np.zeros(3)
        for _ in range(repeats):
            data, other = draw(rng), draw(rng)[0]
            most = {"max_group_size": size} if size > 1 else {}
            gates = [Gate(max_error, **most) for _ in range(3)]
            gates[0].fit(*data)
            gates[1].fit(*data, unlabeled=other)
            gates[2].set_params(start=start).fit(*data)
            sums += [gate.n_accepted_ / gate.n_outputs_ for gate in gates]
        best = best_share(draw, max_error, size > 1)
        found[name] = [round(float(v), 3) for v in (*sums / repeats, *best)]
    return found


# -- no start and no groups ------------------------------------------------------------------------


def calibrated(a: float, b: float) -> Callable[..., Any]:
    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        p = rng.beta(a, b, n)
        return p, 1 - p

    return draw


def by_rank(*parts: tuple[float, float]) -> Callable[..., Any]:
    """Error rates by the share of outputs with a higher score: (from there on, rate), ..."""
    edges, rates = np.array(parts).T

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        u = rng.random(n)
        return 1 - u, rates[np.searchsorted(edges, u, side="right") - 1]

    return draw


def linear(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    u = rng.random(n)
    return 1 - u, 0.02 + 0.2 * u


#: Outputs, their number, ``max_error``.
NAMED: dict[str, tuple[Callable[..., Any], int, float]] = {
    "good signals": (calibrated(8, 0.8), 2000, 0.05),
    "good signals, fewer": (calibrated(4, 1), 1000, 0.1),
    "mixed signals": (linear, 1000, 0.1),
    "wrong on top": (by_rank((0, 0.2), (0.1, 0.005), (0.5, 0.6)), 1000, 0.1),
    "all wrong on top": (by_rank((0, 1.0), (0.04, 0.005), (0.5, 0.6)), 20_000, 0.1),
    "few rows": (calibrated(4, 1), 200, 0.1),
    "many rows": (calibrated(4, 1), 20_000, 0.1),
}


def before(n: np.ndarray, wrong: np.ndarray, max_error: float) -> int:
    """The rule without separate tests: place of its threshold, or -1."""
    sequences = sequences_of(n, max_error, 0.1)
    p_values = Rows(n, wrong, max_error, 0.1).p_values()
    return last_passed(p_values, wrong > max_error * n, sequences)[0] if sequences else -1


def bonferroni(n: np.ndarray, wrong: np.ndarray, max_error: float) -> int:
    """The lowest of twenty quantiles that passes a test at a twentieth of alpha, or -1."""
    places = np.unique(np.searchsorted(n, np.ceil(n[-1] * np.arange(1, 21) / 20)))
    passed = places[bdtr(wrong[places], n[places], max_error) <= 0.1 / 20]
    return int(passed.max(initial=-1))


def compared(repeats: int, seed: int) -> dict[str, list[float]]:
    """Mean shares: without separate tests, by Bonferroni, and now."""
    found = {}
    for name, (draw, n, max_error) in NAMED.items():
        rng, sums = np.random.default_rng(seed), np.zeros(3)
        for _ in range(repeats):
            p, error = draw(rng, n)
            wrong = (rng.random(n) < error)[np.argsort(-p)]
            counts = accepted_counts(np.sort(p)[::-1], wrong)[1:]
            for i, rule in enumerate((before, bonferroni)):
                place = rule(*counts, max_error)
                sums[i] += counts[0][place] / n if place >= 0 else 0.0
            sums[2] += Gate(max_error).fit(np.sort(p)[::-1], ~wrong).n_accepted_ / n
        found[name] = (sums / repeats).round(4).tolist()
    return found


def run(repeats: int, seed: int) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    few = max(repeats // 20, 5)
    return {
        "failures": failures(repeats, seed),
        "repeats": repeats,
        "shares": shares(few, seed),
        "compared": compared(few, seed),
    }


def show(found: dict[str, Any]) -> None:
    repeats = found["repeats"]
    print(f"share of {repeats} simulations with too many errors, alpha .1 and .5")
    for name, broken in found["failures"].items():
        limits = [a + 3 * np.sqrt(a * (1 - a) / repeats) for a in ALPHAS]
        high = any(b > limit for b, limit in zip(broken, limits, strict=True))
        print(f"{name:60}{broken[0]:8.4f}{broken[1]:8.4f}{'  HIGH' if high else ''}")
    columns = "".join(f"{c:>11}" for c in ("no start", "unlabeled", "start", "best", "one test"))
    print(f"\nmean share of outputs accepted{columns:>65}")
    for name, means in found["shares"].items():
        print(f"{name:40}" + "".join(f"{v:11.3f}" for v in means))
    print("\nno groups, no start: mean share before, by Bonferroni, now; now / better of the two")
    for name, means in found["compared"].items():
        ratio = means[2] / max(*means[:2], 1e-9)
        print(f"{name:40}" + "".join(f"{v:8.3f}" for v in (*means, ratio)))
