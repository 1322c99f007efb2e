"""
How many labels do I need?
==========================

Four questions hide in this one. How many labels fit a calibrator? How many
show that a model is miscalibrated? How many prove that it is not? How many
show which of two models is better? The answers differ by a factor of a
hundred, and they depend on your scores. This page computes them.
"""

# %%
# To fit a calibrator
# -------------------
# These scores are over-confident: their log-odds are twice the true ones. Since the truth is
# known, we can compute how much log loss a calibrator gives away against the best map, after a fit
# to so many labels. The lines are means over six samples.

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit, logit, rel_entr

from calibkit import (
    certify,
    compare,
    detectable_difference,
    detectable_error,
    make_calibrator,
    rows_to_certify,
    rows_to_detect,
)

rng = np.random.default_rng(0)


def draw(n):
    """Over-confident scores, outcomes, and the true probabilities."""
    truth = rng.beta(1.5, 2.5, n)
    return expit(2 * logit(truth)), rng.random(n) < truth, truth


def given_away(q, truth):
    """Mean log loss of q above that of the truth."""
    return np.mean(rel_entr(truth, q) + rel_entr(1 - truth, 1 - q))


score_new, outcome_new, truth_new = draw(5000)
sizes = [30, 100, 300, 1000, 3000]
loss = {name: np.zeros(len(sizes)) for name in ("auto", "platt", "isotonic")}
for i, n in enumerate(sizes):
    for _ in range(6):
        score, outcome, _ = draw(n)
        for name in loss:
            q = (
                make_calibrator(name)
                .fit(score, outcome)
                .predict_proba(score_new)[:, 1]
            )
            loss[name][i] += given_away(q, truth_new) / 6

_, ax = plt.subplots()
for name, line in loss.items():
    ax.loglog(sizes, line, "o-", label=name)
ax.axhline(
    given_away(score_new, truth_new),
    color="gray",
    ls="--",
    label="uncalibrated",
)
ax.set(xlabel="labels", ylabel="log loss above that of the truth")
ax.legend()

# %%
# With 100 labels, Platt scaling and the automatic calibrator are far better than none here. Platt
# scaling has the right form for these scores. The automatic calibrator does not know the form, and
# from a few hundred labels on it gives away about as little. Isotonic regression needs ten times
# as many labels, or more.
#
# To find an error
# ----------------
# :func:`calibkit.rows_to_detect` takes scores and an error, and computes how many labels a test
# needs to find it with 80% probability. No labels are needed for that. The scores below are a
# small sample. Say which kind of error you have in mind: ``offset`` means that all probabilities
# are too low or too high, ``slope`` that they are over- or under-confident.

score, outcome, _ = draw(1000)
for direction in ("offset", "slope"):
    n = rows_to_detect(score, 0.05, direction=direction)
    print(f"{direction}: a root mean square error of 0.05 takes {n:,} labels")
print(detectable_error(score[:200]))

# %%
# Half the error takes about four times the labels:

print(f"{rows_to_detect(score, 0.025):,}")

# %%
# To prove that there is none larger than a bound
# -----------------------------------------------
# A certificate bounds the error for any model with finitely many outputs, with any number of rows.
# So it needs more labels than a test. The number grows with the number of outputs.

for n_bins in (5, 10, 20):
    n = rows_to_certify(0.05, n_bins=n_bins)
    print(f"{n_bins} outputs: {n:,} labels certify an error below 0.05")

# %%
# A try with ten outputs that are the truth:

outputs = (np.arange(10) + 0.5) / 10
p = rng.choice(outputs, rows_to_certify(0.05, n_bins=10))
print(certify(rng.random(len(p)) < p, p))

# %%
# To tell two models apart
# ------------------------
# :func:`calibkit.compare` measures the noise of a difference on the same rows. From that,
# :func:`calibkit.detectable_difference` says which difference the rows would have shown, and so
# whether "no difference found" means anything.

score, outcome, truth = draw(500)
models = {"truth": truth, "a little off": expit(logit(truth) + 0.1)}
result = compare("brier_score", outcome, models)
print(result)
for found in detectable_difference(result):
    print(found)

# %%
# Rules of thumb
# --------------
# - Count the rarer class, not the rows. A thousand rows with ten events are few.
# - Rows that depend on each other, such as several answers to one question, count as fewer. Pass
#   ``groups=``.
# - Do not judge a calibrator by the labels that it was fitted to. If labels are scarce, use
#   cross-validation, as :class:`calibkit.CalibratedClassifier` and
#   :func:`calibkit.compare_calibrators` do.
#
# Names on this page
# ------------------
# :func:`calibkit.rows_to_detect`, :func:`calibkit.detectable_error`,
# :func:`calibkit.rows_to_certify`, :func:`calibkit.certify`, :func:`calibkit.compare`,
# :func:`calibkit.detectable_difference`, :func:`calibkit.make_calibrator`.
#
# Next: :doc:`several_classes`.
