"""
Groups, weights, time order
===========================

Most numbers assume that each row counts the same and says something new.
Often it does not: ten answers to one question, a survey that asked one region
twice as often, sales of the same shop day after day. Say so with ``groups=``,
``sample_weight=`` and ``time=``. Without them, values may be fine and
intervals far too narrow.
"""

# %%
# Rows that depend on each other
# ------------------------------
# A hundred problems with twenty answers each. Problems differ in difficulty, so answers to one
# problem tend to be right or wrong together.

import warnings

import numpy as np
from scipy.special import expit
from sklearn.model_selection import GroupKFold, cross_val_predict

from calibkit import (
    AutoCalibrator,
    CalibrationWarning,
    GroupDisplay,
    compare,
    estimate,
    group_table,
)

rng = np.random.default_rng(0)
problem = np.repeat(np.arange(100), 20)
difficulty = rng.normal(size=100)[problem]
score = expit(2 * difficulty + rng.normal(size=2000))
passed = rng.random(2000) < expit(difficulty)

print(estimate("brier_score", passed, score, random_state=0))
print(estimate("brier_score", passed, score, groups=problem, random_state=0))

# %%
# The value is the same. With ``groups`` the interval is wider, and that is the honest one: there
# are a hundred independent problems, not two thousand independent rows.
#
# Fits and cross-validation need the groups too. All answers to one problem belong in one fold,
# otherwise the calibrator is judged by problems that it knows. ``AutoCalibrator`` also counts
# dependent rows as fewer rows.

settings = {
    "groups": problem,
    "cv": GroupKFold(5),
    "params": {"groups": problem},
}
q = cross_val_predict(
    AutoCalibrator(), score, passed, method="predict_proba", **settings
)[:, 1]
result = compare(
    "brier_score", passed, {"before": score, "after": q}, groups=problem
)
print(result)

# %%
# ``CalibratedClassifier(...).fit(X, y, groups=...)`` does the same inside.
#
# Where is the model wrong?
# -------------------------
# This is another use of the word: groups of rows that you care about, such as regions. A model may
# be calibrated on the whole and wrong in each of them. :func:`calibkit.group_table` measures each,
# and its p-values account for the number of groups, so a flag is more than a chance find.

region = rng.choice(["north", "south", "west"], 3000)
p = rng.beta(2, 3, 3000)
truth = np.where(
    region == "south", p**0.7, np.where(region == "west", p**1.2, p)
)
outcome = rng.random(3000) < truth
table = group_table(outcome, p, by={"region": region})
for row in table:
    e = row["error"]
    error = f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]"
    print(
        f"{row['group']}: {error}, p-value {row['p_value']:.3f} {row['flag']}"
    )
GroupDisplay(table).plot()

# %%
# Weights
# -------
# In metrics a weight says how many rows of the population a row stands for, so only ratios matter.
# In ``fit``, a weight of 2 equals a row that is given twice. Here the south was sampled four times
# as often as the others, so each of its rows counts a quarter.

weight = np.where(region == "south", 0.25, 1.0)
print(estimate("calibration_error", outcome, p, random_state=0))
print(
    estimate(
        "calibration_error", outcome, p, sample_weight=weight, random_state=0
    )
)

# %%
# If weights count identical rows, say ``weights="frequency"``: then the same values give a
# narrower interval, since there are that many rows.

count = np.full(3000, 3)
for kind in ("sampling", "frequency"):
    e = estimate(
        "brier_score",
        outcome,
        p,
        sample_weight=count,
        weights=kind,
        random_state=0,
    )
    print(f"{kind}: {e.value:.4f} [{e.low:.4f}, {e.high:.4f}]")

# %%
# Time order
# ----------
# Errors of neighboring days resemble each other. ``time=`` makes :func:`calibkit.compare` take
# blocks of time as units. Here two models differ by noise that changes slowly.

day = np.arange(2000)
wave = np.convolve(rng.normal(size=2199), np.ones(200) / 200, mode="valid")
chance = rng.beta(2, 2, 2000)
event = rng.random(2000) < np.clip(chance + wave, 0, 1)
models = {"a": np.clip(chance - 0.02, 0, 1), "b": np.clip(chance + 0.02, 0, 1)}
print(compare("brier_score", event, models))
print(compare("brier_score", event, models, time=day))

# %%
# For a model that is used while data arrive, fit it to the past and judge it on the future, never
# the other way round. Calibrators for streams do that row by row.
#
# What calibkit does not guess
# ----------------------------
# It can't see that rows depend on each other. If you don't pass groups, it treats rows as
# independent. With fewer than ten groups, there is a warning, and the result keeps its text:

warnings.simplefilter("ignore", CalibrationWarning)
few = estimate(
    "brier_score",
    passed[:100],
    score[:100],
    groups=problem[:100],
    random_state=0,
)
print(few.caution)

# %%
# Names on this page
# ------------------
# :func:`calibkit.estimate`, :func:`calibkit.compare`, :func:`calibkit.group_table`,
# :class:`calibkit.GroupDisplay`, :class:`calibkit.AutoCalibrator`,
# :class:`calibkit.CalibratedClassifier`, :class:`calibkit.CalibrationWarning`.
#
# Next: :doc:`what_can_be_certified`.
