"""A user's mistakes: a type checker refuses each line that ends with its error, and no other."""

import numpy as np

import calibkit
from calibkit import decisions

y, p = np.array([0, 1, 1, 0]), np.array([0.1, 0.6, 0.8, 0.3])
table = calibkit.ScoreTable.from_arrays(y, p)

calibkit.calibration_error(y, p, norm="L2")  # arg-type
calibkit.calibration_error(y, p, strategy="mass")  # arg-type
calibkit.calibration_error(y, p, n_bins="many")  # arg-type
calibkit.calibration_error(y, p, debias="yes")  # arg-type
calibkit.calibration_error(y, p, kind="multiclass")  # arg-type
calibkit.brier_score(y, p, weights="counts")  # arg-type
calibkit.brier_score(y, p, norm="l2")  # call-arg
calibkit.expected_calibration_error(y, p, bins=10)  # call-arg
calibkit.estimate("brier_score", y, p, method="delta")  # arg-type
calibkit.prequential_errors(y, p, kind="classwise")  # arg-type
calibkit.rows_to_certify("0.02", 10)  # arg-type
calibkit.certify(y, p, kind="top")  # arg-type
calibkit.ScoreTable.from_arrays(y, p, weights="repeats")  # arg-type
sooner = table + 1  # operator
rows = table.n_row  # attr-defined
calibkit.ReliabilityDisplay.from_table(table, interval="wald")  # arg-type
calibkit.ReliabilityDisplay.from_table(table, legend="top")  # arg-type
calibkit.ReliabilityDisplay.from_table(table, histogram="linear")  # arg-type

calibkit.PlattCalibrator(slope=0.1)  # call-arg
calibkit.PlattCalibrator(scale="logits")  # arg-type
calibkit.HistogramBinningCalibrator(strategy="unique")  # arg-type
calibkit.CalibratedClassifier(None, response_method="proba")  # arg-type
count: int = calibkit.brier_score(y, p)  # assignment
score: float = calibkit.estimate("brier_score", y, p)  # assignment
calibkit.save(calibkit.PlattCalibrator())  # call-arg

decisions.RiskControlledThreshold(scale="odds")  # arg-type
decisions.cross_val_calibrate("platt", p, y, scale="odds")  # arg-type
decisions.QuantileCalibrator(method="quantile")  # arg-type
decisions.TriagePolicy(cost_wrong=10)  # call-arg
