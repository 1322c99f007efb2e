"""Exports as plain code: run in each language that is here, and compared with Python's results."""

import shutil

import numpy as np
import pytest

from calibkit.export._code import LANGUAGES, write_code
from calibkit.export._drivers import DRIVERS, run_unit
from calibkit.export._program import (
    ELEMENTWISE,
    Program,
    affine,
    apply,
    column,
    constant,
    entry,
    pick,
    pick_at,
    place,
    reduce,
    stack,
)

MISSING = {
    language: f"{tool} is not on the PATH, so {driver.title} is not tested"
    for language, driver in DRIVERS.items()
    for tool in driver.tools
    if shutil.which(tool) is None
}
ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(name in MISSING, reason=MISSING.get(name, "")))
    for name in LANGUAGES
]
STEPS = np.array([-3.5, 0.2, np.nextafter(0.2, 1), 0.5, 0.7])
BESIDE = np.concatenate([STEPS, np.nextafter(STEPS, -9), np.nextafter(STEPS, 9)])
EDGES = np.concatenate([BESIDE, [0.0, -0.0, 1.0, 5e-324, np.nextafter(1, 0), np.nan, 1e300]])


def of_numbers():
    """A program of one column with every operation on numbers, and each kind of result."""
    x = column(0)
    step = place(x, STEPS)
    inside = apply("both", apply("less", 0.0, x), apply("negated", apply("at_most", 1.0, x)))
    z = apply("log", x) - apply("log1p", -x)
    p = 1.0 / (1.0 + apply("exp", -(z * 1e5)))
    bin_ = entry(step, np.linspace(0.1, 0.9, 6))
    whole = entry(step, np.array([0, 1, 1, 0, 1, 0]))
    mixed = apply("where", apply("either", apply("less", x, 0.3), apply("less", 0.9, x)), p, bin_)
    odd = apply("where", whole, apply("maximum", mixed, 0.25) / 3.0, apply("minimum", step, p))
    facts = {"name": 'A "map"\n\\u000a \\', "classes": ['"\n\\', "\U0001f600 é\\u000a"]}
    return Program(1, {"probability": odd, "label": whole, "promised": inside}, inside, facts)


def of_vectors(k=3):
    """A program of k columns with every operation on vectors."""
    c = stack(*map(column, range(k)))
    matrix = np.arange(1.0, 1.0 + k * k).reshape(k, k) % 7 / 9
    z = affine(apply("log", c), matrix, np.linspace(-1, 1, k))
    e = apply("exp", z - reduce("largest", z))
    q = e / reduce("total", e)
    winner = reduce("winner", q)
    own = apply("at_most", reduce("largest", q), q)
    q = apply("where", apply("less", q, 0.2), apply("maximum", q, 0.1), q * np.arange(1.0, 1.0 + k))
    q = apply("where", own, pick(c, 1), q)
    places = stack(*(place(pick(c, i), STEPS) for i in range(k)))
    results = {"probabilities": q, "label": winner, "own": pick_at(q, winner)}
    results |= {"decision": pick_at(places, winner), "accept": apply("less", pick(c, 0), 0.5)}
    least = apply("less", 0.0, -reduce("largest", -c))
    return Program(
        k, results, least, {"classes": list(range(10, 10 + k)), "decisions": list("abcdef")}
    )


def fixed():
    """Results that no input moves."""
    vector = constant(np.array([0.25, 1e-320, -np.inf]))
    return Program(2, {"quantiles": vector}, apply("less", 0.0, 1.0))


def rows(k, n=200, seed=0):
    columns = np.random.default_rng(seed).random((n, k))
    columns[: len(EDGES), 0] = EDGES
    return columns


def agree(expected, got, bins=()):
    """The largest difference; what is missing must be missing in both."""
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=0 if name in bins else 1e-12)


def test_every_operation_is_tried():
    tried = {n.op for p in (of_numbers(), of_vectors(), fixed()) for n in p.nodes()}
    others = {"input", "constant", "stack", "pick", "pick_at", "total", "largest", "winner"}
    assert tried == {*ELEMENTWISE, *others, "affine", "place", "entry"}


@pytest.mark.parametrize("language", ENGINES)
def test_operations(language):
    large = place(column(0), np.linspace(0, 1, 4_501))
    many = {
        "probability": entry(large, np.linspace(0, 1, 4_502)),
        "label": entry(large, np.arange(4_502)),
    }
    programs = [
        of_numbers(),
        of_vectors(),
        of_vectors(40),
        fixed(),
        Program(1, many, apply("less", 0.0, 1.0)),
    ]
    codes = [write_code(p, language, f"f{i}") for i, p in enumerate(programs)]
    columns = [rows(p.n_inputs) for p in programs]
    for program, x, got in zip(programs, columns, run_unit(codes, columns), strict=True):
        agree(program.run(x), got, bins=("label", "decision", "promised", "accept"))
