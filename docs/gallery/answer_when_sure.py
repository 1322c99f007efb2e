"""
Answer only when sure enough
============================

A classifier of digits may pass hard ones to a person. A threshold on its
confidence guarantees that at most 2% of the digits that it reads itself are
wrong.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from calibkit import RiskCoverageDisplay
from calibkit.decisions import RiskControlledThreshold

X, y = load_digits(return_X_y=True)
X, X_held, y, y_held = train_test_split(X, y, train_size=300, stratify=y, random_state=0)
model = LogisticRegression(max_iter=2000).fit(X, y)
p = model.predict_proba(X_held)
confidence, correct = p.max(axis=1), p.argmax(axis=1) == y_held
fit, new = slice(0, 750), slice(750, None)

threshold = RiskControlledThreshold(max_error=0.02).fit(confidence[fit], correct[fit])
figure, ax = plt.subplots(figsize=(5.2, 4.2), layout="constrained")
display = RiskCoverageDisplay.from_predictions(
    correct[new],
    confidence[new],
    max_error=0.02,
    thresholds=threshold.threshold_,
    name="digits",
    random_state=0,
    ax=ax,
)

# %%
# From left to right, more digits are accepted, the surest first. The dot is the threshold: it was
# chosen on other digits than those of the picture.

print(threshold)
print(threshold.predict(confidence[new])[:10])

# %%
# The guarantee needs no calibrated probabilities, only rows that were not used for training. With
# 90% confidence over the rows of ``fit``, at most 2% of new accepted digits are wrong.
#
# What does a stricter promise cost?
# ----------------------------------

for max_error in (0.05, 0.03, 0.02):
    strict = RiskControlledThreshold(max_error=max_error).fit(confidence[fit], correct[fit])
    accepted = strict.predict(confidence[new])
    wrong = 1 - correct[new][accepted].mean()
    print(
        f"at most {max_error:.0%} wrong: {accepted.mean():.0%} accepted, {wrong:.1%} of them wrong"
    )

# %%
# If no threshold has the guarantee, nothing is accepted, and a warning says how many rows would be
# needed. The digits ship with scikit-learn.
