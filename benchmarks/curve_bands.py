"""Coverage of the bands of `reliability_curve`, at single scores.

Confidence: how often the true frequency (for a smooth curve, the smoothed one) lies between `low`
and `high`; beside the CORP interval the percentile bootstrap of the rows, which is not used.
Consistency: how often the curve of a calibrated model lies in its range. All at the smallest
score, at quantiles and at the largest score; nominal are 90%. The scores of a law are the same in
all repetitions.

    python benchmarks/curve_bands.py
    python benchmarks/curve_bands.py --repeats 200 --n 500
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import beta

from calibkit import reliability_curve
from calibkit._numerics.pava import pooled
from calibkit.metrics._curves import _bells

PLACES = (0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)
Law = tuple[Callable[[Any], Any], Callable[[Any], Any]]
#: Quantile function of the scores, and the true frequency at a score.
LAWS: dict[str, Law] = {
    "calibrated": (lambda u: u, lambda p: p),
    "slope": (lambda u: u, lambda p: expit(0.5 * logit(p))),
    "jump": (lambda u: u, lambda p: np.where(p < 0.5, 0.2, 0.8)),
    "flat": (lambda u: u, lambda p: np.full(len(p), 0.3)),
    "rare": (lambda u: beta.ppf(u, 0.6, 12.0), lambda p: 0.5 * p),
    "ties": (lambda u: np.ceil(10.0 * u) / 10.0 - 0.05, lambda p: p**1.5),
}


def rows_drawn(p: Any, y: Any, at: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    distinct, code = np.unique(p, return_inverse=True)
    counts = rng.multinomial(len(p), np.full(len(p), 1.0 / len(p)), size=200).astype(float)
    into = np.zeros((len(p), len(distinct)))
    into[np.arange(len(p)), code] = 1.0
    fit = pooled(counts @ into, (counts * y) @ into)
    # Scores that a draw lacks have no value of their own: the one before counts.
    filled = np.maximum.accumulate(fit, axis=1)[:, np.searchsorted(distinct, at)]
    return tuple(np.quantile(filled, (0.05, 0.95), axis=0))


def shares(name: str, n: int, repeats: int) -> dict[str, Any]:
    scores, truth = LAWS[name]
    p = scores((np.arange(n) + 0.5) / n)
    at = np.quantile(p, PLACES, method="nearest")
    hits: dict[str, list[Any]] = {}
    for seed in range(repeats):
        rng = np.random.default_rng([3, seed])

        def note(kind: str, low: Any, value: Any, high: Any) -> None:
            inside = (low - 1e-9 <= value) & (value <= high + 1e-9)
            hits.setdefault(kind, []).append(inside)

        for rate, what in ((truth(p), "confidence"), (p, "consistency")):
            y = (rng.random(n) < rate).astype(int)
            for curve in ("corp", "smooth"):
                c = reliability_curve(y, p, curve=curve, n_draws=200, random_state=seed)
                names = ("frequency", "low", "high", "consistency_low", "consistency_high")
                f, *ends = (np.interp(at, c.score, getattr(c, field)) for field in names)
                if what == "consistency":
                    note(f"{curve}, consistency", ends[2], f, ends[3])
                else:
                    true = truth(at)
                    if curve == "smooth":
                        kernel = _bells(at, p, c.bandwidth, reflected=True)
                        true = kernel @ rate / kernel.sum(axis=1)
                    note(f"{curve}, confidence", ends[0], true, ends[1])
            if what == "confidence":
                low, high = rows_drawn(p, y, at, rng)
                note("corp, bootstrap of rows", low, truth(at), high)
    return {kind: np.mean(found, axis=0) for kind, found in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--n", type=int, nargs="*", default=[200, 2000])
    given = parser.parse_args()
    print(f"{'quantile of the scores':36}" + "".join(f"{place:7g}" for place in PLACES))
    for n in given.n:
        for law in LAWS:
            for kind, found in shares(law, n, given.repeats).items():
                cells = "".join(f"{share:7.3f}" for share in found)
                print(f"{law:11}{n:5} {kind:24}{cells}", flush=True)


if __name__ == "__main__":
    main()
