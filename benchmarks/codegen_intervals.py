"""Measure the coverage of the intervals of evaluate_confidence with groups of similar outputs.

Simulates problems that have effects on both the labels and the signal. Counts how often an interval
of the uncalibrated signal contains the true value, which is that of 400,000 problems. "effective"
is the effective number of groups (Kish).

    python benchmarks/codegen_intervals.py             # 1,000 data sets a line: some five minutes
    python benchmarks/codegen_intervals.py --trials 100
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

from calibkit.decisions import evaluate_confidence

NAMES = ("success_rate", "skill", "auc", "ece")
LEVEL = 0.9
#: Problems from which the true values are computed.
POPULATION = 400_000


def sizes_of(kind: str, n_groups: int, rng: np.random.Generator) -> np.ndarray:
    """Number of outputs of each problem."""
    if kind == "equal":
        return np.full(n_groups, 8)
    if kind == "geometric":
        return np.minimum(rng.geometric(1 / 8, n_groups), 60)
    return np.minimum((3 * rng.pareto(1.2, n_groups) + 1).astype(int), 200)  # heavy tails


def outputs(
    kind: str, n_groups: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An over-confident signal, whether each output was right, and its problem."""
    group = np.repeat(np.arange(n_groups), sizes_of(kind, n_groups, rng))
    ease, style = rng.normal(size=n_groups)[group], rng.normal(size=n_groups)[group]
    z = 0.7 * rng.normal(size=len(group)) + 0.7 * style
    right = rng.random(len(group)) < 1 / (1 + np.exp(-(0.8 * z + ease - 0.3)))
    return 1 / (1 + np.exp(-(1.6 * z + 0.4))), right, group


def raw_row(signal: np.ndarray, right: np.ndarray, group: np.ndarray | None, n_draws: int) -> dict:
    # Two folds are enough, since the calibrated signal is ignored.
    return evaluate_confidence(signal, right, group, cv=2, level=LEVEL, n_resamples=n_draws)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000, help="data sets a line")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    se = np.sqrt(LEVEL * (1 - LEVEL) / options.trials)
    print(f"coverage of {LEVEL:.0%} intervals, {options.trials} data sets a line (s.e. {se:.3f})\n")
    print(f"{'sizes':12}{'groups':>8}{'effective':>11}" + "".join(f"{n:>14}" for n in NAMES))
    for kind, n_groups in [
        ("equal", 20),
        ("equal", 100),
        ("geometric", 20),
        ("geometric", 60),
        ("geometric", 300),
        ("heavy", 60),
        ("heavy", 300),
    ]:
        rng = np.random.default_rng(0)
        many = raw_row(*outputs(kind, POPULATION, rng)[:2], None, 10)
        truth = {name: float(many[name]) for name in NAMES}
        inside, worth = dict.fromkeys(NAMES, 0), 0.0
        for _ in range(options.trials):
            signal, right, group = outputs(kind, n_groups, rng)
            sizes = np.bincount(group)
            worth += sizes.sum() ** 2 / (sizes**2).sum() / options.trials
            found = raw_row(signal, right, group, 400)
            for name in NAMES:
                inside[name] += found[name].low <= truth[name] <= found[name].high
        shares = "".join(f"{inside[name] / options.trials:>14.3f}" for name in NAMES)
        print(f"{kind:12}{n_groups:>8}{worth:>11.0f}{shares}", flush=True)


if __name__ == "__main__":
    main()
