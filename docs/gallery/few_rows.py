"""
Isotonic regression, Venn-Abers or a spline, with few rows
==========================================================

With 150 rows, isotonic regression makes large steps that are chance.
Venn-Abers shows how well the rows determine each probability; the spline and
the automatic calibrator are smooth.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from calibkit import make_calibrator

X, digit = load_digits(return_X_y=True)
odd = digit % 2
X, X_held, odd, y = train_test_split(X, odd, train_size=500, stratify=odd, random_state=0)
score = RandomForestClassifier(100, random_state=0).fit(X, odd).predict_proba(X_held)[:, 1]

names = ["isotonic", "venn_abers", "spline", "auto"]
few = np.random.default_rng(0).permutation(len(y))[:150]
fitted = {name: make_calibrator(name).fit(score[few], y[few]) for name in names}

grid = np.linspace(0, 1, 401)
figure, axes = plt.subplots(2, 2, figsize=(5.6, 5.6), sharex=True, sharey=True)
for ax, (name, calibrator) in zip(axes.ravel(), fitted.items(), strict=True):
    ax.plot(grid, calibrator.predict_proba(grid)[:, 1], color="#0072B2")
    ax.plot([0, 1], [0, 1], color="gray", lw=0.8)
    ax.set(title=name, aspect="equal", xlim=(0, 1), ylim=(0, 1))
low, high = fitted["venn_abers"].predict_interval(grid).T
axes[0, 1].fill_between(grid, low, high, color="#56B4E9", alpha=0.4, lw=0)
figure.supxlabel("Score of the random forest: is the digit odd?")
figure.supylabel("Calibrated probability")
figure.tight_layout()

# %%
# The shaded band of Venn-Abers has two probabilities for each score: if the new row is no event,
# and if it is one. Where the band is wide, the rows say little.
#
# Which one has the lowest loss?
# ------------------------------
#
# One draw of 150 rows says little, so 30 draws are made. Each time the other rows are the judges.

from calibkit import log_loss

losses = {name: [] for name in ["no calibration", *names]}
rng = np.random.default_rng(1)
for _ in range(30):
    order = rng.permutation(len(y))
    few, rest = order[:150], order[150:]
    losses["no calibration"].append(log_loss(y[rest], np.clip(score[rest], 0.005, 0.995)))
    for name in names:
        calibrator = make_calibrator(name).fit(score[few], y[few])
        losses[name].append(log_loss(y[rest], calibrator.predict_proba(score[rest])))

for name, values in losses.items():
    print(f"{name:15} mean log loss {np.mean(values):.3f}, worst {np.max(values):.3f}")

# %%
# Each calibrator helps here on average, since the forest's probabilities are too close to 0.5. The
# worst draw of isotonic regression is no better than no calibration: its 0 and 1 are too sure.
# :doc:`/auto_guides/which_calibrator` says which to use for which reason. The digits ship with
# scikit-learn.
