"""Every process that collects the tests must find the same ones, in the same order.

Workers of pytest-xdist compare their lists; a clock, a set's order or an address in a test's id
makes them differ, and then nothing runs.
"""

import ast
from pathlib import Path

import pytest

TESTS = sorted(Path(__file__).parent.rglob("*.py"))
#: Calls whose value is another one in the next process.
MOVING = {"time", "time_ns", "monotonic", "perf_counter", "now", "today", "utcnow", "uuid4", "id"}
MOVING |= {"hash", "urandom", "token_hex", "getpid", "mkdtemp", "mktemp"}


def run_on_import(tree):
    """The expressions of a module that collecting its tests evaluates: all but function bodies."""
    ahead = [tree]
    while ahead:
        node = ahead.pop()
        yield node
        if isinstance(node, ast.FunctionDef):
            ahead += [n for n in ast.iter_child_nodes(node) if n not in node.body]
        else:
            ahead += ast.iter_child_nodes(node)


def moving(text):
    """What a test file evaluates on import and would find otherwise in another process."""
    for node in run_on_import(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = name_of_call(node)
            given = {k.arg for k in node.keywords}
            seeded = node.args or "seed" in given
            if (
                name in MOVING
                or ast.unparse(node.func).startswith("random.")
                or (name == "compress" and "mtime" not in given)
                or (name in ("default_rng", "RandomState") and not seeded)
            ):
                yield ast.unparse(node)
            if name in ("list", "tuple", "parametrize"):
                yield from (ast.unparse(a) for a in node.args if is_set(a))
        looped = getattr(node, "iter", None)
        if is_set(looped):
            yield ast.unparse(looped)


def name_of_call(node):
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def is_set(node):
    """Whether an expression is a set, whose order changes with the hash seed."""
    made = isinstance(node, ast.Call) and name_of_call(node) in ("set", "frozenset")
    return made or isinstance(node, ast.Set | ast.SetComp)


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.name)
def test_ids_are_the_same_in_every_process(path):
    assert not list(moving(path.read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "@mark.parametrize('x', [gzip.compress(b'')])\ndef test_x(x): pass",
        "X = time.time()",
        "RNG = np.random.default_rng()",
        "@mark.parametrize('x', {'a', 'b'})\ndef test_x(x): pass",
        "X = [x for x in set('ab')]",
        "class A:\n    x = list({'a', 'b'})",
        "def test_x(x=id(object())): pass",
        "@mark.parametrize('x', 'ab', ids=lambda x: hash(x))\ndef test_x(x): pass",
        "N = random.random()",
    ],
)
def test_what_moves_is_found(text):
    assert list(moving(text))
    assert not list(moving("def test_x():\n    " + text.replace("\n", "\n    ")))
