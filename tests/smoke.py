"""What users do first, with calibkit as it was installed: ``python smoke.py``.

``.ci/run`` runs it with each Python, outside of the source, in a new environment that has the wheel
or the sdist.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.naive_bayes import GaussianNB

import calibkit
from calibkit import CalibratedClassifier, PlattCalibrator, estimate, load, save


def check() -> None:
    """Fit, predict, measure, save and load; then the command line."""
    place = Path(calibkit.__file__)
    assert place.is_relative_to(sys.prefix), f"{place} is not the installed package"
    assert (place.parent / "py.typed").exists()
    X, y = load_breast_cancer(return_X_y=True)
    train, new = slice(None, 400), slice(400, None)
    raw = GaussianNB().fit(X[train], y[train])
    model = CalibratedClassifier(GaussianNB()).fit(X[train], y[train])
    error = {
        name: estimate("log_loss", y[new], m.predict_proba(X[new]), random_state=0).value
        for name, m in (("raw", raw), ("calibrated", model))
    }
    assert error["calibrated"] < error["raw"], error
    scores = raw.predict_proba(X)[:, 1]
    calibrator = PlattCalibrator().fit(scores[train], y[train])
    with tempfile.TemporaryDirectory() as folder:
        path, table = Path(folder) / "platt.json", Path(folder) / "t.csv"
        save(calibrator, path)
        again = load(path).predict_proba(scores[new])
        np.testing.assert_array_equal(again, calibrator.predict_proba(scores[new]))
        rows = zip(y[new], scores[new], strict=True)
        table.write_text("y,p\n" + "".join(f"{a},{float(b)!r}\n" for a, b in rows))
        command = Path(sys.executable).with_name("calibkit")
        run = [command, "report", table, "--label", "y", "--prob", "p", "--resamples", "20"]
        for words in ([command, "--version"], run):
            out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            assert words is run or out.split()[-1] == calibkit.__version__, out


if __name__ == "__main__":
    check()
