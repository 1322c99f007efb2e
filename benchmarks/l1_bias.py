"""How much of the plug-in's bias the debiased l1 error keeps, for calibrated models and others.

python benchmarks/l1_bias.py
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

import calibkit


def main() -> None:
    print("mean l1 error less the true one, by the plug-in and debiased; share of the bias kept\n")
    print(f"{'rows':>7}{'bins':>6}{'slope':>7}{'true':>8}{'plug-in':>9}{'debiased':>10}{'kept':>7}")
    for n, bins, slope in [
        (200, 10, 1.0), (1_000, 15, 1.0), (10_000, 15, 1.0), (1_000, 100, 1.0),
        (1_000, 15, 0.9), (1_000, 15, 0.7),
    ]:  # fmt: skip
        rng = np.random.default_rng(0)
        z = 1.5 * rng.standard_normal(1_000_000)
        settings = {"norm": "l1", "strategy": "uniform", "n_bins": bins}
        # A model's gap in each bin from its true probabilities, as fractions of events.
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
