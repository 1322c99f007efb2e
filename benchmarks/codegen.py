"""Evaluate confidence signals of generated code: skill, transfer, policies, sampling budgets.

    python benchmarks/codegen.py                        # simulated records only
    python benchmarks/codegen.py --data DIR             # and every known file in DIR
    python benchmarks/codegen.py --data DIR --only cruxeval mmlu_pro --quick

Known files: humaneval_codegen16b_codet.npz (164 problems x 100 samples with hidden tests),
cruxeval_selfconsistency_codellama7b.csv.gz (800 problems x 10 samples x 2 tasks) and
mmlu_pro_confidence_83models.npz (83 models x 12,032 questions).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calibkit import CalibrationWarning, estimate
from calibkit.codegen import join_results, read_generations, read_results, simulate_budget
from calibkit.decisions import (
    RiskControlledThreshold,
    TriagePolicy,
    cross_val_calibrate,
    evaluate_confidence,
    local_labels_needed,
    transfer_matrix,
)

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

#: Costs of the policy: a wrong output accepted, a review, a right output discarded.
COSTS = {"cost_accept_wrong": 10.0, "cost_review": 2.0, "cost_discard_right": 3.0}
#: Maximum error rates among accepted outputs that thresholds must guarantee.
MAX_ERRORS = (0.05, 0.1, 0.2)


def heading(text: str) -> None:
    print(f"\n## {text}\n")


def judge(
    signals: dict[str, Any],
    correct: np.ndarray,
    groups: np.ndarray,
    scale: Any,
    n_resamples: int,
) -> None:
    """Print the table with groups, and the skill with folds and resamples that ignore groups."""
    table = evaluate_confidence(
        signals, correct, groups, scale=scale, n_resamples=n_resamples, random_state=0
    )
    print(table)
    rows = evaluate_confidence(signals, correct, scale=scale, n_resamples=n_resamples)
    print("\nBrier skill score after calibration; folds and resamples by problem, then by output:")
    for by_problem, by_output in zip(table, rows, strict=True):
        if by_problem["stage"] == "calibrated":
            a, b = by_problem["skill"], by_output["skill"]
            print(
                f"{by_problem['signal']:28} {a.value:6.3f} [{a.low:6.3f}, {a.high:6.3f}]"
                f"   {b.value:6.3f} [{b.low:6.3f}, {b.high:6.3f}]"
            )


def combine(signals: dict[str, Any], correct: np.ndarray, groups: np.ndarray) -> None:
    """Print the skill of models of all signals together, by problem and by output."""
    X = np.column_stack(list(signals.values()))
    print("\nBrier skill score of all signals together; by problem, then by output:")
    for name, model in {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
        "boosted trees": HistGradientBoostingClassifier(max_depth=3, max_iter=60, random_state=0),
    }.items():
        line = f"{name:28}"
        for g in (groups, None):
            kind = StratifiedKFold if g is None else GroupKFold
            folds = kind(5, shuffle=True, random_state=0)
            settings = {"groups": g, "cv": folds, "method": "predict_proba"}
            p = cross_val_predict(model, X, correct, **settings)[:, 1]
            e = estimate("brier_skill_score", correct, p, groups=g, random_state=0)
            line += f" {e.value:6.3f} [{e.low:6.3f}, {e.high:6.3f}]  "
        print(line.rstrip())


def decide(
    name: str, signal: np.ndarray, correct: np.ndarray, groups: np.ndarray, scale: str
) -> None:
    """Print a policy by cost, and thresholds with an error-rate guarantee."""
    p = cross_val_calibrate("platt", signal, correct, groups=groups, scale=scale)
    print(f"\n{name}:")
    print(TriagePolicy(**COSTS).evaluate(p, correct, groups, random_state=0))
    for max_error in MAX_ERRORS:
        gate = RiskControlledThreshold(max_error, scale=scale)
        print(gate.fit(signal, correct, groups=groups))


def simulated(folder: Path | None, quick: bool) -> None:
    """Run the README's recipe on simulated records."""
    import simulate_codegen

    heading("Simulated records")
    with tempfile.TemporaryDirectory() as place:
        simulate_codegen.write(place)
        generations = read_generations(Path(place, "generations.jsonl"))
        scored = join_results(generations, read_results(Path(place, "results.json")))
    signals = scored.confidence(scale="logit")
    judge(signals, scored.correct, scored.groups, "logit", 100 if quick else 1000)
    name = "average_token_probability"
    decide(name, signals[name], scored.correct, scored.groups, "logit")


def humaneval(folder: Path, quick: bool) -> None:
    """Evaluate signals of samples of one code model, and how many samples to draw."""
    heading("HumanEval, CodeGen-16B, 164 problems x 100 samples")
    data = np.load(folder / "humaneval_codegen16b_codet.npz", allow_pickle=False)
    passed = data["passed"]
    task = np.repeat(data["task"], passed.shape[1])
    names = ("gen_test_rate", "agreement", "duplicates", "code_chars")
    signals = {name: data[name].ravel().astype(float) for name in names}
    signals["random"] = np.random.default_rng(0).random(passed.size)
    correct = passed.ravel()
    judge(signals, correct, task, {"code_chars": "score"}, 100 if quick else 1000)
    combine({k: v for k, v in signals.items() if k != "random"}, correct, task)
    for name in ("gen_test_rate", "agreement"):
        decide(name, signals[name], correct, task, "probability")
    p = cross_val_calibrate("platt", signals["gen_test_rate"], correct, groups=task)
    by_problem = p.reshape(passed.shape)
    print("\nbudgets: P(correct) of a sample from the first five samples' own tests")
    print(
        simulate_budget(
            passed[:, 5:], by_problem[:, 5:], by_problem[:, :5].mean(axis=1), random_state=0
        )
    )


def cruxeval(folder: Path, quick: bool) -> None:
    """Evaluate self-consistency on two tasks, and its transfer from one to the other."""
    heading("CRUXEval, CodeLlama-7B, 800 problems x 10 samples x 2 tasks")
    with gzip.open(folder / "cruxeval_selfconsistency_codellama7b.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    task = np.array([r["task"] for r in rows])
    problem = np.array([r["problem"] for r in rows])
    agreement = np.array([float(r["agreement"]) for r in rows])
    correct = np.array([r["correct"] == "1" for r in rows])
    draws = 100 if quick else 1000
    print(evaluate_confidence(agreement, correct, problem, by=task, n_resamples=draws))
    judge({"agreement": agreement}, correct, problem, "probability", draws)
    decide("agreement", agreement, correct, problem, "probability")
    found = transfer_matrix(agreement, correct, task, groups=problem, random_state=0)
    print(f"\n{found}\n")
    print(local_labels_needed(agreement, correct, task, groups=problem, random_state=0))


def mmlu_pro(folder: Path, quick: bool) -> None:
    """Evaluate signals of many models on the same questions, and transfer between models."""
    heading("MMLU-Pro, every ninth model x 12,032 questions")
    data = np.load(folder / "mmlu_pro_confidence_83models.npz", allow_pickle=False)
    have = np.flatnonzero(np.isfinite(data["seq_prob"]).mean(axis=1) > 0.9)[:: 27 if quick else 9]
    names = [str(m) for m in data["models"][have]]
    n = data["correct"].shape[1]
    model = np.repeat(names, n)
    column = {k: data[k][have].ravel().astype(float) for k in ("seq_prob", "verbal", "linguistic")}
    signals = {k: np.where((v >= 0) & (v <= 1), v, np.nan) for k, v in column.items()}
    signals["token_length"] = data["token_length"][have].ravel().astype(float)
    correct = data["correct"][have].ravel()
    scale = {"token_length": "score"}
    table = evaluate_confidence(signals, correct, by=model, scale=scale, n_resamples=100)
    print("Brier skill score, uncalibrated and calibrated (values outside [0, 1] are missing)")
    for name in signals:
        raw, new = (
            [r for r in table if (r["signal"], r["stage"]) == (name, stage)]
            for stage in ("uncalibrated", "calibrated")
        )
        for a, b in zip(raw, new, strict=True):
            before = f"{a['skill'].value:7.3f}" if name not in scale else "      -"
            rate = a["success_rate"]
            print(
                f"{name:14}{a['by']:40}{before} {float(b['skill']):7.3f}"
                f"  auc {float(a['auc']):.3f}  rate {float(rate):.3f}  missing {a['missing']:,}"
            )
    kept = signals["seq_prob"]
    for n_local in (20, 50, 150):
        found = transfer_matrix(kept, correct, model, n_local=n_local, random_state=0)
        print(f"\n{found.summary()}")
    print()
    needed = local_labels_needed(kept, correct, model, random_state=0)
    print("\n".join(needed.notes))


PARTS = {
    "simulated": (simulated, None),
    "humaneval": (humaneval, "humaneval_codegen16b_codet.npz"),
    "cruxeval": (cruxeval, "cruxeval_selfconsistency_codellama7b.csv.gz"),
    "mmlu_pro": (mmlu_pro, "mmlu_pro_confidence_83models.npz"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="directory of the real files")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="fewer resamples and models")
    options = parser.parse_args()
    warnings.simplefilter("ignore", CalibrationWarning)
    for name in options.only:
        run, file = PARTS[name]
        if file is None or (options.data and (options.data / file).exists()):
            run(options.data, options.quick)


if __name__ == "__main__":
    main()
