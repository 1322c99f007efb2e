"""Write the files of version 1 in ``tests/data/version_1``. Never run again for version 1.

They were written by the first release, before anything of it was renamed or changed, with what each
loaded object said at that time (``answers.json``). ``tests/test_saved_files.py`` reads them for
ever after: a test that fails there means that users' files no longer load, or say something else,
and the code is to be mended, not the files. A version 2 gets a script and a folder of its own.

    PYTHONPATH=. python tests/data/write_version_1.py
"""

import json
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np

import calibkit as ck
from calibkit import decisions, online
from tests.test_saved_files import FOLDER, answers, answers_of_journal

N = 60


def binary(scale="probability", labels=(0, 1), n=N, saturated=False):
    rng = np.random.default_rng(1)
    p = np.round(rng.uniform(0.02, 0.98, n), 3)
    y = (rng.random(n) < p**1.5).astype(int)
    if saturated:
        p[:4] = [0.0, 0.0, 1.0, 1.0]
        y[:4] = [0, 1, 1, 0]
    x = np.round(np.log(p / (1 - p)), 3) if scale == "logit" else p
    return x, np.array(labels)[y]


def several(labels=(0, 1, 2), n=200, scale="probability"):
    rng = np.random.default_rng(2)
    p = np.round(rng.dirichlet([1, 1, 1], n), 2)
    p[:, 2] = 1 - p[:, 0] - p[:, 1]
    p = p.clip(0, 1) / p.clip(0, 1).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=row**2 / (row**2).sum()) for row in p])
    return (np.round(np.log(p + 0.01), 3) if scale == "logit" else p), np.array(labels)[y]


def batch():
    words, flags = ("no", "yes"), (False, True)
    yield "identity", ck.IdentityCalibrator().fit(*binary(labels=flags))
    yield "identity_logit", ck.IdentityCalibrator(scale="logit").fit(*several(scale="logit"))
    yield "platt", ck.PlattCalibrator().fit(*binary())
    yield "platt_saturated", ck.PlattCalibrator().fit(*binary(saturated=True))
    yield (
        "platt_logit",
        ck.PlattCalibrator(
            scale="logit", smooth_targets=True, l2=0.5, eps=1e-3, classes=list(words)
        ).fit(*binary("logit", words)),
    )
    yield "temperature", ck.TemperatureCalibrator().fit(*binary(saturated=True))
    yield (
        "temperature_classes",
        ck.TemperatureCalibrator(classes=["a", "b", "c"], eps=1e-4).fit(*several(["a", "b", "c"])),
    )
    yield "temperature_logit", ck.TemperatureCalibrator(scale="logit").fit(*several(scale="logit"))
    yield "beta", ck.BetaCalibrator().fit(*binary(saturated=True, labels=(-1.0, 2.0)))
    # Added with their classes, before the first release:
    yield "spline", ck.SplineCalibrator(n_knots=4).fit(*binary(n=16))
    yield "venn_abers", ck.VennAbersCalibrator(loss="brier").fit(*binary(n=20))
    yield "auto", ck.AutoCalibrator(scale="logit").fit(*binary("logit", words, 18))
    yield "auto_classes", ck.AutoCalibrator().fit(*several(["a", "b", "c"]))
    yield "vector_scaling", ck.VectorScalingCalibrator(strength=2.0).fit(*several())
    yield "matrix_scaling", ck.MatrixScalingCalibrator().fit(*several())
    yield "isotonic", ck.IsotonicCalibrator().fit(*binary())
    yield (
        "isotonic_centred",
        ck.IsotonicCalibrator(interpolation="centred", min_probability=0.01, scale="logit").fit(
            *binary("logit")
        ),
    )
    yield "histogram", ck.HistogramBinningCalibrator(n_bins=4).fit(*binary())
    yield (
        "histogram_uniform",
        ck.HistogramBinningCalibrator(n_bins=5, strategy="uniform", smoothing=1.0).fit(*binary()),
    )
    yield "scaling_binning", ck.ScalingBinningCalibrator(n_bins=4).fit(*binary())
    yield (
        "scaling_binning_split",
        ck.ScalingBinningCalibrator(
            ck.BetaCalibrator(eps=0.01), n_bins=3, split=(0.5, 0.25, 0.25), random_state=3
        ).fit(*binary(labels=words)),
    )
    yield (
        "one_vs_rest",
        ck.OneVsRestCalibrator(ck.IsotonicCalibrator(), classes=["a", "b", "c", "d"]).fit(
            *lacking()
        ),
    )
    yield (
        "one_vs_rest_nested",
        ck.OneVsRestCalibrator(
            ck.ScalingBinningCalibrator(ck.IsotonicCalibrator(interpolation="centred"), n_bins=3)
        ).fit(*binary(labels=words)),
    )
    yield "top_label", ck.TopLabelCalibrator(ck.PlattCalibrator()).fit(*several())
    yield (
        "top_label_by_class",
        ck.TopLabelCalibrator(
            ck.HistogramBinningCalibrator(points_per_bin=20), by_class=True, min_rows=60
        ).fit(*several()),
    )


def lacking():
    p, y = several(["a", "b", "c"], n=40)
    return np.column_stack((0.9 * p, np.full(len(p), 0.1))), y


def taught(cal, x, y, classes=None):
    """Rows learnt, and two forecasts that wait."""
    cal.partial_fit(x, y, classes)
    cal.remember(["late", 7], x[:2])
    return cal


def learners():
    words = ("no", "yes")
    yield "online_platt", taught(online.OnlinePlattCalibrator(), *binary())
    yield "online_platt_started", taught(
        online.OnlinePlattCalibrator(
            start=(0.8, -0.1), discount=0.99, gamma=0.2, prior_strength=50.0, radius=9.0, eps=1e-4,
            scale="logit", classes=list(words), max_pending=5,
        ), *binary("logit", words)
    )  # fmt: skip
    yield "online_beta", taught(online.OnlineBetaCalibrator(discount=0.995), *binary())
    yield "online_temperature", taught(online.OnlineTemperatureCalibrator(), *several())
    yield (
        "online_temperature_binary",
        taught(online.OnlineTemperatureCalibrator(scale="logit"), *binary("logit")),
    )
    yield "adaptive_platt", taught(online.AdaptivePlattCalibrator(discounts=(1.0, 0.99)), *binary())
    yield "tracking", taught(online.TrackingCalibrator(), *binary())
    yield "tracking_adaptive", taught(
        online.TrackingCalibrator(
            online.AdaptivePlattCalibrator(discounts=(1.0, 0.98)), n_bins=7, smoothing=1.0
        ), *binary()
    )  # fmt: skip
    yield "hedging", taught(
        online.HedgingCalibrator(
            online.OnlinePlattCalibrator(scale="logit"), n_bins=4, random_state=0
        ), *binary("logit")
    )  # fmt: skip
    yield (
        "windowed",
        taught(
            online.WindowedCalibrator(ck.PlattCalibrator(), window=20, refit_every=15), *binary()
        ),
    )
    yield (
        "windowed_once",
        taught(
            online.WindowedCalibrator(ck.IsotonicCalibrator(), first_fit=25, refit=False),
            *binary(n=30),
        ),
    )
    yield (
        "windowed_unfitted",
        taught(online.WindowedCalibrator(ck.BetaCalibrator(), refit_every=100), *binary(n=10)),
    )
    yield "multi_stream", many(online.MultiStreamCalibrator(), np.arange(N) % 4)
    yield "multi_stream_words", many(
        online.MultiStreamCalibrator(
            gamma=0.2, prior_strength=50.0, radius=9.0, discount=0.99, eps=1e-4, scale="logit",
            classes=["no", "yes"], max_pending=9,
        ), np.array(["x", "y", "z"])[np.arange(N) % 3], "logit", ("no", "yes")
    )  # fmt: skip


def many(cal, group, *kind):
    x, y = binary(*kind)
    cal.partial_fit(x, y, group)
    cal.remember([1, "late"], x[:2], group[:2])
    return cal


def others():
    x, y = binary(n=400)
    other = ck.PlattCalibrator().fit(x, y)
    yield "borrowed", decisions.borrow_calibrator(other, x[:20], y[20:40])
    alarm = ck.CalibrationAlarm(alpha=0.01, tolerance=0.1)
    alarm.update(y[:N], x[:N])
    yield "alarm", alarm
    rung = ck.CalibrationAlarm(classes=["no", "yes"])
    rung.update(["yes", "no", None] * 30, [0.05, 0.05, 0.5] * 30)
    yield "alarm_rung", rung
    race = ck.ComparisonAlarm("log_loss", floor=0.01, classes=["a", "b", "c"])
    x, y = several(["a", "b", "c"])
    race.update(y, np.full_like(x, 1 / 3), x)
    yield "comparison", race
    rng = np.random.default_rng(4)
    p = np.round(rng.beta(4, 1, 2000), 4)
    right = (rng.random(2000) < p).astype(int)
    gate = decisions.RiskControlledThreshold(max_error=0.1)
    yield "threshold", gate.fit(p, right)
    groups = np.arange(2000) // 4
    yield (
        "threshold_groups",
        decisions.RiskControlledThreshold(
            max_error=0.15, delta=0.2, max_group_size=4, random_state=1
        ).fit(p, right, groups=groups),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield "threshold_none", decisions.RiskControlledThreshold(max_error=0.001).fit(p, right)
    costs = {"cost_accept_wrong": 10, "cost_discard_right": 4}
    policy = decisions.TriagePolicy(**costs, cost_review=1)
    yield "policy", policy
    yield "policy_no_reviews", decisions.TriagePolicy(**costs)
    quantiles = decisions.QuantileCalibrator(precision="linear", quantiles=(0.2, 0.5))
    rate = rng.binomial(8, p) / 8
    quantiles.fit(p, rate, n_trials=8)
    yield "quantiles", quantiles.conformalise(p[:50], rate[:50])
    yield (
        "quantiles_pinball",
        decisions.QuantileCalibrator(method="pinball", scale="logit").fit(
            np.log((p + 1e-3) / (1 - p + 1e-3)), rate
        ),
    )
    platt = ck.PlattCalibrator().fit(p, right)
    yield "rule", decisions.DecisionRule("geometric_mean_probability", platt, gate, policy)
    yield (
        "rule_policy",
        decisions.DecisionRule(
            "average_token_probability", ck.IsotonicCalibrator().fit(*binary()), None, policy
        ),
    )


def journals(folder):
    """A snapshot and calls of every kind after it, as a process that was killed leaves them."""
    x, y = binary(labels=("no", "yes"))
    path = folder / "tracking.db"
    journal = online.Journal(path, online.TrackingCalibrator(classes=["no", "yes"]))
    journal.predict_then_update(x[:20], y[:20])
    journal.learn_one(float(x[20]), str(y[20]))
    journal.remember(["late", 7, "lost"], x[21:24])
    journal.resolve(["lost"], [None])
    journal.partial_fit(x[24:30], [*y[24:29], None])
    journal._log.close()
    x, y = binary()
    path = folder / "many_streams.db"
    journal = online.Journal(path, online.MultiStreamCalibrator(), snapshot_every=20)
    group = np.array(["x", "y", "z"])[np.arange(N) % 3]
    for at in (slice(0, 30), slice(30, 40)):
        journal.partial_fit(x[at], y[at], group=group[at])
    journal.remember([5, "late"], x[:2], group=group[:2])
    journal.resolve([5], [1])
    journal.remember([6], x[2:3], group=group[2:3])
    journal._log.close()


def rounded(found):
    """To 11 digits: the last ones are the machine's."""
    if isinstance(found, dict):
        return {key: rounded(v) for key, v in found.items()}
    if isinstance(found, list):
        return [rounded(v) for v in found]
    return float(f"{found:.11g}") if isinstance(found, float) else found


def main():
    FOLDER.mkdir()
    found = {}
    for source in (batch, learners, others):
        for name, own in source():
            ck.save(own, FOLDER / f"{name}.json")
            found[f"{name}.json"] = answers(ck.load(FOLDER / f"{name}.json"))
    journals(FOLDER)
    for path in sorted(FOLDER.glob("*.db")):
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copy(path, Path(folder) / path.name)
            found[path.name] = answers_of_journal(copy)
    (FOLDER / "answers.json").write_text(json.dumps(rounded(found), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
