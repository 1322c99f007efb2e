"""
Generated code: from log-probabilities to a decision
====================================================

A language model writes code and gives the log-probability of each token. Will
the tests pass? This page makes a confidence signal of the log-probabilities,
reads the confidence that the model states, decides between the two, turns the
better one into a probability, and then into a decision: accept, review or
discard. The last step comes with a guarantee.
"""

# %%
# Outputs and test results
# ------------------------
# The data are simulated: 300 problems of different difficulty, with four samples each. Tokens of
# correct outputs are more probable, and the model is over-confident.
# :func:`calibkit.codegen.read_generations` and :func:`calibkit.codegen.read_results` read the
# files of servers and test harnesses instead.

import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
from scipy.special import expit

from calibkit import (
    AutoCalibrator,
    MissingSignalWarning,
    ReliabilityDisplay,
    compare,
)
from calibkit.codegen import (
    parse_confidence,
    read_generations,
    token_confidence,
)
from calibkit.decisions import (
    DecisionRule,
    RiskControlledThreshold,
    Signals,
    TriagePolicy,
    cross_val_calibrate,
    evaluate_confidence,
)

rng = np.random.default_rng(0)
problem = np.repeat(np.arange(300), 4)
ease = rng.normal(1.0, 1.5, 300)[problem] + rng.normal(0, 1, 1200)
passed = rng.random(1200) < expit(2 * ease)
lengths = (rng.lognormal(3.4, 0.5, 1200) + 5).astype(int)
logprobs = [
    -np.logaddexp(0, -rng.normal(3.0 + 0.3 * e, 2.0, n))
    for e, n in zip(ease, lengths, strict=True)
]

# %%
# Two confidence signals
# ----------------------
# The first is the mean probability of a token. The second is what the model answers when it is
# asked how sure it is; some answers state no number. Neither is the probability that the tests
# pass. :class:`calibkit.decisions.Signals` holds both, each with its scale: the first is turned
# into log-odds, the second stays a probability.

sure = expit(1.5 + 0.4 * ease + rng.normal(0, 1, 1200))
answers = [f"I am {5 * round(20 * s)}% sure." for s in sure]
answers[::50] = ["I am very sure."] * 24

name = "average_token_probability"
mean_token = token_confidence(logprobs, name, scale="logit")
with warnings.catch_warnings():  # 24 outputs have no stated confidence
    warnings.simplefilter("ignore", MissingSignalWarning)
    signals = Signals(
        {name: mean_token, "stated": parse_confidence(answers)},
        {name: "logit", "stated": "probability"},
    )
    table = evaluate_confidence(
        signals, passed, groups=problem, n_resamples=200
    )
for row in table:
    skill = row["skill"]
    print(f"{row['signal']}, {row['stage']}")
    print(f"  skill {skill.value:.3f} [{skill.low:.3f}, {skill.high:.3f}]")
    print(f"  ECE {row['ece'].value:.3f}, ROC AUC {row['auc'].value:.3f}")

# %%
# Read the Brier skill of the calibrated rows: 1 is perfect, and 0 is no better than the share of
# passed outputs as forecast for all. Do not choose a signal by its ECE: calibration brings that
# near 0 even for a useless signal. ``groups`` keeps all samples of a problem in one fold, and the
# intervals allow for them. Each signal is judged on the outputs that have it.
#
# Which of the two is better?
# ---------------------------
# Two intervals that overlap say little, since both signals were measured on the same outputs.
# Compare them in pairs: calibrate both out of fold, and look at the difference for each output. If
# its interval excludes 0, the rows show which one is better. An output without a number stays NaN,
# which :func:`calibkit.compare` refuses, so compare the outputs that have both signals.

probability = {
    key: cross_val_calibrate(
        "auto", signal, passed, groups=problem, scale=signals.scales[key]
    )
    for key, signal in signals.items()
}
ok = ~np.isnan(signals["stated"])
both = {key: p[ok] for key, p in probability.items()}
for metric in ("brier_score", "roc_auc"):
    print(compare(metric, passed[ok], both, groups=problem[ok]))

# %%
# Decide by the Brier score; the AUC says whether the order alone differs. Choose one before you
# look. The first line says "higher" or "lower" if the p-value is below 1 - ``level``, which is 0.1
# by default. So a p-value of 0.056 is enough for it; set ``level=0.95`` to ask for more.

# %%
# From a signal to a probability
# ------------------------------
# The calibrated probabilities out of fold show how good those of new problems will be:

p = probability[name]
ReliabilityDisplay.from_predictions(
    passed,
    {"signal": token_confidence(logprobs, name), "calibrated": p},
    groups=problem,
)

# %%
# Decide by cost
# --------------
# A policy takes what mistakes and reviews cost, and chooses the cheapest decision for each
# probability.

policy = TriagePolicy(cost_accept_wrong=10, cost_review=2, cost_discard_right=3)
print(
    f"accept at {policy.accept_at:.2f} or more, discard below {policy.discard_below:.2f}"
)
print(policy.evaluate(p, passed, groups=problem))

# %%
# Decide with a guarantee
# -----------------------
# If costs are unknown, limit the share of wrong outputs among the accepted ones. The threshold
# below is the lowest one that is proved to keep the limit, with 90% confidence. The proof needs
# independent problems, and no calibrated probabilities.

threshold = RiskControlledThreshold(max_error=0.15, scale="logit")
print(threshold.fit(signals[name], passed, groups=problem))

# %%
# One rule for new outputs
# ------------------------
# A rule holds the signal, its calibrator, and the threshold, the policy or both.
# :func:`calibkit.save` writes it to JSON, and ``calibkit.export`` turns it into SQL or plain code.

calibrator = AutoCalibrator(scale="logit").fit(
    signals[name], passed, groups=problem
)
rule = DecisionRule(name, calibrator, threshold, policy)

with (
    tempfile.TemporaryDirectory() as folder
):  # three new outputs, as a server writes them
    path = Path(folder) / "new.jsonl"
    with path.open("w") as file:
        for i, mean in enumerate((1.0, 3.5, 5.0)):
            chosen = -np.logaddexp(0, -rng.normal(mean, 2.0, 40))
            tokens = [
                {"token": "tok", "logprob": float(value)} for value in chosen
            ]
            message = {"role": "assistant", "content": "tok" * 40}
            choice = {
                "index": 0,
                "message": message,
                "logprobs": {"content": tokens},
            }
            record = {
                "task_id": f"new/{i}",
                "object": "chat.completion",
                "choices": [choice],
            }
            file.write(json.dumps(record) + "\n")
    decisions = rule.decide(read_generations(path))
print(decisions)
print(decisions.to_pandas().round(2).to_string())

# %%
# The guarantee holds for new problems of the same kind, and for the same model and prompt. If you
# change one of these, collect new labels, or borrow the old calibrator with a few of them
# (:func:`calibkit.decisions.borrow_calibrator`).
#
# Names on this page
# ------------------
# :func:`calibkit.codegen.read_generations`, :func:`calibkit.codegen.read_results`,
# :func:`calibkit.codegen.token_confidence`, :func:`calibkit.codegen.parse_confidence`,
# :class:`calibkit.decisions.Signals`, :func:`calibkit.decisions.evaluate_confidence`,
# :func:`calibkit.decisions.cross_val_calibrate`, :func:`calibkit.compare`,
# :class:`calibkit.decisions.TriagePolicy`, :class:`calibkit.decisions.RiskControlledThreshold`,
# :class:`calibkit.decisions.DecisionRule`, :class:`calibkit.AutoCalibrator`.
#
# Next: :doc:`deploy`.
