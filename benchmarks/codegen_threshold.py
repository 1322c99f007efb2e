"""Test the error-rate guarantee of RiskControlledThreshold, and how much it accepts.

Simulates labeled outputs many times and fits a threshold with a maximum error rate of 5% (20% for
outputs that state one of a few confidences). For each kind of outputs, number of outputs and alpha
it prints three shares: "fails", of simulations where the true error among accepted outputs is above
the maximum; "found", of simulations with a threshold; and "accepted", of outputs. The same follow
for the naive threshold, the lowest one whose observed error is at most 5% (20%).

    python benchmarks/codegen_threshold.py                 # forty minutes on one core
    python benchmarks/codegen_threshold.py --many 1000     # 1,000 simulations instead of 5,000
    python benchmarks/codegen_threshold.py --json benchmarks/codegen_threshold.json

"!" marks a share of failures that is above alpha by more than two standard errors.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from calibkit.decisions import RiskControlledThreshold

MAX_ERROR, SAMPLES = 0.05, 10
#: Maximum error rate for outputs that state one of a few confidences.
MAX_ERROR_STATED = 0.2
#: Outputs from which the true error of each threshold is computed, with exact probabilities.
POPULATION = 2_000_000


class Outputs(NamedTuple):
    p: np.ndarray
    error: np.ndarray  # the true probability of being wrong, given p
    correct: np.ndarray
    groups: np.ndarray | None = None


def _drawn(rng: np.random.Generator, p: np.ndarray, error: np.ndarray) -> Outputs:
    return Outputs(p, error, rng.random(len(p)) >= error)


def calibrated(rng: np.random.Generator, n: int) -> Outputs:
    p = rng.beta(8.0, 0.8, n)
    return _drawn(rng, p, 1.0 - p)


def discrete(rng: np.random.Generator, n: int) -> Outputs:
    """Agreement of ten samples: eleven values."""
    p = rng.binomial(10, rng.beta(2.0, 0.4, n)) / 10
    return _drawn(rng, p, np.interp(p, [0, 0.5, 0.9, 1], [0.9, 0.5, 0.12, 0.03]))


def wrong_at_the_top(rng: np.random.Generator, n: int) -> Outputs:
    """The highest tenth of the scores has an error of 20%; the next lower ones are better."""
    p = rng.random(n)
    return _drawn(rng, p, np.where(p > 0.9, 0.2, np.where(p > 0.5, 0.005, 0.6)))


def border(rng: np.random.Generator, n: int) -> Outputs:
    """The error of every threshold is slightly above the maximum: the hardest case."""
    p = rng.random(n)
    return _drawn(rng, p, np.full(n, MAX_ERROR * 1.0001))


def waves(rng: np.random.Generator, n: int) -> Outputs:
    """Errors that rise and fall with the score, above and below the maximum."""
    p = rng.random(n)
    return _drawn(rng, p, MAX_ERROR * (1.0001 + np.sin(12 * np.sqrt(1 - p))))


def useless(rng: np.random.Generator, n: int) -> Outputs:
    p = rng.random(n)
    return _drawn(rng, p, np.full(n, 0.3))


def _grouped(rng: np.random.Generator, n: int, correlation: float) -> Outputs:
    """Problems of ten samples; the samples of a problem are correlated."""
    many = n // SAMPLES
    p = np.repeat(rng.beta(8.0, 0.8, many), SAMPLES)
    own = (1.0 - p[::SAMPLES]).clip(1e-9, 1 - 1e-9)
    if correlation == 1.0:
        wrong = rng.random(many) < own
    else:
        k = (1.0 - correlation) / correlation
        wrong = rng.beta(own * k, (1.0 - own) * k)
    correct = rng.random((many, SAMPLES)) >= np.asarray(wrong, dtype=float)[:, None]
    # The scores of the samples differ a little from that of the problem.
    noisy = 1.0 / (1.0 + (1.0 - p) / p * np.exp(rng.normal(0.0, 0.3, n)))
    return Outputs(noisy, 1.0 - p, correct.ravel(), np.repeat(np.arange(many), SAMPLES))


def groups_half(rng: np.random.Generator, n: int) -> Outputs:
    return _grouped(rng, n, 0.5)


def groups_all(rng: np.random.Generator, n: int) -> Outputs:
    return _grouped(rng, n, 1.0)


def _stated(*values: tuple[float, float, float]) -> Callable[[np.random.Generator, int], Outputs]:
    """Outputs that state one of a few confidences, each given by its value, share and error."""
    p, share, error = np.array(values).T

    def draw(rng: np.random.Generator, n: int) -> Outputs:
        i = rng.choice(len(p), size=n, p=share)
        return _drawn(rng, p[i], error[i])

    return draw


STATED: dict[str, Callable[[np.random.Generator, int], Outputs]] = {
    "stated, 3 values": _stated((1, 0.35, 0.22), (0.9, 0.35, 0.11), (0.5, 0.3, 0.33)),
    "stated, most say 1": _stated((1, 0.6, 0.22), (0.9, 0.3, 0.05), (0.5, 0.1, 0.33)),
    "stated, 5 values": _stated(
        (1, 0.3, 0.23), (0.95, 0.2, 0.21), (0.9, 0.2, 0.22), (0.8, 0.25, 0.05), (0.5, 0.05, 0.3)
    ),
    "stated, on the border": _stated(
        *(
            (p, share, MAX_ERROR_STATED * 1.0001)
            for p, share in ((1, 0.4), (0.95, 0.01), (0.9, 0.3), (0.8, 0.09), (0.5, 0.2))
        )
    ),
}
KINDS: dict[str, Callable[[np.random.Generator, int], Outputs]] = {
    "calibrated": calibrated,
    "11 values": discrete,
    "wrong at the top": wrong_at_the_top,
    "on the border": border,
    "waves": waves,
    "useless": useless,
    "groups, corr. 0.5": groups_half,
    "groups, all or none": groups_all,
    **STATED,
}


class Truth:
    """True error and share of outputs at or above each threshold."""

    def __init__(self, kind: Callable[[np.random.Generator, int], Outputs]) -> None:
        outputs = kind(np.random.default_rng(1), POPULATION)
        order = np.argsort(-outputs.p)
        self._p = -outputs.p[order]
        self._wrong = np.append(0.0, np.cumsum(outputs.error[order]))

    def at(self, threshold: float) -> tuple[float, float]:
        """Error (0 if nothing is accepted) and share accepted."""
        n = int(np.searchsorted(self._p, -threshold, side="right"))
        return (self._wrong[n] / n if n else 0.0), n / len(self._p)


def naive(outputs: Outputs, max_error: float) -> float:
    """The lowest threshold whose observed error is at most ``max_error``."""
    order = np.argsort(-outputs.p)
    p = outputs.p[order]
    error = np.cumsum(~outputs.correct[order]) / np.arange(1, len(p) + 1)
    last = np.append(np.diff(p) != 0, True)
    fine = np.flatnonzero(last & (error <= max_error))
    return float(p[fine[-1]]) if len(fine) else np.inf


def simulate(
    kind: Callable[[np.random.Generator, int], Outputs], n: int, alpha: float, many: int, seed: int
) -> np.ndarray:
    """Shares of failures, of thresholds found, of outputs accepted: controlled, then naive."""
    truth, rng = Truth(kind), np.random.default_rng(seed)
    max_error = MAX_ERROR_STATED if kind in STATED.values() else MAX_ERROR
    sums = np.zeros((2, 3))
    for _ in range(many):
        outputs = kind(rng, n)
        gate = RiskControlledThreshold(max_error, alpha=alpha)
        gate.fit(outputs.p, outputs.correct, outputs.groups)
        for j, threshold in enumerate((gate.threshold_, naive(outputs, max_error))):
            error, share = truth.at(threshold)
            sums[j] += error > max_error, threshold < np.inf, share
    return sums / many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--many", type=int, default=5000, help="simulations per line")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args()
    many = options.many
    warnings.simplefilter("ignore")
    print(
        f"maximum error rate {MAX_ERROR:.0%} ({MAX_ERROR_STATED:.0%} for stated confidences); "
        f"{many:,} simulations per line\n"
    )
    print(f"{'':34}{'controlled':>27}{'naive':>30}")
    found: list[list[object]] = []
    columns = "".join(f"{name:>10}" for name in ("fails", "found", "accepted"))
    print(f"{'outputs':<22}{'n':>6}{'alpha':>6}{columns}{columns}")
    for name, kind in KINDS.items():
        for n in (200, 1000, 5000):
            for alpha in (0.1, 0.05):
                ours, other = simulate(kind, n, alpha, many, seed=n)
                limit = alpha + 2.0 * np.sqrt(alpha * (1.0 - alpha) / many)
                mark = "!" if ours[0] > limit else " "
                cells = "".join(f"{v:>10.3f}" for v in (*ours, *other))
                print(f"{name:<22}{n:>6}{alpha:>6}{cells} {mark}", flush=True)
                found.append([name, n, alpha, *(round(float(v), 4) for v in (*ours, *other))])
    if options.json:
        options.json.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n")


if __name__ == "__main__":
    main()
