"""
Which error, how many bins, and why not ECE alone?
==================================================

The expected calibration error (ECE) is the mean distance of probabilities and
rates of events, over bins of equal width. It is the number that most papers
report. It has three faults: it is above 0 for a calibrated model, it changes
with the number of bins, and it does not say whether a model is any good. This
page shows each fault on data where the truth is known, and what to report
instead.
"""

# %%
# An ECE of a calibrated model
# ----------------------------
# These probabilities are the truth: each outcome is drawn from its own probability. A perfect ECE
# would be 0.

import matplotlib.pyplot as plt
import numpy as np

from calibkit import (
    brier_score,
    calibration_error,
    calibration_test,
    corp_miscalibration,
    decompose_score,
    estimate,
    expected_calibration_error,
    kernel_calibration_error,
    smooth_calibration_error,
)

rng = np.random.default_rng(0)
p = rng.beta(1, 2, 2000)
y = rng.random(2000) < p
for n in (100, 500, 2000):
    print(f"{n:,} rows: ECE {expected_calibration_error(y[:n], p[:n]):.3f}")

# %%
# The rate of events in a bin has noise, and the absolute value makes it count as error. The fewer
# rows, the larger the ECE. So models that were measured on different numbers of rows can't be
# compared by their ECE. :func:`calibkit.estimate` shows what a calibrated model would have:

print(estimate("expected_calibration_error", y[:500], p[:500], random_state=0))

# %%
# More bins, more error
# ---------------------
# The second model is over-confident. The dotted lines are the plain ECE, which rises with the
# number of bins for both models. The solid lines are the root mean square error without the part
# that noise explains (``debias=True``, the default of :func:`calibkit.calibration_error`). They
# hardly depend on the number of bins.

wrong = p**1.5 / (p**1.5 + (1 - p) ** 1.5)
bins = [5, 10, 15, 20, 30, 50, 75, 100]
_, ax = plt.subplots()
for color, (name, q) in enumerate(
    {"calibrated": p, "over-confident": wrong}.items()
):
    plain = [calibration_error(y, q, n_bins=b, debias=False) for b in bins]
    debiased = [calibration_error(y, q, n_bins=b) for b in bins]
    ax.plot(bins, plain, f"C{color}:", label=f"{name}, plain")
    ax.plot(bins, debiased, f"C{color}-", label=f"{name}, debiased")
ax.set(
    xlabel="bins of equal mass",
    ylabel="root mean square calibration error",
    ylim=(0, None),
)
ax.legend()

# %%
# Ten to twenty bins are a fair choice with hundreds of rows or more. Use bins of equal mass: with
# equal width, most rows of a rare event share one bin. Too few bins hide errors that cancel within
# a bin.
#
# Errors without bins
# -------------------
# These need no number of bins. They measure different things, so compare models by one of them,
# not one error with another.

errors = (
    smooth_calibration_error,
    kernel_calibration_error,
    corp_miscalibration,
)
for error in errors:
    print(
        f"{error.__name__}: calibrated {error(y, p):.4f}, over-confident {error(y, wrong):.4f}"
    )

# %%
# ``smooth_calibration_error`` is the nearest to an ECE: the mean distance after smoothing.
# ``kernel_calibration_error`` compares pairs of rows with similar probabilities.
# ``corp_miscalibration`` is the part of the Brier score that isotonic regression would remove.
#
# Each of them can be tested, and each is blind to something:

for name in ("smooth", "kernel", "corp", "line"):
    test = calibration_test(name, y[:500], wrong[:500])
    print(f"{name}: p-value {test.p_value:.3f}, blind to {test.blind_to}")

# %%
# A low error is not a good model
# -------------------------------
# A forecast of the base rate for each row is calibrated, and useless. Its ECE is near 0. Rank
# models by a proper score, such as the Brier score or the log loss, which reward both calibration
# and discrimination.

base_rate = np.full(2000, y.mean())
for name, q in {
    "truth": p,
    "over-confident": wrong,
    "base rate": base_rate,
}.items():
    print(
        f"{name}: ECE {expected_calibration_error(y, q):.3f}, Brier {brier_score(y, q):.4f}"
    )

# %%
# A proper score splits into parts, so that both can be seen: miscalibration (less is better),
# discrimination (more is better), and the uncertainty of the outcome, which no model changes.

for name, q in {
    "truth": p,
    "over-confident": wrong,
    "base rate": base_rate,
}.items():
    parts = decompose_score(y, q)
    print(
        f"{name}: {parts.score:.4f} = {parts.miscalibration:.4f} miscalibration "
        f"- {parts.discrimination:.4f} discrimination + {parts.uncertainty:.4f} uncertainty"
    )

# %%
# What to report
# --------------
# - The Brier score or the log loss, to rank models, with the interval of their difference
#   (:func:`calibkit.compare`).
# - One calibration error with its interval and null band (:func:`calibkit.estimate`). If others
#   must find your number again, report its settings too: ``print(estimate(...))`` shows them.
# - A reliability diagram, to see what kind of error it is.
# - The ECE if your readers expect it, beside the value of a calibrated model.
#
# Names on this page
# ------------------
# :func:`calibkit.expected_calibration_error`, :func:`calibkit.calibration_error`,
# :func:`calibkit.smooth_calibration_error`, :func:`calibkit.kernel_calibration_error`,
# :func:`calibkit.corp_miscalibration`, :func:`calibkit.decompose_score`,
# :func:`calibkit.brier_score`, :func:`calibkit.calibration_test`, :func:`calibkit.estimate`.
#
# Next: :doc:`how_many_labels`.
