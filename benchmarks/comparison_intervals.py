"""Simulate how often the intervals of compare_calibrators contain the expected difference.

python benchmarks/comparison_intervals.py
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import expit

from calibkit import compare_calibrators

METHODS = ["auto", "beta", "isotonic", "platt", "spline", "temperature"]
#: True log-odds of scores z.
LAWS = {
    "calibrated": lambda z: z,
    "logistic": lambda z: 0.6 * z + 0.3,
    "bent": lambda z: z - 0.25 * z**2,
}


def simulate(law: str, n: int, repeats: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Log losses of the methods in each data set, and the ends of the intervals."""
    rng = np.random.default_rng(0)
    losses, ends = [], []
    for _ in range(repeats):
        z = 1.5 * rng.standard_normal(n)
        y = rng.random(n) < expit(LAWS[law](z))
        found = compare_calibrators(expit(z), y, METHODS)
        records = sorted(found.records, key=lambda record: record["name"])
        losses.append([r["log_loss"] for r in records])
        ends.append([(r["difference_low"], r["difference_high"]) for r in records])
    return [r["name"] for r in records], np.array(losses), np.array(ends)


def main() -> None:
    """Print the coverage of each method, and how often the best one is called worse."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=80)
    repeats = parser.parse_args().repeats
    print("coverage of 90% intervals: difference from the method that looks best\n")
    for law in LAWS:
        for n in (200, 1000):
            names, losses, ends = simulate(law, n, repeats)
            mean, best = losses.mean(axis=0), losses.argmin(axis=1)
            expected = mean - mean[best][:, None]
            inside = (ends[..., 0] <= expected) & (expected <= ends[..., 1])
            others = np.arange(len(names)) != best[:, None]
            covered = (inside & others).sum(axis=0) / np.maximum(others.sum(axis=0), 1)
            worse = (ends[:, mean.argmin(), 0] > 0).mean()
            shares = ", ".join(f"{a} {c:.2f}" for a, c in zip(names, covered, strict=True))
            print(f"{law}, n = {n}: {shares}; all {inside[others].mean():.3f}; the method with the "
                  f"lowest expected loss is called worse in {worse:.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
