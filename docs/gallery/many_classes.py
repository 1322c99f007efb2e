"""
Ten classes: is each of them calibrated?
========================================

A random forest reads handwritten digits and is less sure than it should be. A
panel for each class shows this before and after temperature scaling; here are
four of the ten.
"""

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from calibkit import ReliabilityDisplay, TemperatureCalibrator

X, digit = load_digits(return_X_y=True)
X, X_rest, y, y_rest = train_test_split(X, digit, train_size=600, stratify=digit, random_state=0)
p = RandomForestClassifier(100, random_state=0).fit(X, y).predict_proba(X_rest)
half = len(p) // 2
p_fit, y_fit, p_new, y_new = p[:half], y_rest[:half], p[half:], y_rest[half:]

temperature = TemperatureCalibrator().fit(p_fit, y_fit)
models = {"random forest": p_new, "temperature": temperature.predict_proba(p_new)}
display = ReliabilityDisplay.from_predictions(
    y_new,
    models,
    kind="classwise",
    shown=[1, 3, 8, 9],
    strategy="uniform",
    n_bins=4,
    random_state=0,
)

# %%
# At a probability of a half, the digit is nearly always the one that the forest names.
# ``strategy`` sets bins of equal width: most probabilities of a digit are near 0, and bins with
# equal numbers of rows would all be there.
#
# Class-wise calibration is about each digit's own probability. The other question is whether the
# predicted digit is right as often as its probability says: the top label.
#
# Two ways to calibrate
# ---------------------
#
# Temperature scaling divides all logits by one number, so that the predicted digit stays the same.
# :class:`~calibkit.OneVsRestCalibrator` calibrates each class, then the rows are rescaled to sum
# to one; with about 60 rows per digit it has less to learn from.

from calibkit import IsotonicCalibrator, OneVsRestCalibrator, calibration_error, log_loss

isotonic = OneVsRestCalibrator(IsotonicCalibrator()).fit(p_fit, y_fit)
print(f"{'':12}  log loss  top label  class-wise  accuracy")
for name, calibrator in {"none": None, "temperature": temperature, "isotonic": isotonic}.items():
    q = p_new if calibrator is None else calibrator.predict_proba(p_new)
    errors = [calibration_error(y_new, q, kind=kind) for kind in ("top_label", "classwise")]
    accuracy = (q.argmax(axis=1) == y_new).mean()
    loss = log_loss(y_new, q)
    print(f"{name:12}  {loss:8.3f}  {errors[0]:9.3f}  {errors[1]:10.3f}  {accuracy:8.3f}")

# %%
# The top label as a picture:

display = ReliabilityDisplay.from_predictions(y_new, models, n_bins=8, random_state=0)

# %%
# The digits ship with scikit-learn.
