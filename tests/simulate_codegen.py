"""Write simulated outputs of a code model and their test results; no model or code is run.

    python tests/simulate_codegen.py            # generations.jsonl and results.json, here

``generations.jsonl`` holds chat completions with log-probabilities in OpenAI's format, each with
the name of its problem. ``results.json`` holds test results in EvalPlus's format. Problems differ
in difficulty. Token probabilities are higher for correct outputs, but the model is over-confident.
"""

import json
import sys
from pathlib import Path

import numpy as np

N_PROBLEMS, N_SAMPLES = 400, 4


def write(folder="."):
    """Write both files into a folder."""
    rng = np.random.default_rng(0)
    lines, verdicts = [], {}
    for problem in range(N_PROBLEMS):
        task = f"Simulated/{problem}"
        ease, style = rng.normal(1.0, 1.5), rng.normal(0, 0.2)
        verdicts[task] = []
        for sample in range(N_SAMPLES):
            insight = ease + rng.normal(0, 1)
            passed = bool(rng.random() < 1 / (1 + np.exp(-2 * insight)))
            n_tokens = int(rng.lognormal(3.4, 0.5)) + 5
            log_odds = rng.normal(3.0 + 0.3 * insight + style, 2.0, size=n_tokens)
            logprobs = -np.logaddexp(0.0, -log_odds)
            tokens = [{"token": "tok", "logprob": round(float(lp), 4)} for lp in logprobs]
            choice = {"index": 0, "message": {"role": "assistant", "content": "tok" * n_tokens}}
            choice |= {"logprobs": {"content": tokens}, "finish_reason": "stop"}
            head = {"task_id": task, "sample": sample, "object": "chat.completion"}
            lines.append(json.dumps({**head, "choices": [choice]}))
            base = passed or bool(rng.random() < 0.1)  # tests that are too weak
            status = {True: "pass", False: "fail"}
            verdict = {"base_status": status[base], "plus_status": status[passed]}
            verdicts[task].append({"task_id": task, "solution": "def solve(): ...", **verdict})
    Path(folder, "generations.jsonl").write_text("\n".join(lines) + "\n")
    Path(folder, "results.json").write_text(json.dumps({"eval": verdicts}))


if __name__ == "__main__":
    write(*sys.argv[1:])
