"""The page docs/api.md: every public name, in the order of a user's needs, with what it does.

``python -m tests.test_readme`` writes it; the tests compare.
"""

import importlib
import inspect
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

import calibkit

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "api.md"
#: Modules whose ``__all__`` is public. An object that two of them export has its name in the first.
MODULES = [
    "calibkit",
    *(f"calibkit.{m}" for m in ("online", "decisions", "codegen", "export", "base", "testing")),
]

HEAD = """# All public names

What each name does, in the order in which you are likely to need it. `help(name)` shows the whole
docstring, with parameters and an example; recipes are in the [README](../README.md).
`python -m tests.test_readme` writes this page from the docstrings.
"""

#: Titles and names within calibkit; ``*`` takes what no entry above has taken.
SECTIONS = {
    "Calibrate a classifier": "CalibratedClassifier",
    "Calibrate scores": """AutoCalibrator AutoSummary PlattCalibrator BetaCalibrator
        SplineCalibrator IsotonicCalibrator VennAbersCalibrator TemperatureCalibrator
        VectorScalingCalibrator MatrixScalingCalibrator
        HistogramBinningCalibrator ScalingBinningCalibrator IdentityCalibrator OneVsRestCalibrator
        TopLabelCalibrator make_calibrator compare_calibrators CalibratorComparison""",
    "Measure calibration": """estimate Estimate calibration_error expected_calibration_error
        maximum_calibration_error squared_calibration_error smooth_calibration_error
        kernel_calibration_error cumulative_calibration_error corp_miscalibration decompose_score
        ScoreDecomposition brier_score brier_skill_score log_loss
        log_loss_skill_score roc_auc calibration_slope calibration_intercept
        calibration_in_the_large observed_expected_ratio loess_calibration_error
        calibration_tests calibration_test CalibrationTest ScoreTable get_scorer
        get_scorer_names""",
    "Compare models, look into groups, ask for enough rows": """compare Comparison Difference
        group_table detectable_error Detectable rows_to_detect
        detectable_difference DetectableDifference""",
    "Plot": """ReliabilityDisplay reliability_curve DecompositionDisplay DecisionCurveDisplay
        DriftDisplay RiskCoverageDisplay ComparisonDisplay GroupDisplay""",
    "Report": "write_report",
    "Save and load": "save load to_dict from_dict",
    "Export: `calibkit.export`": "export.*",
    "Decide by a threshold": """decision_curve DecisionCurve risk_coverage_curve RiskCoverage
        area_under_risk_coverage""",
    "Certify": "certify Certificate rows_to_certify BinsCertificate",
    "Generated code: `calibkit.codegen`": """codegen.read_generations codegen.read_results
        codegen.join_results codegen.Generations codegen.Results codegen.Scored
        codegen.token_confidence codegen.TOKEN_MEASURES codegen.PROBABILITIES codegen.p_true
        codegen.parse_confidence codegen.agreement codegen.test_pass_rate
        codegen.ConfidenceFeatures codegen.samples_needed codegen.success_at
        codegen.simulate_budget codegen.BudgetSimulation codegen.*""",
    "Decisions from a confidence signal: `calibkit.decisions`": """decisions.evaluate_confidence
        decisions.cross_val_calibrate decisions.bucket_collapse decisions.BucketCollapse
        decisions.RiskControlledThreshold decisions.Reachable decisions.TriagePolicy
        decisions.TriageReport decisions.DecisionRule decisions.Decisions
        decisions.QuantileCalibrator decisions.transfer_matrix decisions.Transfer
        decisions.local_labels_needed decisions.borrow_calibrator decisions.BorrowedCalibrator
        decisions.*""",
    "Streams: `calibkit.online`": """online.AdaptivePlattCalibrator online.TrackingCalibrator
        online.HedgingCalibrator online.OnlinePlattCalibrator online.OnlineBetaCalibrator
        online.OnlineTemperatureCalibrator online.WindowedCalibrator
        online.OnlineCalibratedClassifier online.MultiStreamCalibrator online.Journal
        online.Labeled CalibrationAlarm ComparisonAlarm prequential_errors
        Prequential compare_online_calibrators""",
    "Write a calibrator: `calibkit.base` and `calibkit.testing`": """base.BaseCalibrator
        base.LogOddsCalibrator online.OnlineCalibrator base.register_calibrator
        testing.check_calibrator testing.yield_checks testing.binary_data testing.multiclass_data
        base.Scores base.* testing.*""",
    "Warnings": "CalibrationWarning *Warning",
}

#: What has no docstring of its own.
TEXTS = {
    "calibkit.codegen.PROBABILITIES": "Names of the token measures that are probabilities.",
    "calibkit.codegen.TOKEN_MEASURES": "Names of all token measures of `token_confidence`.",
    "calibkit.base.FloatArray": "Type of an array of floats.",
    "calibkit.base.IntArray": "Type of an array of integers.",
    "calibkit.base.Scale": 'Type of the parameter `scale`: "probability" or "logit".',
    "calibkit.base.StateKind": "Type of the kinds of learned attributes in `_state`.",
}


def public_names():
    """Every public object by its dotted name; modules are sections of the page instead."""
    names, seen = {}, set()
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:
            obj = getattr(module, name)
            if id(obj) not in seen and not isinstance(obj, ModuleType):
                names[f"{module.__name__}.{name}"] = obj
            seen.add(id(obj))
    return names


def summary(name, obj):
    """The first sentence of a docstring, as Markdown."""
    text = TEXTS.get(name) or inspect.getdoc(obj) or ""
    text = " ".join(text.partition("\n\n")[0].split())
    sentence = re.match(r".*?\.(?=\s[A-Z]|$)|.*", text).group()
    sentence = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", sentence).replace("``", "`")
    return sentence.replace("|", r"\|")


def by_section(names):
    """Titles, and the names of each; a name is in the first section whose entry matches."""
    left = list(names)
    for title, entries in SECTIONS.items():
        found = []
        for entry in entries.split():
            fits = [n for n in left if fnmatchcase(n, f"calibkit.{entry}")]
            found += [n for n in fits if n not in found]
        left = [n for n in left if n not in found]
        yield title, found


def linked(name, obj):
    """A name that leads to its file."""
    module = getattr(obj, "__module__", "")
    if not module.startswith("calibkit"):
        return f"`{name}`"
    path = Path(sys.modules[module].__file__).relative_to(Path(calibkit.__file__).parent)
    return f"[`{name}`](../calibkit/{path.as_posix()})"


def text():
    """The page."""
    names = public_names()
    lines = [HEAD]
    for title, found in by_section(names):
        lines += [f"## {title}", "", "| name | what it does |", "|---|---|"]
        lines += [f"| {linked(n, names[n])} | {summary(n, names[n])} |" for n in found]
        lines.append("")
    return "\n".join(lines)
