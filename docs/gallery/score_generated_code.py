"""
Generated code: accept, review or discard
=========================================

A code model returns the log-probabilities of its tokens. They become the
probability that the tests pass, and then a decision. The outputs are
simulated, since no package ships real ones.
"""

import numpy as np

from calibkit import RiskCoverageDisplay
from calibkit.codegen import token_confidence
from calibkit.decisions import cross_val_calibrate

rng = np.random.default_rng(0)
problem = np.repeat(np.arange(300), 4)  # four outputs for each of 300 problems
insight = rng.normal(0.8, 1.5, 300)[problem] + rng.normal(size=1200)
passed = rng.random(1200) < 1 / (1 + np.exp(-2 * insight))
logprobs = [
    -np.logaddexp(0, -rng.normal(3 + 0.3 * skill, 2, size=rng.integers(20, 80)))
    for skill in insight
]

signal = token_confidence(logprobs, "average_token_probability", scale="logit")
p = cross_val_calibrate("auto", signal, passed, groups=problem, scale="logit", random_state=0)
display = RiskCoverageDisplay.from_predictions(
    passed, p, groups=problem, max_error=0.15, random_state=0
)

# %%
# Risk is the share of accepted outputs whose tests fail; from left to right more outputs are
# accepted, the surest first. At the right end all are accepted.
#
# Which signal?
# -------------
#
# Judge a signal by its Brier skill score, not by its ECE: calibration brings the ECE of any signal
# near 0.

from calibkit.decisions import evaluate_confidence

names = ["average_token_probability", "min_token_probability", "total_probability"]
signals = {name: token_confidence(logprobs, name, scale="logit") for name in names}
print(evaluate_confidence(signals, passed, problem, scale="logit"))

# %%
# A threshold with a guarantee
# ----------------------------
#
# Outputs of one problem depend on each other, so that the problems are passed as groups.

from calibkit.decisions import RiskControlledThreshold

threshold = RiskControlledThreshold(max_error=0.15, scale="logit")
print(threshold.fit(signal, passed, groups=problem))

# %%
# A policy from costs
# -------------------

from calibkit.decisions import TriagePolicy

policy = TriagePolicy(cost_accept_wrong=10, cost_review=2, cost_discard_right=3)
print(policy.evaluate(p, passed, groups=problem))

# %%
# From files to decisions
# -----------------------
#
# Log-probabilities usually come as a file of JSON lines; here in the format of OpenAI's chat
# completions. A decision rule keeps the signal, the calibrator, the threshold and the policy
# together, and can be saved as JSON.

import json
import tempfile
from pathlib import Path

from calibkit import AutoCalibrator
from calibkit.codegen import read_generations
from calibkit.decisions import DecisionRule

path = Path(tempfile.mkdtemp()) / "generations.jsonl"
with path.open("w") as file:
    for task, tokens in zip(problem[:6], logprobs[:6], strict=True):
        content = [{"token": "x", "logprob": round(float(value), 4)} for value in tokens]
        choice = {"index": 0, "message": {"content": "x" * len(tokens)}}
        choice["logprobs"] = {"content": content}
        record = {"task_id": f"problem {task}", "object": "chat.completion", "choices": [choice]}
        file.write(json.dumps(record) + "\n")

calibrator = AutoCalibrator(scale="logit").fit(signal, passed, groups=problem)
rule = DecisionRule("average_token_probability", calibrator, threshold, policy)
print(rule.decide(read_generations(path)))
