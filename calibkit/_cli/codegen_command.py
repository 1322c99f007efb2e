"""The commands ``calibkit codegen``: their options and their help."""

from __future__ import annotations

import sys
from typing import Annotated, Any

try:
    import typer
except ImportError:  # calibkit._cli.app says what to install
    typer = None  # type: ignore[assignment]

from .codegen_decide import decide_file
from .codegen_evaluate import evaluate_files, evaluation_facts
from .codegen_policy import policy_facts, policy_files, policy_lines
from .codegen_signals import Choice
from .console import json_text, say, show

if typer is not None:
    _Option = typer.Option
    _Argument = typer.Argument
    Generations = Annotated[str, _Argument(metavar="GENERATIONS", show_default=False)]
    Results = Annotated[str | None, _Argument(metavar="RESULTS", show_default=False)]
    Rule = Annotated[str, _Argument(metavar="RULE.JSON", show_default=False)]
    Group = Annotated[str, _Option(metavar="KEY", help="Problem or repository; or none.")]
    By = Annotated[str | None, _Option(metavar="KEY", help="Judge each value by itself.")]
    Signal = Annotated[
        list[str] | None, _Option(metavar="NAME", help="A measure or column; repeat.")
    ]
    Score = Annotated[
        list[str] | None, _Option(metavar="NAME", help="A column that is no probability.")
    ]
    Stated = Annotated[
        list[str] | None, _Option(metavar="NAME", help="A text that says it, as '90%'.")
    ]
    Task = Annotated[list[str] | None, _Option(metavar="KEY", help="Key of the problem; repeat.")]
    Sample = Annotated[str | None, _Option(metavar="KEY", help="Key of the sample number.")]
    Correct = Annotated[str | None, _Option(metavar="KEY", help="Key of the verdict.")]
    Notion = Annotated[str | None, _Option(metavar="NAME", help="Such as 'base tests'.")]
    Calibrator = Annotated[
        str, _Option(metavar="NAME", help="auto (Platt or beta), or see calibkit methods.")
    ]
    Cv = Annotated[str, _Option(metavar="N|NAME", help="Folds, or spiess2024.")]
    Level = Annotated[float, _Option(metavar="X", help="Coverage of the intervals.")]
    Resamples = Annotated[int, _Option(min=10, metavar="N", help="Bootstrap draws.")]
    Seed = Annotated[int, _Option(min=0, metavar="N", help="Seed of folds and draws.")]
    Json = Annotated[bool, _Option("--json", help="The facts as JSON, at full precision.")]
    Plots = Annotated[str | None, _Option(metavar="DIR", help="Where diagrams are written.")]
    NoPlots = Annotated[bool, _Option("--no-plots", help="Write no diagrams.")]
    Plot = Annotated[str | None, _Option(metavar="PNG", help="Draw risk against coverage.")]
    _output = ("-o", "--output")
    SaveRule = Annotated[str | None, _Option(*_output, metavar="JSON", help="Save the rule.")]
    Output = Annotated[
        str, _Option(*_output, metavar="FILE", help="Where to write.", show_default=False)
    ]
    MaxError = Annotated[float, _Option(metavar="X", help="Share of wrong ones accepted.")]
    Alpha = Annotated[float, _Option(metavar="X", help="Chance that the promise is broken.")]
    WrongCost = Annotated[float | None, _Option("--cost-accept-wrong", metavar="X")]
    ReviewCost = Annotated[float | None, _Option("--cost-review", metavar="X")]
    RightCost = Annotated[float | None, _Option("--cost-discard-right", metavar="X")]


def add_to(app: Any, guarded: Any) -> None:
    """Add the group of commands to an application."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Generated code: is its confidence worth anything, and what to accept.",
    )
    for command in (evaluate, policy, decide):
        group.command()(guarded(command))
    app.add_typer(group, name="codegen")


def evaluate(
    generations: Generations,
    results: Results = None,
    group: Group = "task_id",
    by: By = None,
    signal: Signal = None,
    score: Score = None,
    stated: Stated = None,
    task: Task = None,
    sample: Sample = None,
    correct: Correct = None,
    notion: Notion = None,
    calibrator: Calibrator = "auto",
    cv: Cv = "5",
    level: Level = 0.9,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    plots: Plots = "reliability",
    no_plots: NoPlots = False,
    as_json: Json = False,
) -> None:
    """Judge confidence signals of generated code, raw and rescaled out of fold.

    \b
    calibkit codegen evaluate generations.jsonl results.json --group task_id
    calibkit codegen evaluate scores.csv --signal verbalised --signal agreement

    GENERATIONS are responses with log-probabilities (OpenAI, vLLM), logs of
    lm-evaluation-harness, or a table with columns task_id and signals. RESULTS
    say which passed (EvalPlus, human-eval, a table); without, GENERATIONS do.

    Outputs of one --group are never on both sides of a fold and are drawn
    together for the intervals. A reliability diagram of each signal is written
    to the directory --plots.
    """
    found = evaluate_files(
        generations,
        results,
        Choice(task, sample, correct, notion, signal, score, group, by, stated),
        calibrator=calibrator,
        cv=int(cv) if cv.isdecimal() else cv,
        level=level,
        n_resamples=resamples,
        seed=seed,
        plots=None if no_plots else plots,
    )
    if as_json:
        _print_json(evaluation_facts(found))
        return
    head, *notes = found["notes"]
    lines = [head, "", *str(found["table"]).splitlines(), *notes]
    show(lambda: lines, lambda: lines)


def policy(
    generations: Generations,
    results: Results = None,
    max_error: MaxError = 0.05,
    alpha: Alpha = 0.1,
    cost_accept_wrong: WrongCost = None,
    cost_review: ReviewCost = None,
    cost_discard_right: RightCost = None,
    group: Group = "task_id",
    signal: Signal = None,
    score: Score = None,
    stated: Stated = None,
    task: Task = None,
    sample: Sample = None,
    correct: Correct = None,
    notion: Notion = None,
    calibrator: Calibrator = "auto",
    level: Level = 0.9,
    seed: Seed = 0,
    plot: Plot = None,
    output: SaveRule = None,
    as_json: Json = False,
) -> None:
    """What to accept: a threshold with a promise, and decisions by cost.

    \b
    calibkit codegen policy generations.jsonl results.json --max-error 0.05
    calibkit codegen policy scores.csv --signal agreement --max-error 0.1 \\
      --cost-accept-wrong 10 --cost-review 2 --cost-discard-right 3

    The threshold is the lowest at which, with confidence 1 - alpha, at most
    --max-error of the accepted outputs to come are wrong; groups are allowed
    for. With costs, outputs are accepted, reviewed or discarded by their
    calibrated probability (out of fold), and the costs compared.

    -o saves what decides, for calibkit codegen decide: one --signal, its
    calibrator fitted on all outputs, the threshold, and the costs if given.
    """
    found = policy_files(
        generations,
        results,
        Choice(task, sample, correct, notion, signal, score, group, None, stated),
        max_error=max_error,
        alpha=alpha,
        costs={
            "cost_accept_wrong": cost_accept_wrong,
            "cost_review": cost_review,
            "cost_discard_right": cost_discard_right,
        },
        calibrator=calibrator,
        level=level,
        seed=seed,
        plot=plot,
        output=output,
    )
    if as_json:
        _print_json(policy_facts(found))
        return
    lines = policy_lines(found)
    show(lambda: lines, lambda: lines)


def decide(
    generations: Generations,
    rule: Rule,
    output: Output,
    stated: Stated = None,
    task: Task = None,
    sample: Sample = None,
) -> None:
    """Accept, review or discard new outputs, by a rule that policy -o saved.

    \b
    calibkit codegen policy generations.jsonl results.json \\
      --signal average_token_probability -o rule.json
    calibkit codegen decide new.jsonl rule.json -o decisions.csv

    FILE is .csv, .tsv or .jsonl; - is CSV on standard output. It holds task,
    sample, confidence (the signal), probability of being correct and decision;
    if the rule has costs, they decide, and promised says which outputs are at
    or above the threshold. Outputs without a signal are never accepted.
    """
    line = decide_file(generations, rule, output, Choice(task=task, sample=sample, stated=stated))
    if output == "-":
        say(line)
    else:
        show(lambda: [line], lambda: [line])


def _print_json(facts: dict[str, Any]) -> None:
    sys.stdout.write(json_text(facts) + "\n")
