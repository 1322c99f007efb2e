"""The house rules: which layer may import which, and how long things may get."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import calibkit

PACKAGE = Path(calibkit.__file__).parent

#: Layer of each part; a module imports lower layers, and its own part within a layer.
LAYERS = {
    "_typing": 0,
    "_numerics": 1,
    "_core": 2,
    "_registry": 3,
    "_tables": 3,
    "calibrators": 4,
    "_persistence": 4,
    "metrics": 4,
    "_cross_fitting": 4,
    "_classifier": 5,
    "_comparison": 5,
    "online": 6,
    "decisions": 6,
    "displays": 7,
    "codegen": 7,
    "base": 7,
    "testing": 7,
    "export": 8,
    "_report": 8,
    "_cli": 9,
    "__main__": 10,
}
#: Where a module is looked up by name: optional packages, classes that a file names, and what is
#: imported on first use.
LAZY = [Path("_core", "optional.py"), Path("_registry.py"), Path("__init__.py")]
#: Calls that import; ``require`` is for optional packages only.
CALLS = ("__import__(", "require('calibkit")


def sources():
    """Text of every file of the package by its path within it."""
    return {p.relative_to(PACKAGE): p.read_text() for p in sorted(PACKAGE.rglob("*.py"))}


@cache
def nodes(text):
    """All nodes of a file's syntax tree."""
    return list(ast.walk(ast.parse(text)))


def part_of(path):
    return path.parts[0].removesuffix(".py")


def named(node, path):
    """Modules and names that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (a.name for a in node.names)
    elif isinstance(node, ast.ImportFrom):
        inside = ("calibkit", *path.parts[:-1])
        base = inside[: len(inside) - node.level + 1] if node.level else ()
        base = (*base, *(node.module or "").split(".")) if node.module else base
        yield from (".".join((*base, a.name)) for a in node.names)


def imports(path, text):
    """Parts of calibkit other than its own that a file imports, anywhere in it."""
    for node in nodes(text):
        for module in named(node, path):
            package, *rest = module.split(".")
            if package == "calibkit" and rest and rest[0] not in ("__version__", part_of(path)):
                yield rest[0]


def upward_imports(files):
    """Imports of the same layer, of a higher one, or of a part without a layer."""
    for path, text in files.items():
        part = part_of(path)
        for other in () if part == "__init__" else imports(path, text):
            if LAYERS.get(other, 99) >= LAYERS.get(part, -9):
                yield f"{path} imports {other}"


def hidden_imports(files):
    """Imports by call, which the other rules do not see."""
    for path, text in files.items():
        for node in () if path in LAZY else nodes(text):
            called = isinstance(node, ast.Call) and ast.unparse(node).startswith(CALLS)
            if called or {"importlib", "importlib.import_module"} & {*named(node, path)}:
                yield f"{path}: {ast.unparse(node)}"


def at_run(text):
    """Nodes of a file but what is there for types alone."""
    tests = [n for n in nodes(text) if isinstance(n, ast.If)]
    for_types = [n for n in tests if ast.unparse(n.test) == "TYPE_CHECKING"]
    return {*nodes(text)} - {inside for node in for_types for inside in ast.walk(node)}


def inner_imports(files):
    """What another part of calibkit does not show to the others."""
    for path, text in files.items():
        for node in at_run(text):
            for module in named(node, path):
                package, part, *rest = (*module.split("."), "")
                inside = any(n.startswith("_") and not n.endswith("__") for n in rest)
                if package == "calibkit" and part != part_of(path) and inside:
                    yield f"{path} imports {module}"


def circles(files):
    """Files that import each other, at once or by way of others; for types alone they may."""
    modules = {".".join(p.with_suffix("").parts).removesuffix(".__init__"): p for p in files}
    graph = {}
    for path, text in files.items():
        names = {n.removeprefix("calibkit.") for node in at_run(text) for n in named(node, path)}
        names = {n if n in modules else n.rpartition(".")[0] for n in names}
        graph[path] = {modules[n] for n in names & modules.keys()} - {path}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield " imports ".join(map(str, error.args[1][::-1]))


def own_lines(node):
    """Lines of a function without its docstring."""
    first = node.body[0]
    prose = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0
    return node.end_lineno - first.lineno + 1 - prose


def long_things(files):
    """Functions of more than 45 lines, classes of more than 400 with their docstrings."""
    for path, text in files.items():
        for node in nodes(text):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and own_lines(node) > 45:
                yield f"{path}: {node.name} is {own_lines(node)} lines long"
            if isinstance(node, ast.ClassDef) and node.end_lineno - node.lineno >= 400:
                yield f"{path}: {node.name} is {node.end_lineno - node.lineno + 1} lines long"


def private_imports(files):
    """Private names or modules of other packages."""
    for path, text in files.items():
        for node in nodes(text):
            for module in named(node, path):
                package, *rest = module.split(".")
                names = [n for n in (package, *rest) if n != "__future__"]
                if package != "calibkit" and any(n.startswith("_") for n in names):
                    yield f"{path} imports {module}"


@cache
def calls_of(text):
    """Dotted name and node of every call."""
    return [(ast.unparse(n.func), n) for n in nodes(text) if isinstance(n, ast.Call)]


def calls(files):
    """Path, dotted name and node of every call."""
    for path, text in files.items():
        yield from ((path, *call) for call in calls_of(text))


def prints(files):
    """`print` outside the command line."""
    for path, name, _ in calls(files):
        if name == "print" and part_of(path) not in ("_cli",):
            yield f"{path} prints"


def unsafe_calls(files):
    """NumPy's global generator or error state, code from data."""
    makers = {"default_rng", "Generator", "RandomState", "SeedSequence", "PCG64", "MT19937"}
    for path, name, _ in calls(files):
        of_random = name.startswith("np.random.") and re.split(r"[.(]", name)[2] not in makers
        runs = name in ("np.seterr", "eval", "exec", "pickle.load", "pickle.loads")
        copies = part_of(path) == "testing" and name == "pickle.loads"
        if of_random or (runs and not copies):
            yield f"{path} calls {name}"


def constants(text):
    """Names of the floats below 1e-9 that a file gives a name or a default, with their value."""
    for node in nodes(text):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, float):
                yield from ((ast.unparse(t), node.value.value) for t in targets)


def clipping_constants(files):
    """Names for the distance from 0 and 1 at which probabilities are clipped, but for the one."""
    one = (Path("_core", "scores.py"), "SATURATED")
    for path, text in files.items():
        for name, value in constants(text):
            clips = re.search(r"clip|eps|satur", name, re.IGNORECASE) and 0 < value < 1e-6
            if (clips or value == 1e-12) and (path, name) != one:
                yield f"{path}: {name} = {value}"


def binning_by_hand(files):
    """Rows put into bins elsewhere than in the one place."""
    for path, name, node in calls(files):
        by_hand = name in ("np.digitize", "np.histogram") or (
            name.endswith("searchsorted") and "borders" in ast.unparse(node.args[0])
        )
        if by_hand and path != Path("_numerics", "binning.py"):
            yield f"{path} calls {ast.unparse(node)}"


RULES = [
    upward_imports,
    hidden_imports,
    inner_imports,
    circles,
    long_things,
    private_imports,
    prints,
    unsafe_calls,
    clipping_constants,
    binning_by_hand,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_house_rules(rule):
    files = sources()
    assert len(files) > 100  # a hollow run would read nothing
    assert list(rule(files)) == []


LONG = "    x = 1\n"
#: What each rule must catch: put at the end of a file, it is found and nothing else is.
BREACHES = [
    (upward_imports, "_numerics/exact.py", "from .._core import scores\n"),
    (upward_imports, "_core/base.py", "def f():\n    from ..metrics import estimate\n"),
    (upward_imports, "metrics/_binned.py", "from calibkit.calibrators import PlattCalibrator\n"),
    (upward_imports, "metrics/_binned.py", "import calibkit.displays\n"),
    (hidden_imports, "metrics/_binned.py", "from importlib import import_module\n"),
    (hidden_imports, "displays/_draw.py", "import importlib\n"),
    (hidden_imports, "displays/_draw.py", "x = __import__('calibkit.codegen')\n"),
    (hidden_imports, "_core/arrays.py", "x = require('calibkit.export')\n"),
    (inner_imports, "displays/_draw.py", "from ..metrics._table import ScoreTable\n"),
    (inner_imports, "displays/_draw.py", "from calibkit.metrics import _table\n"),
    (inner_imports, "displays/_draw.py", "from .._core.base import _hidden\n"),
    (circles, "_core/scores.py", "def f():\n    from .base import BaseCalibrator\n"),
    (circles, "metrics/_spec.py", "from . import estimate\n"),
    (upward_imports, "calibrators/_platt.py", "from ..nowhere import x\n"),
    (long_things, "_numerics/exact.py", "def f():\n" + LONG * 46),
    (long_things, "_numerics/exact.py", "class C:\n    def f(self):\n" + f"    {LONG}" * 46),
    (long_things, "_numerics/exact.py", "class C:\n" + LONG * 400),
    (private_imports, "_numerics/exact.py", "from numpy._core import multiarray\n"),
    (private_imports, "_numerics/exact.py", "from sklearn.utils import _safe_indexing\n"),
    (private_imports, "_numerics/exact.py", "import scipy._lib\n"),
    (prints, "_numerics/exact.py", "print('here')\n"),
    (prints, "metrics/_binned.py", "def f(x):\n    print(x)\n"),
    (unsafe_calls, "_numerics/exact.py", "np.random.seed(0)\n"),
    (unsafe_calls, "_numerics/exact.py", "x = np.random.standard_normal(3)\n"),
    (unsafe_calls, "_persistence.py", "pickle.loads(data)\n"),
    (unsafe_calls, "_persistence.py", "eval(text)\n"),
    (unsafe_calls, "_core/scores.py", "np.seterr(all='ignore')\n"),
    (clipping_constants, "_numerics/exact.py", "CLIP = 1e-12\n"),
    (clipping_constants, "_core/scores.py", "EPS: float = 1e-15\n"),
    (clipping_constants, "metrics/_scoring.py", "def f():\n    eps = 1e-7\n"),
    (binning_by_hand, "metrics/_binned.py", "np.digitize(p, edges)\n"),
    (binning_by_hand, "metrics/_binned.py", "np.histogram(p, 10)\n"),
    (binning_by_hand, "displays/_draw.py", "at = np.searchsorted(borders, p)\n"),
]


@pytest.mark.parametrize(
    ("rule", "file", "code"),
    BREACHES,
    ids=[f"{r.__name__}-{i}" for i, (r, *_) in enumerate(BREACHES)],
)
def test_each_house_rule_catches_its_breach(rule, file, code):
    path = Path(*file.split("/"))
    files = sources() if rule is circles else {path: (PACKAGE / path).read_text()}
    assert list(rule(files)) == []
    assert len(list(rule({**files, path: f"{files[path]}\n{code}"}))) == 1
    assert {r for r, *_ in BREACHES} == set(RULES)


#: Not imported by calibkit; scikit-learn itself imports the first three where they are installed.
HEAVY = [
    "pandas",
    "pyarrow",
    "rich",
    "matplotlib",
    "polars",
    "numba",
    "typer",
    "torch",
    "dask",
    "array_api_compat",
]
NEVER = [*HEAVY[3:], "calibkit._cli"]


def side_effects(statement):
    """What a statement changes in a fresh interpreter: heavy modules, filters, random state."""
    code = (
        "import sys, numpy as np\n"
        "state = np.random.get_state()[1].copy(); err = np.geterr()\n"
        "import warnings\n"
        "import sklearn.calibration, sklearn.model_selection, sklearn.pipeline\n"
        "filters, before = list(warnings.filters), set(sys.modules)\n"
        f"{statement}\n"
        f"found = [m for m in {HEAVY} if m in set(sys.modules) - before]\n"
        f"found += [m for m in {NEVER} if m in sys.modules and m not in found]\n"
        "found += ['filters'] * (list(warnings.filters) != filters)\n"
        "found += ['errors'] * (np.geterr() != err)\n"
        "found += ['random'] * (not (np.random.get_state()[1] == state).all())\n"
        "print(*found)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return out.stdout.split()


def test_importing_calibkit_stays_light():
    assert side_effects("import calibkit; [getattr(calibkit, n) for n in dir(calibkit)]") == []


def test_side_effects_of_an_import_are_seen():
    statement = "import calibkit, polars; np.seterr(all='raise'); np.random.seed(1)"
    found = side_effects(f"{statement}; warnings.simplefilter('ignore')")
    assert {"polars", "filters", "errors", "random"} <= set(found)


def unexported(text, public):
    """Public names that no `from ._x import Y as Y` gives, so that static tools miss them."""
    imports = [n for n in nodes(text) if isinstance(n, ast.ImportFrom)]
    exported = {a.asname for n in imports for a in n.names if a.asname}
    modules = {p.stem for p in PACKAGE.iterdir()} | {"Any", "TYPE_CHECKING", "import_module"}
    return sorted(set(public) - modules - exported), exported


def test_static_tools_see_every_public_name():
    text = (PACKAGE / "__init__.py").read_text()
    public = {n for n in vars(calibkit) if not n.startswith("_")}
    missing, exported = unexported(text, public)
    assert missing == []
    assert "ReliabilityDisplay" in exported
    for name in exported:
        assert getattr(calibkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = calibkit.nothing
    hidden = text.replace("brier_score as brier_score", "brier_score")
    assert unexported(hidden, public)[0] == ["brier_score"]


def test_version_is_in_the_changelog():
    changelog = PACKAGE.parent / "CHANGELOG.md"
    assert f"## {calibkit.__version__}" in changelog.read_text()
