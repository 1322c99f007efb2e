"""
Coming from other packages: the calls, and why the numbers differ
=================================================================

The table says which call of calibkit does what you know from another package.
Then the page answers a question that comes with every change of packages: why
is the ECE not the same? It computes the ECE of one model as seven packages
define it, and explains each difference to the last digit.
"""

# %%
# The calls
# ---------
# .. list-table::
#    :header-rows: 1
#    :widths: 40 60
#
#    * - there
#      - here
#    * - scikit-learn: ``CalibratedClassifierCV(model, method="sigmoid", cv=5)``
#      - ``CalibratedClassifier(model, "platt")``; the default is ``"auto"``
#    * - scikit-learn: ``CalibratedClassifierCV(FrozenEstimator(model))``
#      - ``CalibratedClassifier(FrozenEstimator(model))``
#    * - scikit-learn: ``calibration_curve``, ``CalibrationDisplay``
#      - ``reliability_curve``, ``ReliabilityDisplay``; ``strategy="sklearn_uniform"`` and
#        ``"sklearn_quantile"`` give the same bins
#    * - netcal: ``TemperatureScaling()``, ``LogisticCalibration()``, ``BetaCalibration()``,
#        ``HistogramBinning()``, then ``transform``
#      - ``TemperatureCalibrator``, ``PlattCalibrator``, ``BetaCalibrator``,
#        ``HistogramBinningCalibrator``, then ``predict_proba``, which returns all columns
#    * - netcal: ``ECE(bins).measure(p, y)``, ``MCE``
#      - ``expected_calibration_error(y, p, n_bins=bins)``, ``maximum_calibration_error``; the same
#        number only if no probability lies on a border of bins, as explained below
#    * - uncertainty-calibration: ``get_calibration_error(p, y)``, ``get_ece(p, y)``
#      - ``calibration_error(y, p)``, ``expected_calibration_error(y, p)``
#    * - uncertainty-calibration: ``PlattBinnerCalibrator(n, num_bins)``
#      - ``ScalingBinningCalibrator(PlattCalibrator(), n_bins=num_bins)``, and ``certify``
#    * - MAPIE: ``TopLabelCalibrator(model)``
#      - ``CalibratedClassifier(model, TopLabelCalibrator(IsotonicCalibrator(), by_class=True))``
#    * - MAPIE: ``expected_calibration_error``, ``spiegelhalter_p_value``,
#        ``kolmogorov_smirnov_p_value``, ``kuiper_p_value``
#      - ``expected_calibration_error``, ``calibration_test("spiegelhalter", y, p)``, ``"ks"``,
#        ``"kuiper"``. Conformal prediction sets: calibkit has none, stay with MAPIE.
#    * - venn-abers: ``VennAbersCalibrator(model, inductive=True)``, ``VennAbers().predict_proba``
#      - ``CalibratedClassifier(model, "venn_abers")``; ``VennAbersCalibrator`` on scores, with
#        ``predict_interval`` for the two probabilities
#    * - relplot: ``smECE(p, y)``, ``rel_diagram(p, y)``
#      - ``smooth_calibration_error(y, p)``, ``ReliabilityDisplay.from_predictions(y, p,
#        curve="smooth")``
#    * - torchmetrics: ``BinaryCalibrationError(n_bins=15, norm="l1")``
#      - ``calibration_error(y, p, norm="l1", strategy="uniform", debias=False)``
#    * - torchmetrics: ``MulticlassCalibrationError(K)``
#      - the same call with K columns, ``kind="top_label"``
#
# Two differences run through all rows: labels come first, as in scikit-learn, and calibkit stops
# with an error where scores are missing, out of range, or named after the wrong class.
#
# ``CalibratedClassifier`` fits one map to the cross-validated scores, and the classifier to all
# rows, as scikit-learn does with ``ensemble=False``. With ``ensemble=True`` it keeps one pair per
# fold. "sigmoid" there fits raw probabilities of a model without ``decision_function``; "platt"
# here always fits log-odds.
#
# The default of netcal is 10 bins, that of calibkit 15. Where probabilities lie on borders of bins,
# ``ece(10, borders="linspace")``, a function of this page, gives netcal's number.
#
# One model, seven numbers
# ------------------------
# A random forest of 20 trees says multiples of 0.05. So its probabilities lie on borders of bins,
# and many are exactly 0 or 1. That is where definitions differ.

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from calibkit import (
    calibration_error,
    estimate,
    expected_calibration_error,
    smooth_calibration_error,
)

X, y = load_breast_cancer(return_X_y=True)
X, X_new, y, y_new = train_test_split(X, y, test_size=0.5, random_state=0)
p = (
    RandomForestClassifier(20, random_state=0)
    .fit(X, y)
    .predict_proba(X_new)[:, 1]
)
y = y_new

# %%
# All of these packages do the same once each row has the number of its bin: they add up the rows
# of a bin. The error is the sum of the absolute differences, divided by the number of rows. What
# differs are four rules, which are the arguments of this function.


def ece(n_bins, closed="left", borders="exact", own_bin=False):
    """The ECE of p and y by these rules; own_bin is one for probabilities at the closed end."""
    if (
        borders == "divided"
    ):  # the whole part of p / width, which rounding may lower
        row = (p / (1 / n_bins)).astype(int)
    else:
        exact = np.arange(n_bins + 1) / n_bins
        edges = (
            np.linspace(0, 1, n_bins + 1) if borders == "linspace" else exact
        )
        row = np.digitize(p, edges, right=closed == "right") - (
            closed == "left"
        )
    if not own_bin:
        row = (
            np.clip(row, 1, n_bins)
            if closed == "right"
            else np.minimum(row, n_bins - 1)
        )
    return np.abs(np.bincount(row, p) - np.bincount(row, y)).sum() / len(y)


# %%
# These are the rules of the packages, all with their default settings:

rules = {
    "calibkit": {"n_bins": 15},
    "netcal": {"n_bins": 10, "borders": "linspace"},
    "calibre": {"n_bins": 10, "borders": "linspace"},
    "uncertainty-calibration": {"n_bins": 15, "closed": "right"},
    "torchmetrics": {"n_bins": 15, "borders": "linspace", "own_bin": True},
    "MAPIE": {
        "n_bins": 49,
        "closed": "right",
        "borders": "linspace",
        "own_bin": True,
    },
    "relplot": {"n_bins": 10, "borders": "divided", "own_bin": True},
}
defined = {name: ece(**rule) for name, rule in rules.items()}
for name, value in defined.items():
    print(f"{name:<24} {value:.12f}")
print(f"{'our function':<24} {expected_calibration_error(y, p):.12f}")

# %%
# ``python benchmarks/reconcile.py`` runs the packages themselves on these rows: each says the
# number above to 12 digits. In a clone, ``pip install -e '.[bench]' mapie`` installs them. This
# page needs none of them.
#
# Where the difference comes from
# -------------------------------
# Change their rules to ours, one after the other. Each column is what one change adds, so a row
# adds up from their number to ours.

changes = {"borders": "exact", "closed": "left", "own_bin": False, "n_bins": 15}
print(f"{'':<24} theirs   + rounding  + side  + own bin  + bins  = ours")
for name, rule in rules.items():
    values, now = [ece(**rule)], dict(rule)
    for key, value in changes.items():
        now[key] = value
        values.append(ece(**now))
    steps = "   ".join(f"{step:+.5f}" for step in np.diff(values))
    print(f"{name:<24} {values[0]:.5f}  {steps}   {values[-1]:.5f}")

# %%
# - **Number of bins.** The default is 10 in netcal, calibre and relplot, and 15 in calibkit,
#   uncertainty-calibration and torchmetrics. ``num_bins=50`` of MAPIE is the number of borders, so
#   there are 49 bins. With more bins, the ECE is larger by chance alone.
# - **Side.** A probability on a border belongs to the bin above it in calibkit, netcal, calibre,
#   torchmetrics and relplot, and to the bin below it in uncertainty-calibration and MAPIE.
# - **Rounding.** ``linspace(0, 1, 11)[3]`` is 0.30000000000000004, and ``0.3 / 0.1`` is
#   2.9999999999999996. So a probability of 0.3 is in the third bin of netcal and relplot, and in
#   the fourth of calibkit, whose borders are the nearest numbers to 1/10, 2/10 and so on.
# - **A bin of its own.** In torchmetrics and relplot a probability of exactly 1 has a bin of its
#   own; in MAPIE it is one of exactly 0.
#
# None of these rules is right or wrong. But numbers of different packages can't be compared, and
# for forests and other models with few distinct outputs the difference is not small.
#
# Other errors of the same packages
# ---------------------------------
# ``get_calibration_error`` of uncertainty-calibration is another number: the debiased root mean
# square error. It takes bins of equal mass, or one bin for each distinct probability if these are
# few. Say which you mean: :func:`calibkit.calibration_error` has the argument ``strategy``.
#
# ``smECE`` of relplot has no bins, and :func:`calibkit.smooth_calibration_error` has the same
# definition. The values agree to three digits, unless many probabilities are exactly 0 or 1, as
# here: relplot's reflection counts such rows half.

for strategy in ("quantile", "unique"):
    print(f"{strategy}: {calibration_error(y, p, strategy=strategy):.4f}")
print(f"smooth: {smooth_calibration_error(y, p):.4f}")

# %%
# Is any of the differences important? The rows are few. The interval holds the true errors that
# fit these rows, and the null band what a calibrated model would show:

print(estimate("expected_calibration_error", y, p, random_state=0))

# %%
# Why calibrated probabilities differ
# -----------------------------------
# - **Sigmoid.** ``CalibratedClassifierCV`` fits a sigmoid to raw probabilities if there is no
#   ``decision_function``, and uses Platt's smoothed targets. ``PlattCalibrator`` fits log-odds, so
#   it can return the scores unchanged, with targets of 0 and 1 (``smooth_targets=True`` for
#   Platt's).
# - **Isotonic.** Outside of the scores of the fit, and at 0 and 1: ``IsotonicCalibrator`` keeps
#   probabilities away from 0 and 1 by default (``min_probability=None`` for plain ones).
# - **Ensembles.** ``CalibratedClassifierCV`` averages one classifier and map per fold by default,
#   ``CalibratedClassifier`` has one classifier and one map.
# - **K classes.** scikit-learn calibrates each class against the rest; ``"auto"`` here fits maps of
#   all classes at once.
#
# Names on this page
# ------------------
# :class:`calibkit.CalibratedClassifier`, :func:`calibkit.expected_calibration_error`,
# :func:`calibkit.calibration_error`, :func:`calibkit.smooth_calibration_error`,
# :func:`calibkit.estimate`, :class:`calibkit.ReliabilityDisplay`,
# :func:`calibkit.reliability_curve`, :func:`calibkit.calibration_test`,
# :class:`calibkit.PlattCalibrator`, :class:`calibkit.TopLabelCalibrator`,
# :class:`calibkit.VennAbersCalibrator`, :class:`calibkit.ScalingBinningCalibrator`.
#
# Next: :doc:`/glossary`.
