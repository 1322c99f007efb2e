"""The parts of a page, from the facts of a report: nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .._core.params import percent
from .._core.printed import p_text
from ..displays import GroupDisplay, ReliabilityDisplay
from ..metrics import Estimate, ResultTable
from ._comparison import COMPARED, digits, meaning, several_pairs
from ._facts import (
    ERRORS,
    JUDGED,
    LABELS,
    is_miscalibrated,
    mark_of,
    means_of,
    settings,
    spaced,
    title,
)
from ._groups import FLAG
from ._page import Cell, Grid, Page, Section
from ._svg import inline_svg

#: Rows of a table of groups; and pictures of groups, and lines of each.
_MOST_ROWS, _MOST_PICTURES, _MOST_LINES = 200, 4, 15
#: A table of differences with more rows is folded.
_MOST_OPEN = 20
#: Columns of a table of tests that are in one cell of the page.
_NUMBERS = ("statistic", "p_value", "null")


def report_page(facts: dict[str, Any], display: ReliabilityDisplay | None, command: str) -> Page:
    """The page of a report on models; ``display`` is not yet drawn."""
    models = facts["models"]
    sections = []
    if facts["comparison"] is not None:
        sections.append(_differences(facts))
    if display is not None:
        sections.append(_reliability(facts, display))
    sections.append(_metrics(facts))
    if "groups" in models[0]:
        sections.append(_groups(facts))
    if "tests" in models[0]:
        sections.append(_tests(models))
    if _certified(facts):
        sections.append(_certificates(facts))
    sections += [_settings(facts), command_section(command)]
    wrong = any(is_miscalibrated(m["metrics"][JUDGED]) for m in models)
    data = title(facts)
    name = facts.get("file") or data
    lead = "" if name == data else data
    said = facts["verdict"]
    return Page("Calibration report", name, lead, said, wrong, sections, facts, _names(facts))


def command_section(command: str) -> Section:
    """The command that makes the page again."""
    return Section("Command", ["This makes the page again."], code=command)


def _names(facts: dict[str, Any]) -> Iterable[Any]:
    """Texts of others in the facts."""
    yield from (facts.get("file", ""), facts.get("label", ""), facts["event"])
    yield from facts["classes"] or []
    for model in facts["models"]:
        yield model["name"]
        yield from (row["group"] for row in model.get("groups", []))
        tested = model["tests"]["rows"] if "tests" in model else []
        yield from (row["class"] for row in tested if "class" in row)


def number(
    value: float | None, places: int = 4, more: tuple[str, ...] = (), mark: str = ""
) -> Cell:
    """A cell of a number, or of a dash."""
    text = "-" if value is None else f"{round(value, places) + 0.0:.{places}f}"
    text = text if value is None else text.replace("-", "\N{MINUS SIGN}")
    return Cell(text, more, value, mark)


def _span(low: float | None, high: float | None, places: int = 4) -> tuple[str, ...]:
    if low is None or high is None:
        return ()
    return (f"{number(low, places).text} to {number(high, places).text}",)


def result_grid(caption: str, rows: list[dict[str, Any]]) -> Grid:
    """Rows of plain values, such as those of a ResultTable; an interval is below its value."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    ends = {
        key for key in keys if key.rpartition("_")[0] in keys and key.endswith(("_low", "_high"))
    }
    keys = [key for key in keys if key not in ends]
    cells = [[_plain_cell(key, row) for key in keys] for row in rows]
    return Grid(caption, [_word(key) for key in keys], cells)


def _plain_cell(key: str, row: dict[str, Any]) -> Cell:
    value = row.get(key)
    if value is None:
        return Cell("-")
    if isinstance(value, (bool, str)):
        return Cell(str(value))
    if isinstance(value, int):
        return Cell(f"{value:,}", number=value)
    return number(value, more=_span(row.get(f"{key}_low"), row.get(f"{key}_high")))


def _differences(facts: dict[str, Any]) -> Section:
    compared = facts["comparison"]
    level = percent(facts["level"])
    heads = ["Model", "Minus", "Difference of", "Value", f"{level} interval"]
    heads.append("p (Holm)" if several_pairs(compared) else "p")
    rows = []
    for d in compared["differences"]:
        places = digits(d)
        ends = _span(d["low"], d["high"], places)[0]
        value, p = number(d["value"], places), d["p_adjusted"]
        names = (Cell(d["first"]), Cell(d["second"]), Cell(COMPARED[d["metric"]][1]))
        rows.append([*names, value, Cell(ends), Cell(p_text(p), number=p)])
    said = meaning(compared)
    lines = [f"{said}.", *(f"Left out: {s}." for s in compared["left_out"])]
    grid = Grid("Differences", heads, rows, is_open=len(rows) <= _MOST_OPEN)
    return Section("Difference of models", lines, [], [grid])


def _reliability(facts: dict[str, Any], display: ReliabilityDisplay) -> Section:
    names = ", ".join(m["name"] for m in facts["models"])
    said = (
        f"Observed frequency against mean predicted probability of {names}, in bins of equal mass; "
        "a dot on the diagonal is calibrated. The table of this picture has the numbers."
    )
    picture = inline_svg(display.plot, "reliability", "Reliability diagram", said)
    level = percent(facts["level"])
    heads = ["Model", "Mean prediction", "Observed", f"{level} interval", "Rows"]
    rows = []
    for key, curve in display.curves_.items():
        name = key if isinstance(key, str) else f"{key[0]}, class {key[1]}"
        columns = (curve.mean_score, curve.frequency, curve.low, curve.high, curve.n)
        for mean, seen, low, high, n in zip(*(c.tolist() for c in columns), strict=True):
            ends = Cell(_span(low, high)[0])
            rows.append([Cell(name), number(mean), number(seen), ends, Cell(f"{n:,}", number=n)])
    lines = [
        "Each dot is one of the equal-mass bins of the scores. Below the diagonal, predictions are "
        "too high; above it, too low."
    ]
    grid = Grid("Numbers of this picture", heads, rows)
    return Section("Reliability diagram", lines, [picture], [grid])


def _metrics(facts: dict[str, Any]) -> Section:
    """One line for each model, or for each metric of a single model."""
    models, level = facts["models"], percent(facts["level"])
    rate, mean = means_of(models[0], facts["kind"])
    metrics = list(dict.fromkeys(name for m in models for name in m["metrics"]))
    caption = f"Values with their {level} intervals"
    if len(models) == 1:
        heads = ["Metric", "Value", f"{level} interval", "If calibrated"]
        empty = Cell(""), Cell("")
        rows = [[Cell(_word(k)), number(models[0][k]), *empty] for k in (rate, mean)]
        rows += [_metric_row(name, e) for name, e in models[0]["metrics"].items()]
    else:
        heads = ["Model", _word(mean), *(LABELS[name] for name in metrics)]
        rows = [
            [
                Cell(m["name"]),
                number(m[mean], more=(f"{spaced(rate)} {m[rate]:.4f}",)),
                *(_metric_cell(name, m["metrics"].get(name)) for name in metrics),
            ]
            for m in models
        ]
        caption += "; if calibrated: what a calibrated model would show"
    lines = [*facts["reading"][: len(models)], *facts["power"]]
    lines += facts["proofs"][: len(facts["proofs"]) - len(facts["bounds"]) * _certified(facts)]
    return Section("Errors and scores", lines, [], [Grid(caption, heads, rows)])


def _word(key: str) -> str:
    words = {"n": "Rows", "ece": "ECE", "auc": "ROC AUC"}.get(key, spaced(key))
    return words[0].upper() + words[1:].replace("ece", "ECE")


def _metric_row(name: str, e: dict[str, Any]) -> list[Cell]:
    value = _metric_cell(name, e)
    ends = "".join(_span(e["low"], e["high"])) or "none"
    return [Cell(LABELS[name]), replace(value, more=()), Cell(ends), Cell("".join(_null(name, e)))]


def _metric_cell(name: str, e: dict[str, Any] | None) -> Cell:
    if e is None:
        return Cell("-")
    null = tuple(f"if calibrated {span}" for span in _null(name, e))
    return number(e["value"], more=_span(e["low"], e["high"]) + null, mark=mark_of(name, e))


def _null(name: str, e: dict[str, Any]) -> tuple[str, ...]:
    """What a calibrated model would show."""
    return _span(e["null_low"], e["null_high"]) if name in ERRORS else ()


def _groups(facts: dict[str, Any]) -> Section:
    level, grids, pictures = facts["level"], [], []
    heads = ["Group", "Rows", "Predicted", "Observed", "Error", "Shrunk error", "Brier score"]
    heads += ["Skill", "p", "Flag"]
    for i, model in enumerate(facts["models"]):
        rows = sorted(model["groups"], key=lambda r: r["flag"] != FLAG)[:_MOST_ROWS]
        cells = []
        for r in [r for r in model["groups"] if r in rows]:
            bad = "bad" if r["flag"] == FLAG else ""
            error = number(r["error"], 3, _span(r["error_low"], r["error_high"], 3), bad)
            given = [number(r[k], 3) for k in ("error_shrunk", "brier", "skill")]
            p = Cell("-") if r["p_value"] is None else Cell(p_text(r["p_value"]), (), r["p_value"])
            means = [number(r[k], 3) for k in ("predicted", "observed")]
            size = Cell(f"{r['n']:,}", number=r["n"])
            cells.append([Cell(r["group"]), size, *means, error, *given, p, Cell(r["flag"] or "-")])
        left = len(model["groups"]) - len(rows)
        caption = f"Groups of {model['name']}" + f"; {left:,} more with --json" * (left > 0)
        grids.append(Grid(caption, heads, cells, is_open=len(facts["models"]) == 1))
        if i < _MOST_PICTURES:
            pictures.append(_group_picture(model, level, f"groups{i}"))
    lines = facts["reading"][len(facts["models"]) :]
    said = f"Errors are predicted minus observed, with {percent(level)} intervals for each group."
    lines.append(said)
    return Section("Groups", lines, pictures, grids, wide=True)


def _group_picture(model: dict[str, Any], level: float, key: str) -> Any:
    rows = []
    for r in model["groups"]:
        nan = {k: float("nan") if v is None else v for k, v in r.items()}
        value, low, high = (nan[k] for k in ("error", "error_low", "error_high"))
        error = Estimate(value, low, high, level, r["n"], "error")
        rows.append({**nan, "error": error})
    display = GroupDisplay(ResultTable(tuple(rows)), max_groups=_MOST_LINES)
    said = f"Calibration error of each group of rows, with its interval, of {model['name']}."
    return inline_svg(display.plot, key, f"Errors of {model['name']} by group", said)


def _tests(models: list[dict[str, Any]]) -> Section:
    """A line for each test, with a p-value of each model."""
    found: dict[tuple[str, ...], dict[str, Cell]] = {}
    texts: list[str] = []
    for m in models:
        for row in m["tests"]["rows"]:
            texts = texts or [k for k in row if k not in _NUMBERS]
            cell = Cell("-") if row["p_value"] is None else Cell(p_text(row["p_value"]))
            more = number(row["statistic"], 3).text, row["null"]
            cell = replace(cell, more=(f"statistic {more[0]}", more[1]), number=row["p_value"])
            found.setdefault(tuple(str(row[k]) for k in texts), {})[m["name"]] = cell
    names = [m["name"] for m in models]
    at = texts.index("sees") if "sees" in texts else len(texts)
    heads = [_word(k) for k in texts]
    heads[at:at] = [f"p, {name}" for name in names] if len(names) > 1 else ["p"]
    rows = []
    for words, cells in found.items():
        line = [Cell(spaced(w) if i == 0 else w) for i, w in enumerate(words)]
        line[at:at] = [cells.get(name, Cell("-")) for name in names]
        rows.append(line)
    tested = [m["tests"] for m in models]
    lines = [
        s
        for t in tested
        for s in (t["caption"] and f"{t['caption'].replace('p_value:', 'p:')}.", *t["notes"])
    ]
    grids = [Grid("p-values of tests that the model is calibrated", heads, rows)] if rows else []
    return Section("Tests of calibration", list(dict.fromkeys(filter(None, lines))), [], grids)


def _certified(facts: dict[str, Any]) -> bool:
    return any(m["certificate"] for m in facts["models"])


def _certificates(facts: dict[str, Any]) -> Section:
    heads = ["Model", "Mean error (l1)", "RMS error (l2)", "Largest error", "Probabilities"]
    rows = []
    for model in facts["models"]:
        c = model["certificate"]
        size = Cell(f"{c['outputs']:,}", number=c["outputs"]) if c["finite"] else Cell("continuous")
        bounds = [_bound(*c[norm], finite=c["finite"]) for norm in ("l1", "l2", "max")]
        rows.append([Cell(model["name"]), *bounds, size])
    caption = f"Bounds of the calibration error, with {percent(facts['level'])} confidence"
    known = any(cell.text not in ("none", "continuous") for row in rows for cell in row[1:])
    grids = [Grid(caption, heads, rows)] if known else []
    return Section("Certificate", facts["bounds"], [], grids)


def _bound(low: float, high: float, *, finite: bool) -> Cell:
    if finite:
        return Cell(_span(low, high, 3)[0], number=high)
    return Cell(f"at least {low:.3f}" if low > 0 else "none")


def _settings(facts: dict[str, Any]) -> Section:
    known = {"calibkit": facts["calibkit"], **facts["versions"]}
    shown = {
        "Data": title(facts),
        "Measured": facts["kind"].replace("_", " "),
        "Confidence level": percent(facts["level"]),
        "Simulations": f"{facts['n_resamples']:,}",
        "Seed": str(facts["seed"]),
        "Versions": ", ".join(f"{name} {version}" for name, version in known.items()),
    }
    rows = [[Cell(name), Cell(value)] for name, value in shown.items()]
    text = settings(facts)
    lines = [f"{text[0].upper()}{text[1:]}."]
    return Section(
        "Settings", lines, [], [Grid("Settings and versions", ["Setting", "Value"], rows)]
    )
