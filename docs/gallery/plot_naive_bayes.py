"""
Naive Bayes before and after calibration
========================================

Naive Bayes is over-confident: its probabilities are too close to 0 and 1.
"""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

from calibkit import CalibratedClassifier, ReliabilityDisplay

X, y = load_breast_cancer(return_X_y=True)
X, X_new, y, y_new = train_test_split(X, y, stratify=y, random_state=0)
models = {
    "uncalibrated": GaussianNB().fit(X, y),
    "calibrated": CalibratedClassifier(GaussianNB()).fit(X, y),
}
ReliabilityDisplay.from_estimator(models, X_new, y_new)
