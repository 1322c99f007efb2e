"""
Streams that drift
==================

Data change, and a map that was fitted last year may be wrong today. Two tools
help. An alarm watches the forecasts and says when they are miscalibrated. An
online calibrator learns from each label as it arrives, so it follows the
drift. Use the alarm if you want to know, and the calibrator if you want the
forecasts to stay right.
"""

# %%
# A stream
# --------
# The scores are calibrated for the first half. Then events become rarer, and nobody tells the
# model.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from calibkit import (
    CalibrationAlarm,
    ComparisonAlarm,
    DriftDisplay,
    PlattCalibrator,
    log_loss,
)
from calibkit.online import (
    AdaptivePlattCalibrator,
    Journal,
    OnlinePlattCalibrator,
    TrackingCalibrator,
    WindowedCalibrator,
)

rng = np.random.default_rng(1)
score = rng.random(20_000)
truth = np.where(np.arange(20_000) < 10_000, score, score**2)
outcome = rng.random(20_000) < truth

# %%
# Know when it goes wrong
# -----------------------
# A test that is repeated every day finds an "error" sooner or later, in a calibrated model too.
# The alarm may be asked after each row: the probability that it ever rings for calibrated
# forecasts is at most ``alpha``, over the whole stream, however long it is.

alarm = CalibrationAlarm(alpha=0.05)
alarm.update(outcome[:10_000], score[:10_000])
print("in the first half:", alarm.alarm_time_)
alarm.update(outcome[10_000:], score[10_000:])
print("in the second half: after row", alarm.alarm_time_)

# %%
# Stay calibrated
# ---------------
# ``predict_then_update`` forecasts each row from the labels before it, and then learns from its
# label. So these forecasts are honest: none of them has seen its own label.

calibrators = {
    "online Platt": OnlinePlattCalibrator(),
    "adaptive Platt": AdaptivePlattCalibrator(),
    "tracking": TrackingCalibrator(AdaptivePlattCalibrator()),
    "window of 1,000": WindowedCalibrator(PlattCalibrator(), window=1000),
}
forecast = {"uncalibrated": score}
for name, calibrator in calibrators.items():
    forecast[name] = calibrator.predict_then_update(score, outcome)[:, 1]
late = slice(10_000, None)
for name, q in forecast.items():
    print(
        f"{name}: log loss after the change {log_loss(outcome[late], q[late]):.4f}"
    )
print(
    f"the truth: {log_loss(outcome[late], np.clip(truth[late], 1e-9, 1)):.4f}"
)

# %%
# ``OnlinePlattCalibrator`` never forgets, so the old half holds it back.
# ``AdaptivePlattCalibrator`` learns how fast to forget. ``TrackingCalibrator`` replaces each
# forecast of another calibrator by the rate of events so far among its forecasts like this one.
# The picture shows the error in a window of 2,000 rows.

shown = {
    name: forecast[name]
    for name in ("uncalibrated", "online Platt", "tracking")
}
DriftDisplay.from_predictions(outcome, shown, window=2000)
plt.gcf().set_size_inches(8, 5)

# %%
# Is the new one really better?
# -----------------------------
# :class:`calibkit.ComparisonAlarm` compares two forecasters while the stream runs. Like the other
# alarm, it may be looked at after each row. Here it starts when the first alarm has rung.

rung = slice(alarm.alarm_time_, None)
race = ComparisonAlarm("brier_score", alpha=0.05)
race.update(outcome[rung], score[rung], forecast["adaptive Platt"][rung])
print(
    f"better: the {race.better_} one; first shown after {race.alarm_time_:,} rows"
)
print(f"difference {race.difference_:.4f} [{race.low_:.4f}, {race.high_:.4f}]")

# %%
# Labels that come late
# ---------------------
# Often the label arrives days after the forecast. Give each forecast an id, and hand in the label
# when it is known. A journal keeps the state in a file, so that a crash loses nothing.

folder = tempfile.TemporaryDirectory()
with Journal(
    Path(folder.name) / "state.db", AdaptivePlattCalibrator(classes=[0, 1])
) as journal:
    print(journal.forecast(["order 17", "order 18"], [0.8, 0.3]))
    print(journal.label(["order 17"], [1]))
folder.cleanup()

# %%
# When not to
# -----------
# - **No drift, many labels.** A batch calibrator such as :class:`calibkit.AutoCalibrator` is as
#   good and simpler.
# - **Several forecasts of the same event**, such as one each minute of a game: an online calibrator
#   then learns from one outcome many times, and may get worse than no calibration. Keep one
#   forecast of each event.
# - **No labels.** Without labels nothing here can notice that a model went wrong.
#
# Names on this page
# ------------------
# :class:`calibkit.CalibrationAlarm`, :class:`calibkit.ComparisonAlarm`,
# :class:`calibkit.DriftDisplay`, :class:`calibkit.online.OnlinePlattCalibrator`,
# :class:`calibkit.online.AdaptivePlattCalibrator`, :class:`calibkit.online.TrackingCalibrator`,
# :class:`calibkit.online.WindowedCalibrator`, :class:`calibkit.online.Journal`,
# :func:`calibkit.log_loss`.
#
# Next: :doc:`confidence_of_generated_code`.
