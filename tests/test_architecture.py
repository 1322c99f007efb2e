"""The house rules: which layer may import which, and how long things may get."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import calibkit

PACKAGE = Path(calibkit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

#: Layer of each part; a module imports lower layers, and its own part within a layer.
LAYERS = {
    "_numerics": 0,
    "_core": 1,
    "calibrators": 2,
    "_online": 2,
    "metrics": 2,
    "_tables": 2,
    "displays": 3,
    "_registry": 3,
    "_io": 3,
    "_crossfit": 3,
    "_classifier": 3,
    "_journal": 4,
    "_online_classifier": 4,
    "codegen": 4,
    "online": 5,
    "testing": 4,
    "report": 6,
    "cli": 7,
    "__main__": 8,
}
#: Parts of layer 3 that stand on others of it.
WITHIN = {("_io", "_registry"), ("_classifier", "_registry"), ("_classifier", "_crossfit")}


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Parts of calibkit that a file imports, anywhere in it."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            names = (node.module or "").split(".") if node.module else []
            if node.level < depth:
                continue  # inside its own part
            if node.level == depth:
                yield from [names[0]] if names else [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("calibkit"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [a.name for a in node.names]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    part = part_of(path)
    if part == "__init__":
        return
    for other in imports(path):
        if other in ("__version__", part):
            continue
        assert other in LAYERS, f"{path.name} imports {other}, which has no layer"
        downward = LAYERS[other] < LAYERS[part]
        assert downward or (part, other) in WITHIN, f"{part} may not import {other}"


def body_length(node):
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(
        getattr(first, "value", None), ast.Constant
    )
    start = first.end_lineno + 1 if is_docstring else first.lineno
    return node.end_lineno - start + 1


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    tree = ast.parse(text)
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Module)
    documented = [n for n in ast.walk(tree) if isinstance(n, kinds) and ast.get_docstring(n)]
    prose = sum(n.body[0].end_lineno - n.body[0].lineno + 1 for n in documented)
    assert len(text.splitlines()) - prose <= 260, "lines of code, docstrings apart"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert body_length(node) <= 45, f"{node.name} is {body_length(node)} lines long"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_private_of_others_no_print_no_global_random(path):
    text = path.read_text()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            top = (node.module or "").split(".")
            assert not any(p.startswith("_") and p != "__future__" for p in top), node.module
            if top[0] != "calibkit":
                assert not any(a.name.startswith("_") for a in node.names), ast.unparse(node)
    assert not re.search(r"np\.random\.(seed|rand|normal|uniform|choice|randint)\b", text)
    assert "np.seterr(" not in text
    assert not re.search(r"\b(eval|exec|pickle\.load)\(", text)


def test_the_clipping_constant_lives_in_one_place():
    with_constant = [
        p.name for p in FILES if "1e-12" in p.read_text() and "SATURATED =" in p.read_text()
    ]
    assert with_constant == ["scores.py"]


def test_binning_lives_in_one_place():
    for path in FILES:
        by_hand = re.search(r"np\.(digitize|histogram)\(|searchsorted\(.*borders", path.read_text())
        assert path.name == "binning.py" or not by_hand, path


#: Not imported by calibkit; scikit-learn itself imports the first three where they are installed.
HEAVY = ["pandas", "pyarrow", "rich", "matplotlib", "polars", "numba", "typer", "torch", "dask"]
NEVER = HEAVY[3:]


def test_importing_calibkit_stays_light():
    code = (
        "import sys, numpy as np\n"
        "state = np.random.get_state()[1].copy(); err = np.geterr()\n"
        "import warnings\n"
        "import sklearn.calibration, sklearn.model_selection, sklearn.pipeline\n"
        "filters, before = list(warnings.filters), set(sys.modules)\n"
        "import calibkit\n"
        "assert list(warnings.filters) == filters and np.geterr() == err\n"
        "assert (np.random.get_state()[1] == state).all()\n"
        f"print([m for m in {HEAVY} if m in set(sys.modules) - before])\n"
        f"print([m for m in {NEVER} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["[]", "[]"]


def test_static_tools_see_every_public_name():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    exported = {
        a.asname
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom)
        for a in n.names
        if a.asname
    }
    assert "ReliabilityDisplay" in exported
    for name in exported:
        assert getattr(calibkit, name) is not None
    public = {n for n in vars(calibkit) if not n.startswith("_")}
    modules = {p.stem for p in PACKAGE.iterdir()} | {"Any", "TYPE_CHECKING", "import_module"}
    assert public - modules <= exported
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = calibkit.nothing


def test_version_is_in_the_changelog():
    changelog = PACKAGE.parent / "CHANGELOG.md"
    assert f"## {calibkit.__version__}" in changelog.read_text()
