"""
K classes: top label or class-wise?
===================================

With K classes, "calibrated" can mean three things, and a model may be
calibrated in one sense only. Ask what the probabilities are used for. If you
act on the predicted class, its probability must be right: top label. If you
use the probability of each class, each must be right: class-wise. If you
compute costs from the whole row, the row must be right: look at a proper
score.
"""

# %%
# Ten classes
# -----------
# Naive Bayes on handwritten digits is far too sure of itself. The rows are split in three: to
# train on, to calibrate on, to judge by.

from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import shuffle

from calibkit import (
    AutoCalibrator,
    IsotonicCalibrator,
    MatrixScalingCalibrator,
    OneVsRestCalibrator,
    ReliabilityDisplay,
    ScalingBinningCalibrator,
    TemperatureCalibrator,
    TopLabelCalibrator,
    calibration_error,
    compare,
    estimate,
)

X, digit = shuffle(*load_digits(return_X_y=True), random_state=0)
train, fit, new = slice(0, 500), slice(500, 1100), slice(1100, None)
model = GaussianNB(var_smoothing=0.01).fit(X[train], digit[train])
p, p_new = model.predict_proba(X[fit]), model.predict_proba(X[new])
y, y_new = digit[fit], digit[new]

# %%
# Two errors
# ----------
# The error of the top label uses one number of each row: the probability of the predicted class
# ("confidence"), and whether this class is right. It is what most papers call ECE for K classes.
# The class-wise error is the mean over classes, each against the rest.

for kind in ("top_label", "classwise"):
    print(
        estimate("calibration_error", y_new, p_new, kind=kind, random_state=0)
    )

# %%
# The class-wise error is smaller here, and that is no good news: in most rows most of the ten
# classes have a probability near 0, which is right and counts for nine tenths of the mean. Never
# compare one kind with the other.
#
# Without ``kind``, calibkit measures the top label for K classes. A reliability diagram of the top
# label shows one curve, and that of the classes one for each:

ReliabilityDisplay.from_predictions(
    y_new, p_new, kind="top_label", random_state=0
)

# %%
ReliabilityDisplay.from_predictions(
    y_new, p_new, kind="classwise", shown=[1, 8], random_state=0
)

# %%
# Calibrators of K classes
# ------------------------
# ``TemperatureCalibrator`` has one parameter and never changes the predicted class.
# ``MatrixScalingCalibrator`` mixes all classes, and needs about 20 rows of each.
# ``AutoCalibrator`` is the default. ``OneVsRestCalibrator`` fits a binary calibrator to each class
# and rescales rows to a sum of 1.

calibrators = {
    "auto": AutoCalibrator(),
    "temperature": TemperatureCalibrator(),
    "matrix": MatrixScalingCalibrator(),
    "isotonic": OneVsRestCalibrator(IsotonicCalibrator()),
}
q_new = {
    name: c.fit(p, y).predict_proba(p_new) for name, c in calibrators.items()
}
for name, q in {"uncalibrated": p_new, **q_new}.items():
    top, each = (
        calibration_error(y_new, q, kind=kind)
        for kind in ("top_label", "classwise")
    )
    kept = (q.argmax(axis=1) == p_new.argmax(axis=1)).mean()
    right = (q.argmax(axis=1) == y_new).mean()
    print(
        f"{name}: top {top:.3f}, class-wise {each:.3f}, same class {kept:.3f}, right {right:.3f}"
    )

# %%
# Temperature scaling mends the top label with one number, but it can't mend errors that differ
# from class to class. Maps that treat classes differently may change the predicted class. To rank
# calibrators, compare a proper score of the whole row:

print(compare("log_loss", y_new, q_new))

# %%
# Only the top label
# ------------------
# If the confidence in the predicted class is all you need, calibrate just that:
# ``TopLabelCalibrator`` turns any binary calibrator into one. With ``ScalingBinningCalibrator``
# and a map of all classes that comes ``first``, its error can be certified.

binned = ScalingBinningCalibrator(AutoCalibrator(), n_bins=5)
confident = TopLabelCalibrator(binned, first=AutoCalibrator()).fit(p, y)
print(confident.certify(p_new, y_new))

# %%
# What no number here shows
# -------------------------
# Calibration of the whole row, or "canonical" calibration, says that among all rows with the same
# K probabilities each class occurs as often as stated. No two rows are equal, so it can't be
# measured well with more than a few classes. A model can pass both checks above and fail this one.
#
# Names on this page
# ------------------
# :func:`calibkit.estimate`, :func:`calibkit.calibration_error`, :func:`calibkit.compare`,
# :class:`calibkit.ReliabilityDisplay`, :class:`calibkit.AutoCalibrator`,
# :class:`calibkit.TemperatureCalibrator`, :class:`calibkit.MatrixScalingCalibrator`,
# :class:`calibkit.OneVsRestCalibrator`, :class:`calibkit.TopLabelCalibrator`,
# :class:`calibkit.ScalingBinningCalibrator`.
#
# Next: :doc:`groups_weights_time`.
