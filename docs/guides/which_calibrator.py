"""
Which calibrator?
=================

Use ``"auto"``, the default. It averages several maps, and it keeps the
probabilities as they are if the rows don't show that they are wrong. Choose
another one if you need something that ``"auto"`` does not give: a map of two
numbers, a proof, or a predicted class that never changes. This page shows how
to compare calibrators on your own data, and when the choice does not matter.
"""

# %%
# Scores to calibrate
# -------------------
# Naive Bayes counts related pixels as independent evidence, so it is too sure of itself.
# Calibrators are fitted to rows that the classifier has not seen, so the digits are split in
# three: rows to train on, to calibrate on, to judge by.

from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import shuffle

from calibkit import (
    AutoCalibrator,
    ComparisonDisplay,
    ReliabilityDisplay,
    VennAbersCalibrator,
    compare,
    compare_calibrators,
    make_calibrator,
)

X, digit = load_digits(return_X_y=True)
odd = digit % 2 == 1
X, odd = shuffle(X, odd, random_state=0)
train, fit, new = slice(0, 500), slice(500, 1100), slice(1100, None)
model = GaussianNB(var_smoothing=0.01).fit(X[train], odd[train])
score, score_new = (
    model.predict_proba(X[fit])[:, 1],
    model.predict_proba(X[new])[:, 1],
)
y, y_new = odd[fit], odd[new]

# %%
# Compare them on the rows of the fit
# -----------------------------------
# :func:`calibkit.compare_calibrators` fits each calibrator by cross-validation and orders them by
# the log loss. A calibrator is "tied" if the interval of its difference from the best contains 0:
# the rows can't tell which of the two is better.

names = [
    "auto",
    "spline",
    "beta",
    "platt",
    "isotonic",
    "venn_abers",
    "histogram",
    "identity",
]
comparison = compare_calibrators(score, y, names)
print(comparison)

# %%
# The last line says which one to use: ``"auto"`` if it ties with the best, otherwise the simplest
# one that does. Here is the same as a picture.

ComparisonDisplay(comparison).plot()

# %%
# The best of many calibrators looks better than it is, because it was chosen for its numbers. So
# judge it on rows that played no part in the choice:

calibrator = comparison.calibrators[comparison.recommended].fit(score, y)
probability = {
    "before": score_new,
    "after": calibrator.predict_proba(score_new)[:, 1],
}
print(compare("brier_score", y_new, probability))
ReliabilityDisplay.from_predictions(y_new, probability, random_state=0)

# %%
# What the automatic one does
# ---------------------------
# Its summary says which maps it averages, with which weights, and how strongly the rows speak
# against the scores as they are.

print(AutoCalibrator().fit(score, y).summary())

# %%
# Few rows
# --------
# With few rows, flexible maps fit noise. The table shows the cross-validated log loss with 60
# rows. Isotonic regression is the flexible one: it needs thousands of rows.

names = ["auto", "platt", "isotonic", "identity"]
print(compare_calibrators(score[:60], y[:60], names))

# %%
# Reasons for another one
# -----------------------
# ===================  ========================================================================
# name                 reason
# ===================  ========================================================================
# ``platt``            two numbers that can be written down; scores that are lower for the event
# ``beta``             three numbers; bends low and high probabilities separately
# ``spline``           one smooth curve
# ``isotonic``         a curve with jumps, and thousands of rows
# ``venn_abers``       an interval of probabilities for each row
# ``scaling_binning``  a proof of how large the error is at most
# ``temperature``      K classes, and the predicted class must not change
# ``matrix_scaling``   K classes, with 20 rows of each class or more
# ``vector_scaling``   hundreds of classes
# ===================  ========================================================================
#
# Each can be passed by its name: ``CalibratedClassifier(model, "platt")``, or made by
# :func:`calibkit.make_calibrator`. Venn-Abers gives a lower and an upper probability for each row:

venn_abers = VennAbersCalibrator().fit(score, y)
print(venn_abers.predict_interval([0.001, 0.5, 0.999]).round(3))
print(make_calibrator("platt").fit(score, y).slope_)

# %%
# What a calibrator can't do
# --------------------------
# An increasing map does not change the order of the rows. So it lowers the log loss and the
# calibration error, but not the ROC AUC. If the scores don't tell events from others, the
# calibrated probabilities are all near the base rate: calibrated, and useless.
#
# Names on this page
# ------------------
# :func:`calibkit.compare_calibrators`, :class:`calibkit.CalibratorComparison`,
# :class:`calibkit.ComparisonDisplay`, :class:`calibkit.AutoCalibrator`,
# :class:`calibkit.VennAbersCalibrator`, :func:`calibkit.make_calibrator`,
# :func:`calibkit.compare`, :class:`calibkit.ReliabilityDisplay`.
#
# Next: :doc:`which_error`.
