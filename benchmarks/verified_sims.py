"""Experiments c and d of verified.py: estimates of a squared error, and the synthetic laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import verified_paper as paper
from scipy.special import expit, logit
from verified_laws import FiniteModel, UniformLaw
from verified_runs import CHECKED, ESTIMATORS, Generator, agree, methods
from verified_stats import Mean, mean, ratio, shares_and_means, squared_error

from calibkit import (
    PlattCalibrator,
    ScalingBinningCalibrator,
    ScoreTable,
    TopLabelCalibrator,
    squared_calibration_error,
)
from calibkit._numerics.binning import BinSums
from calibkit._numerics.debias import squared_error as unbiased_square
from calibkit.metrics._binned import norm_of_gaps

UNIQUE = {"strategy": "unique"}
#: Data sets that are simulated at once.
BATCH = 10_000

# -- c: plugin and debiased estimates against the truth -----------------------------------------


def split_c(rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on, and the pool."""
    order = rng.permutation(n)
    cut = min(paper.CALIBRATION_C, 3 * n // 10)
    return order[:cut], order[cut:]


def finite_model(
    P: np.ndarray, y: np.ndarray, fit: np.ndarray, pool: np.ndarray, n_bins: int
) -> FiniteModel:
    """Scaling-binning of the top label, fitted on some rows, as a model of the pool."""
    binned = ScalingBinningCalibrator(PlattCalibrator(), n_bins=n_bins)
    if P.ndim == 1:
        confidence = binned.fit(P[fit], y[fit]).predict_proba(P[pool])[:, 1]
        event = y[pool] == 1
    else:
        lifted = TopLabelCalibrator(binned).fit(P[fit], y[fit])
        confidence, event = lifted.predict_confidence(P[pool]), P[pool].argmax(axis=1) == y[pool]
    value, index = np.unique(confidence, return_inverse=True)
    return FiniteModel.of_pool(value, index, event)


def estimates(model: FiniteModel, n: int, sets: int, rng: Generator) -> dict[str, np.ndarray]:
    """:func:`batch_estimates` in batches that fit into memory."""
    sizes = [min(BATCH, sets - start) for start in range(0, sets, BATCH)]
    parts = [batch_estimates(model, n, size, rng) for size in sizes]
    return {name: np.concatenate([part[name] for part in parts]) for name in ESTIMATORS}


def batch_estimates(model: FiniteModel, n: int, sets: int, rng: Generator) -> dict[str, np.ndarray]:
    """Both estimates of the squared error on many data sets of n rows.

    Uses calibkit's sums over bins for all data sets at once. If an output has a single row, the
    noise cannot be estimated, so calibkit pools it with a neighbor; such data sets use the public
    function.
    """
    rows, events = model.draw(rng, n, sets)
    w, wy, p = rows.astype(float), events.astype(float), model.value
    sums = BinSums(rows, w, w * p, wy, w * p**2 + wy * (1 - 2 * p))
    found = {
        "plugin": norm_of_gaps("l2", sums.w, sums.wp, sums.wy) ** 2,
        "debiased": unbiased_square(sums, "differences"),
    }
    for t in np.flatnonzero((rows == 1).any(axis=1)):
        found["debiased"][t] = squared_calibration_error(table_of(p, w[t], wy[t]), **UNIQUE)
    for t in range(min(CHECKED, sets)):
        check_estimates(p, rows[t], events[t], {name: x[t] for name, x in found.items()})
    return found


def table_of(value: np.ndarray, rows: np.ndarray, events: np.ndarray) -> ScoreTable:
    """Table of the distinct outputs of a data set."""
    seen = rows > 0
    n, wy = rows[seen], events[seen]
    return ScoreTable(value[seen], n.astype(np.int64), n, wy, n, wy, wy)


def check_estimates(
    value: np.ndarray, rows: np.ndarray, events: np.ndarray, found: dict[str, float]
) -> None:
    """Compare with the public function on the rows themselves, and with the paper's formula."""
    y = np.concatenate([np.arange(n) < k for n, k in zip(rows, events, strict=True)])
    for name, debias in ESTIMATORS.items():
        square = squared_calibration_error(y, np.repeat(value, rows), **UNIQUE, debias=debias)
        agree(found[name], square, f"{name} on rows")
    if (rows >= 2).all():
        rate = events / rows
        noise = rate * (1 - rate) / (rows - 1)
        published = rows @ ((value - rate) ** 2 - noise) / rows.sum()
        agree(found["debiased"], published, "debiased by the paper's formula")


def run_c(
    model: FiniteModel, rows: tuple[int, ...], sets: int, rng: Generator
) -> list[dict[str, Any]]:
    """Bias and mean squared error of both estimates, for each number of rows."""
    truth, out = model.squared_error, []
    for n in rows:
        found = estimates(model, n, sets, rng)
        row: dict[str, Any] = {"n": n, "truth": truth, "plugin bias expected": model.plugin_bias(n)}
        off = {name: values - truth for name, values in found.items()}
        for name, x in off.items():
            row[f"{name} bias"], row[f"{name} mse"] = mean(x), mean(x**2)
        row["bias ratio"] = ratio(off["debiased"], off["plugin"])
        row["mse ratio"] = ratio(off["plugin"] ** 2, off["debiased"] ** 2)
        out.append(row)
    return out


# -- d: laws whose exact errors are known -------------------------------------------------------

#: Rows of the curve against n, at BINS_NOISY bins.
SWEEP = (500, 1_000, 2_000, 4_000)
#: Rows of the curve of the law that no Platt map fits.
SWEEP_NOISY = (1_000, 2_000, 3_000, 4_000)
TEST_POINTS = (1_000, 10_000)


def borders_in_z(calibrator: Any) -> np.ndarray:
    """Inner borders of the bins, as uncalibrated scores (mapped back from scaled scores)."""
    if not hasattr(calibrator, "scaler_"):
        return calibrator.borders_
    scaler = calibrator.scaler_
    if scaler.slope_ <= 0:
        raise AssertionError(f"slope {scaler.slope_}: the scaler reverses the scores")
    return expit((logit(calibrator.borders_) - scaler.intercept_) / scaler.slope_)


def errors_of(calibrator: Any, law: UniformLaw, test: np.ndarray, check: bool) -> dict[str, float]:
    """Squared errors of a binned calibrator: exact, and on test points.

    On test points the paper's code uses P(Y=1|z) as labels, so there is no label noise, and it
    pools bins with the same value.
    """
    value = calibrator.value_
    mass, rate = law.bins(borders_in_z(calibrator))
    out = {f"exact, {how}": squared_error(value, mass, rate, how == "merged") for how in HOW}
    target = law.rate(test)
    bins = calibrator.predict_bin(test)
    for m in TEST_POINTS:
        share, rate = shares_and_means(bins[:m], target[:m], len(value))
        for how in HOW:
            out[f"m={m}, {how}"] = squared_error(value, share, rate, how == "merged")
    if check:
        q = np.round(calibrator.predict_proba(test)[:, 1], 12)
        found = _expected_plugin(q, target)
        agree(found, out[f"m={TEST_POINTS[-1]}, merged"], "error on test points")
    return out


HOW = ("merged", "apart")


def _expected_plugin(q: np.ndarray, target: np.ndarray) -> float:
    """calibkit's plugin error with P(Y=1|z) as labels: each point is two weighted rows."""
    labels = np.repeat([1, 0], len(q))
    weight = np.concatenate((target, 1 - target))
    return squared_calibration_error(
        labels, np.tile(q, 2), sample_weight=weight, strategy="unique", debias=False
    )


def trials_d(
    law: UniformLaw, n: int, n_bins: int, trials: int, rng: Generator
) -> dict[tuple[str, str], np.ndarray]:
    """Squared errors over trials by (method, measure); both methods get the same rows."""
    found: dict[tuple[str, str], list[float]] = {}
    for t in range(trials):
        z, y = law.draw(rng, n)
        test = rng.uniform(law.low, law.high, TEST_POINTS[-1])
        for name, calibrator in methods(n_bins).items():
            errors = errors_of(calibrator.fit(z, y), law, test, t < CHECKED)
            for measure, error in errors.items():
                found.setdefault((name, measure), []).append(error)
        if law.steps is not None:
            for measure, error in _platt_errors(law, z, y, test).items():
                found.setdefault(("Platt", measure), []).append(error)
    return {key: np.array(values) for key, values in found.items()}


def _platt_errors(
    law: UniformLaw, z: np.ndarray, y: np.ndarray, test: np.ndarray
) -> dict[str, float]:
    """Squared errors of Platt scaling without bins."""
    platt = PlattCalibrator().fit(z, y)

    def scaled(x: np.ndarray) -> np.ndarray:
        return platt.predict_proba(x)[:, 1]

    gap = (scaled(test) - law.rate(test)) ** 2
    exact = law.squared_error_of(scaled)
    points = {f"m={m}, {how}": float(gap[:m].mean()) for m in TEST_POINTS for how in HOW}
    return {f"exact, {how}": exact for how in HOW} | points


def run_d(trials: int, rng: Generator) -> dict[str, Any]:
    """Squared errors by n and B, their ratios, and the law that no Platt map fits."""
    law = UniformLaw(paper.SLOPE_D, paper.INTERCEPT_D)
    settings = [(n, paper.BINS_NOISY) for n in SWEEP]
    settings += [(paper.ROWS_D, b) for b in paper.BINS_D if b != paper.BINS_NOISY]
    children = rng.spawn(len(settings) + 1 + len(SWEEP_NOISY))
    found = {s: trials_d(law, *s, trials, g) for s, g in zip(settings, children, strict=False)}
    means = {s: {key: mean(x) for key, x in cells.items()} for s, cells in found.items()}
    noisy = UniformLaw.noisy(
        children[len(settings)],
        paper.CELLS_D,
        paper.NOISE_D,
        paper.SLOPE_D,
        paper.INTERCEPT_D,
        *paper.RANGE_D,
    )
    later = children[len(settings) + 1 :]
    return {
        "by rows": [_row_d("n", n, means[n, paper.BINS_NOISY]) for n in SWEEP],
        "by bins": [_row_d("bins", b, means[paper.ROWS_D, b]) for b in paper.BINS_D],
        "ratios": ratios_d(means),
        "noisy": [
            noisy_row(trials_d(noisy, n, paper.BINS_NOISY, trials, g), n)
            for n, g in zip(SWEEP_NOISY, later, strict=True)
        ],
    }


def _row_d(name: str, value: int, means: dict[tuple[str, str], Mean]) -> dict[str, Any]:
    return {name: value, **{f"{method}: {how}": m for (method, how), m in means.items()}}


def ratios_d(means: dict[tuple[int, int], dict[tuple[str, str], Mean]]) -> list[dict[str, Any]]:
    """Ratios of errors by n and by B; the data of the two settings are independent."""
    n, b = paper.ROWS_D, paper.BINS_NOISY
    steps = [
        ("n 1000 -> 2000, B = 10: falls by", (n // 2, b), (n, b), paper.RATIO_ROWS_HISTOGRAM,
         paper.RATIO_ROWS_SCALING_BINNING),
        ("B 5 -> 20, n = 2000: grows by", (n, 20), (n, 5), paper.RATIO_BINS_HISTOGRAM,
         paper.RATIO_BINS_SCALING_BINNING),
    ]  # fmt: skip
    rows = []
    for what, above, below, *references in steps:
        for method, reference in zip(("histogram", "scaling-binning"), references, strict=True):
            measures = [how for name, how in means[above] if name == method]
            cells = {how: means[above][method, how] / means[below][method, how] for how in measures}
            rows.append({"step": what, "method": method, "paper": reference, **cells})
    return rows


def noisy_row(found: dict[tuple[str, str], np.ndarray], n: int) -> dict[str, Any]:
    """Errors of Platt scaling and scaling-binning when no Platt map is right, and their ratio."""
    row = _row_d("n", n, {key: mean(x) for key, x in found.items()})
    for how in {how for _, how in found}:
        row[f"ratio: {how}"] = ratio(found["Platt", how], found["scaling-binning", how])
    return row
