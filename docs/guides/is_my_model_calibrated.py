"""
Is my model calibrated, and how sure am I?
==========================================

Probabilities are calibrated if events that are predicted with probability 0.3 happen in 30% of the
cases. An estimated error has noise of its own, so look at its interval, and at the value that a
perfectly calibrated model would show on the same rows.
"""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

from calibkit import CalibratedClassifier, estimate

X, y = load_breast_cancer(return_X_y=True)
X, X_new, y, y_new = train_test_split(X, y, stratify=y, random_state=0)
for model in (GaussianNB(), CalibratedClassifier(GaussianNB())):
    p = model.fit(X, y).predict_proba(X_new)
    print(estimate("expected_calibration_error", y_new, p, random_state=0))
