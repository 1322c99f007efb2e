"""
Save a calibrator, and load it elsewhere
========================================

A fitted calibrator is a small JSON file. Loading it runs no code, and it then
predicts the same numbers as before.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB

import calibkit

X, y = load_breast_cancer(return_X_y=True)
score = cross_val_predict(GaussianNB(), X, y, method="predict_proba")[:, 1]

folder = Path(tempfile.mkdtemp())
for name in ("platt", "beta", "spline", "auto"):
    calibrator = calibkit.make_calibrator(name).fit(score, y)
    calibkit.save(calibrator, folder / f"{name}.json")  # plain JSON

grid = 1 / (1 + np.exp(-np.linspace(-12, 12, 301)))
figure, ax = plt.subplots(figsize=(5.0, 3.8), layout="constrained")
colors, styles = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), ("-", "--", "-.", ":")
for path, color, style in zip(sorted(folder.glob("*.json")), colors, styles, strict=True):
    loaded = calibkit.load(path)
    ax.plot(grid, loaded.predict_proba(grid)[:, 1], color=color, ls=style, lw=2, label=path.name)
ax.set(xscale="logit", xlabel="Score of naive Bayes (log-odds axis)")
ax.set_ylabel("Probability that a tumor is benign")
ax.xaxis.set_minor_formatter(plt.NullFormatter())
ax.legend(frameon=False)

# %%
# Each curve is drawn by a calibrator that was read from its file.
#
# What is in a file?
# ------------------

print((folder / "platt.json").read_text())

# %%
# A loaded calibrator knows when it was fitted, on how many rows, and by which version:

loaded = calibkit.load(folder / "auto.json")
print(loaded.fitted_on_)

# %%
# The same numbers
# ----------------

fitted = calibkit.AutoCalibrator().fit(score, y)
print((loaded.predict_proba(score) == fitted.predict_proba(score)).all())

# %%
# A :class:`~calibkit.CalibratedClassifier` can be saved too, with skops for its estimators. The
# data ship with scikit-learn.
