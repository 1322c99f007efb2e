"""
Deploy: SQL, ONNX, plain code
=============================

Scores are often not computed where the model was fitted: they lie in a
database, a service in another language, or a browser. A fitted calibrator is
a function of one number, so calibkit writes it in the language of that place,
and checks that both give the same probabilities.
"""

# %%
# A calibrator
# ------------

import sqlite3
import tempfile
from pathlib import Path

import numpy as np

from calibkit import AutoCalibrator, PlattCalibrator, load, save
from calibkit.export import (
    check_export,
    golden_vectors,
    to_javascript,
    to_onnx,
    to_python,
    to_sql,
)

rng = np.random.default_rng(0)
truth = rng.random(2000)
score, outcome = truth**2, rng.random(2000) < truth
platt = PlattCalibrator().fit(score, outcome)

# %%
# In a database
# -------------
# :func:`calibkit.export.to_sql` writes an expression for a SELECT. Name the dialect and the
# column.

expression = to_sql(platt, dialect="sqlite", column="score")
print(expression)

# %%
# It can be pasted into any query. Here it runs in SQLite, which comes with Python, beside
# ``predict_proba``:

connection = sqlite3.connect(":memory:")
connection.execute("CREATE TABLE games (id INTEGER, score REAL)")
connection.executemany(
    "INSERT INTO games VALUES (?, ?)", enumerate([0.1, 0.5, 0.9, None])
)
for row in connection.execute(
    f"SELECT id, score, {expression} AS probability FROM games"
):
    print(row)
print(platt.predict_proba([0.1, 0.5, 0.9])[:, 1])

# %%
# A missing score stays missing, where ``predict_proba`` raises an error. Maps of many parts, such
# as the automatic calibrator, are long. With ``table`` you get a whole query, which computes
# shared values once:

automatic = AutoCalibrator().fit(score, outcome)
query = to_sql(
    automatic, dialect="sqlite", column="score", table="games", keep="id"
)
print(f"{len(query):,} characters")
print(connection.execute(query).fetchall())

# %%
# Check it
# --------
# :func:`calibkit.export.check_export` runs an export on scores that are hard to get right: 0 and
# 1, borders of bins and the numbers next to them, values out of range. In your own tests, assert
# ``check.passed``.

check = check_export(automatic, query)
print(check)
assert check.passed

# %%
# calibkit's tests run the SQL of SQLite, DuckDB, PostgreSQL and ClickHouse. That of BigQuery,
# Snowflake and SQL Server is only parsed there, and that of Spark and MariaDB was run once. So in
# these engines, run :func:`calibkit.export.golden_vectors` yourself: scores, and the results that
# they must give.

hard, expected = golden_vectors(platt, n=1000)
print(hard[:4, 0], expected["probability"][:4])

# %%
# In a service or a browser
# -------------------------
# Each function needs nothing but the mathematics of its language. There are also ``to_c``,
# ``to_java`` and ``to_rust``.

print(to_javascript(platt, name="probability"))

# %%
# ``to_python`` is for places where calibkit, NumPy and scikit-learn are not installed.

code = to_python(platt, name="probability")
scope = {}
exec(code, scope)
print(scope["probability"](0.5))

# %%
# With the model, as ONNX
# -----------------------
# ``to_onnx`` (extra ``onnx``) writes a model that onnxruntime runs. Join it with that of the
# classifier by ``onnx.compose.merge_models``.

model = to_onnx(platt)
print([i.name for i in model.graph.input], [o.name for o in model.graph.output])

# %%
# In Python
# ---------
# :func:`calibkit.save` writes plain JSON, and loading it runs no code. A pickle would.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "platt.json"
    save(platt, path)
    print(f"{path.stat().st_size} bytes", load(path).predict_proba([0.5])[:, 1])

# %%
# What can't be exported
# ----------------------
# Calibrators for streams change with each label, and a class of your own is unknown: an error says
# so. A classifier itself is not exported, only the map of its scores. Exports agree with
# ``predict_proba`` to 1e-12 in double precision; the exceptions are in
# :doc:`/export`.
#
# Names on this page
# ------------------
# :func:`calibkit.export.to_sql`, :func:`calibkit.export.check_export`,
# :func:`calibkit.export.golden_vectors`, :func:`calibkit.export.to_javascript`,
# :func:`calibkit.export.to_python`, :func:`calibkit.export.to_onnx`, :func:`calibkit.save`,
# :func:`calibkit.load`, :class:`calibkit.PlattCalibrator`, :class:`calibkit.AutoCalibrator`.
#
# Next: :doc:`coming_from_other_packages`.
