"""Experiments a and b of verified.py: each returns dicts of results, and prints nothing.

Calibrators and metrics are calibkit's. On a few trials their results are compared with sums that
are computed here without calibkit; a difference beyond rounding stops the run.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import verified_paper as paper
from verified_laws import UniformLaw
from verified_stats import Mean, mean, ratio, shares_and_means, squared_error

from calibkit import (
    CalibrationWarning,
    HistogramBinningCalibrator,
    OneVsRestCalibrator,
    PlattCalibrator,
    ScalingBinningCalibrator,
    ScoreTable,
    TopLabelCalibrator,
    calibration_error,
    estimate,
    squared_calibration_error,
)

#: Trials of which the results are computed a second time without calibkit.
CHECKED = 3
LEVEL = 0.9
#: Data sets for the coverage of the intervals, and resamples of each.
COVERAGE_TRIALS, COVERAGE_RESAMPLES = 30, 200
#: Name and setting of ``debias``.
ESTIMATORS = {"plugin": False, "debiased": True}

Generator = np.random.Generator


def agree(ours: float, brute: float, what: str) -> None:
    """Raise if two computations of one number differ by more than rounding."""
    if not np.isclose(ours, brute, rtol=1e-8, atol=1e-13):
        raise AssertionError(f"{what}: calibkit {ours!r}, the other way {brute!r}")


def methods(n_bins: int) -> dict[str, Any]:
    """The two calibrators that are compared."""
    return {
        "histogram": HistogramBinningCalibrator(n_bins=n_bins, smoothing=0),
        "scaling-binning": ScalingBinningCalibrator(PlattCalibrator(), n_bins=n_bins),
    }


# -- a: a Platt-scaled model, measured with more and more bins ----------------------------------


def platt_and_bins(
    p: np.ndarray, y: np.ndarray, split: tuple[int, int], n_bins: int
) -> tuple[PlattCalibrator, np.ndarray]:
    """Platt scaling of the first rows, and borders from the first and second part together.

    Borders are those of the scores before scaling; the map is increasing, so the bins are equal.
    """
    scale, both = split[0], split[0] + split[1]
    borders = ScoreTable.from_arrays(y[:both], p[:both]).borders("quantile", n_bins)
    return PlattCalibrator().fit(p[:scale], y[:scale]), borders


def measured(
    q: np.ndarray, y: np.ndarray, index: np.ndarray, rng: Generator, n_resamples: int
) -> dict[str, Any]:
    """Squared error of the binned model by both estimators, and its root with an interval.

    ``n_resamples=0`` leaves out the interval, which takes nearly all the time.
    """
    used, index = np.unique(index, return_inverse=True)
    value = np.bincount(index, q) / np.bincount(index)
    same = {"strategy": "unique", "y_true": y, "y_prob": value[index]}
    row: dict[str, Any] = {"bins used": len(used), "interval": (np.nan, np.nan)}
    for name, debias in ESTIMATORS.items():
        square = squared_calibration_error(**same, debias=debias)
        row[f"{name} square"], row[name] = square, float(np.sqrt(max(square, 0.0)))
    share, rate = shares_and_means(index, y, len(used))
    agree(row["plugin square"], squared_error(value, share, rate, False), "plugin error")
    if n_resamples:
        settings = {"level": LEVEL, "n_resamples": n_resamples, "random_state": rng}
        e = estimate(calibration_error, **same, **settings)
        agree(row["debiased"], e.value, "debiased error")
        row["interval"] = e.low, e.high
    return row


def run_a(
    p: np.ndarray,
    y: np.ndarray,
    split: tuple[int, int],
    rng: Generator,
    n_resamples: int,
    law: UniformLaw | None = None,
) -> list[dict[str, Any]]:
    """One row of results for each number of bins; with a law, also the exact error."""
    test = slice(sum(split), None)
    rows = []
    for n_bins in paper.BINS_A:
        if n_bins > (len(y) - sum(split)) / 10:
            break
        platt, borders = platt_and_bins(p, y, split, n_bins)
        q = platt.predict_proba(p[test])[:, 1]
        index = np.searchsorted(borders, p[test], side="right")
        row = {"bins": n_bins, **measured(q, y[test], index, rng, n_resamples)}
        if law is not None:
            row |= exact_a(law, platt, borders)
        rows.append(row)
    return rows


def exact_a(law: UniformLaw, platt: PlattCalibrator, borders: np.ndarray) -> dict[str, float]:
    """Errors of the Platt-scaled model with bins and without, by integration."""
    edges = np.concatenate(([law.low], borders, [law.high]))

    def scaled(z: np.ndarray) -> np.ndarray:
        return platt.predict_proba(z.ravel())[:, 1].reshape(z.shape)

    mass, rate = law.bins(borders)
    binned = squared_error(law.mean_of(scaled, edges), mass, rate, False)
    return {"exact": float(np.sqrt(binned)), "true": float(np.sqrt(law.squared_error_of(scaled)))}


def repeat_a(
    law: UniformLaw, split: tuple[int, int, int], trials: int, rng: Generator, n_resamples: int
) -> list[dict[str, Any]]:
    """Run a on many generated data sets; return the first one, means, and coverage."""
    runs = []
    for t in range(trials):
        z, y = law.draw(rng, sum(split))
        few = min(n_resamples, COVERAGE_RESAMPLES)
        draws = n_resamples if t == 0 else few * (t < COVERAGE_TRIALS)
        runs.append(run_a(z, y, split[:2], rng, draws, law))
    rows = []
    for same in zip(*runs, strict=True):
        exact = np.array([r["exact"] for r in same])
        low, high = np.array([r["interval"] for r in same[:COVERAGE_TRIALS]]).T
        held = (low <= exact[:COVERAGE_TRIALS]) & (exact[:COVERAGE_TRIALS] <= high)
        row = {**same[0], "trials": trials, "intervals": len(held), "coverage": mean(held)}
        row["mean exact"], row["mean true"] = mean(exact), mean([r["true"] for r in same])
        for name in ESTIMATORS:
            row[f"mean {name}"] = mean([r[name] for r in same])
            row[f"excess {name}"] = mean([r[f"{name} square"] - r["exact"] ** 2 for r in same])
        rows.append(row)
    return rows


# -- b: scaling-binning against histogram binning -----------------------------------------------


def classwise_outputs(calibrator: Any, P: np.ndarray, y: np.ndarray, rows: np.ndarray) -> Any:
    """(output, event) of each class on the pool; outputs are not normalized."""
    lifted = OneVsRestCalibrator(calibrator, classes=np.arange(P.shape[1]))
    Q = lifted.fit(P[rows], y[rows]).predict_classwise(P)
    return [(Q[:, k], y == k) for k in range(P.shape[1])]


def top_label_outputs(calibrator: Any, P: np.ndarray, y: np.ndarray, rows: np.ndarray) -> Any:
    """(confidence, whether the top class is right) on the pool."""
    lifted = TopLabelCalibrator(calibrator, classes=np.arange(P.shape[1]))
    confidence = lifted.fit(P[rows], y[rows]).predict_confidence(P)
    return [(confidence, P.argmax(axis=1) == y)]


def binary_outputs(calibrator: Any, p: np.ndarray, y: np.ndarray, rows: np.ndarray) -> Any:
    """(probability, event) on the pool."""
    return [(calibrator.fit(p[rows], y[rows]).predict_proba(p)[:, 1], y == 1)]


READINGS = {
    "class-wise": classwise_outputs,
    "top-label": top_label_outputs,
    "binary": binary_outputs,
}


def errors_on_pool(problems: Any, check: bool) -> tuple[float, float, float]:
    """Squared error with equal values merged and kept apart, and mean squared error.

    Calibration rows are drawn from the pool, so its plugin error is exact. The mean squared error
    of K classes is half the Brier score, as in the paper.
    """
    merged, apart, brier = [], [], 0.0
    for q, event in problems:
        rounded = np.round(q, 12)
        for values, out in ((rounded, merged), (q, apart)):
            out.append(squared_calibration_error(event, values, strategy="unique", debias=False))
        brier += float(np.mean((q - event) ** 2)) * (1.0 if len(problems) == 1 else 0.5)
        if check:
            value, index = np.unique(q, return_inverse=True)
            share, rate = shares_and_means(index, event, len(value))
            agree(merged[-1], squared_error(value, share, rate, True), "merged error on the pool")
            agree(apart[-1], squared_error(value, share, rate, False), "error on the pool")
    return float(np.mean(merged)), float(np.mean(apart)), brier


def run_b(
    P: np.ndarray, y: np.ndarray, reading: str, trials: int, rng: Generator
) -> list[dict[str, Any]]:
    """Both methods on the same ROWS_B rows, drawn with replacement; a row for each B."""
    found = np.empty((len(paper.BINS_B), 2, 3, trials))
    with warnings.catch_warnings():
        # With few rows of a class some draws are separable, or have none of its rows.
        warnings.simplefilter("ignore", CalibrationWarning)
        for t in range(trials):
            rows = rng.integers(len(y), size=paper.ROWS_B)
            for b, n_bins in enumerate(paper.BINS_B):
                for m, calibrator in enumerate(methods(n_bins).values()):
                    outputs = READINGS[reading](calibrator, P, y, rows)
                    found[b, m, :, t] = errors_on_pool(outputs, t < CHECKED)
    return [_row_b(n_bins, *found[b]) for b, n_bins in enumerate(paper.BINS_B)]


def _row_b(n_bins: int, histogram: np.ndarray, scaling: np.ndarray) -> dict[str, Any]:
    row: dict[str, Any] = {"bins": n_bins}
    for i, name in enumerate(("merged", "apart", "mse")):
        row[f"histogram {name}"], row[f"scaling {name}"] = mean(histogram[i]), mean(scaling[i])
        r = ratio(scaling[i], histogram[i])
        row[f"lower {name}"] = Mean(1 - r.value, r.se)
    return row
