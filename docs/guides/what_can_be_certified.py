"""
What can be certified, and what can't?
======================================

An interval of :func:`calibkit.estimate` is an approximation that holds well
in simulations. A certificate is a bound that holds for any number of rows and
any distribution of the data, with the stated confidence. It is wider, and
there are models for which no such bound exists. This page shows which.
"""

# %%
# Continuous probabilities have no upper bound
# --------------------------------------------
# If each row has a probability of its own, the rate of events at that probability can't be
# measured. Bins hide errors that cancel within a bin, and no number of rows excludes such errors.
# The model below is wrong by 0.2 at every row, up at one score and down at the next. In bins, it
# looks calibrated.

import numpy as np

from calibkit import (
    AutoCalibrator,
    HistogramBinningCalibrator,
    PlattCalibrator,
    ScalingBinningCalibrator,
    calibration_error,
    certify,
    rows_to_certify,
)

rng = np.random.default_rng(0)
score = 0.2 + 0.6 * np.arange(20_000) / 20_000
truth = score + 0.2 * (-1.0) ** np.arange(20_000)
outcome = rng.random(20_000) < truth
print(f"true error {np.sqrt(np.mean((truth - score) ** 2)):.3f}")
print(f"error in 15 bins {calibration_error(outcome, score):.3f}")
print(certify(outcome, score))

# %%
# So of a continuous model only the lower bound is certified: it proves that a model is wrong,
# never that it is right. (Kumar, Liang and Ma, 2019, show that the binned error is never above the
# true one.)
#
# Few outputs have both bounds
# ----------------------------
# ``ScalingBinningCalibrator`` fits a smooth map and then replaces its values by their means in
# bins. The result has as many outputs as bins, and loses little accuracy. Certify it on rows that
# played no part in the fit.

p = rng.random(30_000)
y = rng.random(30_000) < p**2
fit, held_out = slice(0, 5000), slice(5000, None)
binned = ScalingBinningCalibrator(AutoCalibrator(), n_bins=10).fit(
    p[fit], y[fit]
)
certificate = binned.certify(p[held_out], y[held_out])
print(certificate)

# %%
# The certificate holds three errors at once: the mean (l1), the root mean square (l2), and the
# largest of any output. It also has an interval for the rate of events at each output. All these
# bounds are true together with the stated confidence:

for value, low, high in zip(
    *(certificate.value, certificate.low, certificate.high), strict=True
):
    print(
        f"{value:.3f} says the model; between {low:.3f} and {high:.3f} is certified"
    )

# %%
# One output lies outside of its interval, so the model is certainly wrong there, if only by a
# little. Why is the mean error still "0 to" something? A lower bound is printed as 0 if it is below
# 0.0001. The largest error has a lower bound too; the others are means over all outputs, and new
# rows may have this output less often:

print(f"largest error at least {certificate.max[0]:.1e}")
print(f"mean error at least {certificate.l1[0]:.1e}")

# %%
# Rows of the fit
# ---------------
# A certificate from rows that the calibrator was fitted to is not valid in general, since the fit
# follows their noise. Histogram binning is the exception: its bins count independent rows, and
# ``certify_bins`` uses exact binomial intervals with the rows of ``fit``.

histogram = HistogramBinningCalibrator(n_bins=10).fit(p[fit], y[fit])
print(histogram.certify_bins())

# %%
# How many rows?
# --------------
# :func:`calibkit.rows_to_certify` answers before you collect labels. Half the bound takes about
# four times the rows.

for error in (0.1, 0.05, 0.025):
    print(
        f"root mean square error below {error}: {rows_to_certify(error, n_bins=10):,} rows"
    )

# %%
# Rows that depend on each other
# ------------------------------
# With groups, the bounds assume that groups are independent and have at most ``max_group_size``
# rows. Rows of one group may depend on each other in any way. The price is a wider bound, or
# many more groups.

group = np.repeat(np.arange(5000), 5)
q = binned.predict_proba(p[held_out])[:, 1]
print(certify(y[held_out], q, groups=group, max_group_size=5))

# %%
# What is not certified
# ---------------------
# - **The future.** A certificate is about rows of the same distribution as those it was computed
#   from. Drift ends it; an alarm on the stream notices.
# - **Each person.** It is about the mean over rows with the same output, not about one row. It does
#   not hold for a subgroup, unless it is computed from rows of that subgroup.
# - **Weighted rows.** There is no certificate with weights, nor for continuous scores in groups.
# - **Tables of cells.** A :class:`calibkit.ScoreTable` whose cells merge scores gives lower bounds
#   only, for the same reason as a continuous model.
# - **The best of many.** If you choose among models by their certificates on the same rows, the
#   confidence holds for each one, not for the chosen one.
#
# A continuous map can be made certifiable by binning its outputs:

platt = PlattCalibrator()
print(
    ScalingBinningCalibrator(platt, n_bins=10)
    .fit(p[fit], y[fit])
    .certify(p[held_out], y[held_out])
)

# %%
# Names on this page
# ------------------
# :func:`calibkit.certify`, :class:`calibkit.Certificate`, :func:`calibkit.rows_to_certify`,
# :class:`calibkit.ScalingBinningCalibrator`, :class:`calibkit.HistogramBinningCalibrator`,
# :class:`calibkit.BinsCertificate`, :class:`calibkit.ScoreTable`,
# :func:`calibkit.calibration_error`.
#
# Next: :doc:`streams_that_drift`.
