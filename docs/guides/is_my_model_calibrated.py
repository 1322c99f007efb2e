"""
Is my model calibrated, and how sure am I?
==========================================

Probabilities are calibrated if events that are predicted with probability 0.3
happen in 30% of the cases. You can check this on held-out rows only, and a
calibrated model also shows some error there, by chance. So ask three
questions: what does the error look like, is it larger than chance, and how
large can it be?
"""

# %%
# Held-out rows
# -------------
# A random forest learns whether a handwritten digit is odd. All that follows uses rows that the
# forest has not seen: on its training rows, its probabilities are far too good.

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from calibkit import (
    CalibratedClassifier,
    ReliabilityDisplay,
    calibration_slope,
    calibration_test,
    compare,
    detectable_error,
    estimate,
)

X, digit = load_digits(return_X_y=True)
X, X_new, y, y_new = train_test_split(
    X, digit % 2, test_size=0.5, random_state=0
)
forest = RandomForestClassifier(random_state=0).fit(X, y)
p = forest.predict_proba(X_new)[:, 1]

# %%
# Look
# ----
# Each dot of a reliability diagram is a bin of rows with similar probabilities: the mean
# probability, and the share of events. Bars are intervals of that share. The gray band around the
# diagonal shows where the dots of a calibrated model would lie, so dots outside it are errors that
# chance does not explain.

ReliabilityDisplay.from_predictions(y_new, {"forest": p}, random_state=0)

# %%
# The curve is steeper than the diagonal: the forest is under-confident. The slope of the log-odds
# says the same in one number. A slope above 1 means under-confidence, below 1 over-confidence.

print(f"slope {calibration_slope(y_new, p):.2f}")

# %%
# Is it more than chance?
# -----------------------
# A test answers yes or no. Choose one test before you look at the result. ``smooth`` sees errors
# of most shapes.

test = calibration_test("smooth", y_new, p)
print(f"p-value {test.p_value:.3f}; blind to {test.blind_to}")

# %%
# How large is it?
# ----------------
# The root mean square calibration error is the typical distance between the probability and the
# rate of events. :func:`calibkit.estimate` gives it with two ranges. The interval holds the errors
# that fit these rows. The null band, after "if perfectly calibrated", holds the errors that a
# calibrated model would show on rows with these probabilities. An error above the null band is
# real.
#
# Some errors, such as the ECE, count noise as error, so their value is too large on average. The
# interval allows for this. So the value may lie at the upper end, as in "ECE 0.024 [0.000, 0.024]".

error = estimate("calibration_error", y_new, p, random_state=0)
print(error)
print(error.verdict)

# %%
# The verdict is "miscalibrated" if the error lies above the null band. It is "calibrated" if it
# does not and the interval ends at 0.05 or below. Otherwise it is "unclear".
#
# Were the rows enough?
# ---------------------
# With few rows the same model may look fine. These are 60 of the rows:

few = estimate("calibration_error", y_new[:60], p[:60], random_state=0)
print(few)
print(few.verdict)

# %%
# An error that was not found is no proof of calibration. :func:`calibkit.detectable_error` says
# which error would have been found, from the probabilities alone:

print(detectable_error(p[:60]))
print(detectable_error(p))

# %%
# That is, with 60 rows, an error is found if all log-odds are shifted by about 1.7, and with all
# rows if they are shifted by about 0.4.

# %%
# Mend it, and prove that it helped
# ---------------------------------
# :class:`calibkit.CalibratedClassifier` fits a map of the probabilities by cross-validation on the
# training rows, so the held-out rows stay held out.

calibrated = CalibratedClassifier(RandomForestClassifier(random_state=0)).fit(
    X, y
)
q = calibrated.predict_proba(X_new)[:, 1]
after = estimate("calibration_error", y_new, q, random_state=0)
print(after)
print(after.verdict)

# %%
# The proof is a difference on the same rows. The log loss punishes miscalibration, and it is lowest
# in expectation for the true probabilities. If the interval of the difference does not contain 0,
# calibration helped.

models = {"forest": p, "calibrated": q}
print(compare("log_loss", y_new, models))
ReliabilityDisplay.from_predictions(y_new, models, random_state=0)

# %%
# What if it is still miscalibrated?
# ----------------------------------
# Calibration may help, and the verdict may still be "miscalibrated". Then ask:
#
# - **Does it matter?** With many rows, even a very small error is more than chance. If the interval
#   ends below what your decisions can bear, stop here.
# - **Would more rows help?** A calibrator that is fitted to few rows follows their noise.
#   :doc:`how_many_labels` says how many you need.
# - **Is the map too simple?** If the diagram shows a bend, try a richer calibrator and compare:
#   :doc:`which_calibrator`.
# - **Do the new rows differ from the training rows?** They may be later, or of other groups. Look
#   at groups with :func:`calibkit.group_table`, as in :doc:`groups_weights_time`.
#
# Names on this page
# ------------------
# :func:`calibkit.estimate`, :class:`calibkit.Estimate`, :func:`calibkit.calibration_test`,
# :func:`calibkit.calibration_slope`, :func:`calibkit.calibration_error`,
# :func:`calibkit.detectable_error`, :func:`calibkit.compare`,
# :func:`calibkit.group_table`, :class:`calibkit.CalibratedClassifier`,
# :class:`calibkit.ReliabilityDisplay`.
#
# Next: :doc:`which_calibrator`.
