"""A user's program: it runs, and a strict type checker has nothing to say of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import matplotlib
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB

import calibkit
from calibkit import base, codegen, decisions, online


class Shrunk(base.BaseCalibrator):
    """Halfway to the base rate."""

    name = "shrunk"
    _state: ClassVar[dict[str, base.StateKind]] = {"rate_": "float"}

    def _fit(self, s: base.Scores, y: base.IntArray, w: base.FloatArray | None) -> None:
        self.rate_ = float(y.mean() if w is None else (w @ y) / w.sum())

    def _predict(self, s: base.Scores) -> base.FloatArray:
        return 0.5 * (s.probs() + self.rate_)


def classifiers() -> float:
    """Wrapped classifiers, scorers and a picture."""
    X, y = load_breast_cancer(return_X_y=True)
    model = calibkit.CalibratedClassifier(GaussianNB(), "isotonic", cv=3).fit(X[:300], y[:300])
    p: NDArray[np.float64] = model.predict_proba(X[300:])
    scores = cross_val_score(model, X, y, scoring=calibkit.get_scorer("neg_log_loss"), cv=3)
    display = calibkit.ReliabilityDisplay.from_predictions(
        y[300:], p, strategy="uniform", n_bins=5, interval="wilson", legend="inside"
    )
    low, high = display.limits_
    return float(scores.mean()) + high - low


def errors(y: NDArray[np.bool_], p: NDArray[np.float64]) -> list[str]:
    """Calibrators, errors, intervals and certificates."""
    platt = calibkit.PlattCalibrator(scale="probability").fit(p, y)
    own = Shrunk().fit(p, y)
    lines = []
    for calibrator in (platt, own, calibkit.make_calibrator("beta").fit(p, y)):
        q = calibrator.predict_proba(p)[:, 1]
        error: float = calibkit.calibration_error(y, q, norm="l1", n_bins="sweep", debias="labels")
        interval = calibkit.estimate("brier_score", y, q, level=0.95, n_resamples=50)
        lines.append(f"{error:.3f} {interval.value - interval.low:.3f}")
    binned = calibkit.HistogramBinningCalibrator(strategy="uniform").fit(p, y)
    proof: calibkit.Certificate = calibkit.certify(y, binned.predict_proba(p), kind="binary")
    bins: calibkit.BinsCertificate = binned.certify_bins(level=0.9)
    needed: int = calibkit.rows_to_certify(0.1, n_bins=2, norm="max")
    tables = [calibkit.ScoreTable.from_arrays(y[i::2], p[i::2]) for i in range(2)]
    week: calibkit.ScoreTable = sum(tables[1:], tables[0])
    lines.append(f"{week.n_rows} {calibkit.brier_score(sum(tables)):.3f} {needed} {bins}")
    return [*lines, str(proof)]


def streams(y: NDArray[np.bool_], p: NDArray[np.float64], folder: Path) -> float:
    """Forecast now, label later; an alarm; what has been learned is kept."""
    fitted = online.OnlinePlattCalibrator().partial_fit(p, y)
    tracking = online.TrackingCalibrator(fitted)
    forecast: NDArray[np.float64] = tracking.predict_then_update(p, y)[:, 1]
    with online.Journal(folder / "stream.db", online.OnlineBetaCalibrator()) as journal:
        journal.forecast(["order 17"], [0.8])
        journal.label(["order 17"], [True])
    alarm = calibkit.CalibrationAlarm(alpha=0.01)
    alarm.update(y, forecast)
    found = calibkit.prequential_errors(y, forecast, kind="binary")
    calibkit.save(tracking, folder / "tracking.json")
    calibkit.load(folder / "tracking.json").predict_proba(p)
    return float(found.brier[-1]) + float(alarm.alarm_time_ or 0)


def decided(y: NDArray[np.bool_], p: NDArray[np.float64]) -> list[str]:
    """From a confidence signal to a decision."""
    q: NDArray[np.float64] = decisions.cross_val_calibrate("platt", p, y, scale="probability")
    gate = decisions.RiskControlledThreshold(0.4).fit(p, y)
    policy = decisions.TriagePolicy(cost_accept_wrong=10, cost_review=2, cost_discard_right=3)
    report: decisions.TriageReport = policy.evaluate(q, y)
    table: decisions.ResultTable = decisions.evaluate_confidence(p, y, n_resamples=20)
    rates = decisions.QuantileCalibrator(method="pinball").fit(p, y)
    return [str(gate), str(report), str(table), str(rates.predict_quantiles(p[:3]).shape)]


def main(folder: Path) -> list[str]:
    """All of it."""
    matplotlib.use("agg")
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.98, 400)
    y = rng.random(400) < p**1.5
    return [f"{classifiers():.2f}", *errors(y, p), f"{streams(y, p, folder):.2f}", *decided(y, p)]


if TYPE_CHECKING:
    from typing_extensions import reveal_type

    reveal_type(Shrunk().fit([0.1], [1]))  # Shrunk
    reveal_type(calibkit.PlattCalibrator().fit([0.1], [1]))  # PlattCalibrator
    reveal_type(calibkit.CalibratedClassifier(None).fit([[0.1]], [1]))  # CalibratedClassifier
    reveal_type(online.OnlinePlattCalibrator().fit([0.1], [1]))  # OnlinePlattCalibrator
    reveal_type(online.OnlineBetaCalibrator().partial_fit([0.1], [1]))  # OnlineBetaCalibrator
    reveal_type(online.MultiStreamCalibrator().partial_fit([0.1], [1], 7))  # MultiStreamCalibrator
    reveal_type(decisions.QuantileCalibrator().fit([0.1], [1]))  # QuantileCalibrator
    reveal_type(codegen.ConfidenceFeatures().fit([]))  # ConfidenceFeatures
    reveal_type(sum([calibkit.ScoreTable.from_arrays([1], [0.1])]))  # ScoreTable | Literal[0]
