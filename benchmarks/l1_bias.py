"""Measure how much of the plug-in's bias remains in the debiased l1 error.

python benchmarks/l1_bias.py
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import expit

import calibkit


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print(
        "mean l1 error minus the true one: plug-in, debiased, and share of the bias that is kept\n"
    )
    print(f"{'rows':>7}{'bins':>6}{'slope':>7}{'true':>8}{'plug-in':>9}{'debiased':>10}{'kept':>7}")
    for n, bins, slope in [
        (200, 10, 1.0), (1_000, 15, 1.0), (10_000, 15, 1.0), (1_000, 100, 1.0),
        (1_000, 15, 0.9), (1_000, 15, 0.7),
    ]:  # fmt: skip
        rng = np.random.default_rng(0)
        z = 1.5 * rng.standard_normal(1_000_000)
        settings = {"norm": "l1", "strategy": "uniform", "n_bins": bins}
        # The true probabilities are passed as fractional labels.
        true = calibkit.calibration_error(expit(slope * z), expit(z), debias=False, **settings)
        found = []
        for _ in range(300):
            z = 1.5 * rng.standard_normal(n)
            y = (rng.random(n) < expit(slope * z)).astype(int)
            found.append([
                calibkit.calibration_error(y, expit(z), debias=debias, **settings)
                for debias in (False, True)
            ])  # fmt: skip
        plain, better = np.mean(found, axis=0) - true
        print(f"{n:7,}{bins:6}{slope:7}{true:8.4f}{plain:9.4f}{better:10.4f}{better / plain:7.2f}")


if __name__ == "__main__":
    main()
