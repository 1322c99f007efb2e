"""Programs as plain code: one function without dependencies, in one of five languages.

One emitter writes all of them, from a table of each language's syntax.
"""

from __future__ import annotations

import json
import keyword
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from inspect import cleandoc
from typing import Any, TypeVar

import numpy as np

from .._core.errors import InputError
from .._core.printed import spelled
from .._typing import FloatArray
from ._drivers import run_unit, version_of
from ._golden import ENGINES, Exported, Results, golden_vectors
from ._maps import program_of
from ._program import ELEMENTWISE, NAMES, OPERATORS, Node, Program

#: Numbers in all tables above which Java's are text: a class holds at most 64 KB of initial values.
_JAVA_NUMBERS = 4000
#: Labels that are written as they are; of others their place is returned.
_PLAIN = (str, int, float)
#: Zero of each kind of value.
_ZERO = {"real": "0.0", "whole": "0", "boolean": "false"}

_F = TypeVar("_F", bound=Callable[..., Exported])


@dataclass(frozen=True)
class Syntax:
    """Templates of one language, C's by default: a variable v, an expression e, n of them."""

    title: str
    words: str
    types: dict[str, str]
    params: tuple[str, str] = ("x", "x")
    many: str = ""
    top: str = ""
    head: str = ""
    body: str = ""
    foot: str = "}"
    bottom: str = ""
    comment: str = "//"
    value: str = "{type} {v} = {e};"
    variable: str = "{type} {v} = {e};"
    vector: str = "{type} {v}[{n}];"
    listed: str = "{type} {v}[{n}] = {{{items}}};"
    table: str = "static const {type} {v}[{n}] = {{{items}}};"
    long_table: str = ""
    out: str = "for (int i = 0; i < {n}; i++) out[i] = {nan};"
    loop: str = "for ({whole} {i} = 0; {i} < {n}; {i}++) {{"
    test: str = "if ({e}) {{"
    end: str = "}"
    assign: str = "{v} = {e};"
    give: str = "return {e};"
    given: str = "return out;"
    missing: str = "-1"
    place: str = """{whole} {v} = 0;
for ({whole} h = {n}; {v} < h;) {{
    {whole} m = ({v} + h) >> 1;
    if ({t}[m] <= {e}) {v} = m + 1; else h = m;
}}"""
    at: str = "{v}[{i}]"
    choice: str = "{a} ? {b} : {c}"
    absent: str = "{v} != {v}"
    both: str = "{0} && {1}"
    negated: str = "!{0}"
    log: str = "Math.log({0})"
    log1p: str = "Math.log1p({0})"
    exp: str = "Math.exp({0})"
    inf: str = "Infinity"
    nan: str = "NaN"
    neg: str = "- {0}"
    text: Callable[[Any], str] = json.dumps


_C_WORDS = """auto break case char const continue default do double else enum extern float for goto
    if inline int long register restrict return short signed sizeof static struct switch typedef
    union unsigned void volatile while bool true false nullptr constexpr main NAN INFINITY
    acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs
    fdim floor fma fmax fmin fmod frexp hypot ilogb isfinite isinf isnan isnormal j0 j1 jn ldexp
    gamma lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter
    nexttoward pow remainder remquo rint round scalbln scalbn signbit sin sinh sqrt tan tanh tgamma
    trunc y0 y1 yn fpclassify HUGE_VAL"""
_JAVA_WORDS = """abstract assert boolean break byte case catch char class const continue default do
    double else enum extends final finally float for goto if implements import instanceof int
    interface long native new package private protected public return short static strictfp super
    switch synchronized this throw throws transient try void volatile while true false null _
    var record yield sealed permits Math math String string Double Integer integer java"""
_JS_WORDS = """arguments await break case catch class const continue debugger default delete do else
    enum eval export extends false finally for function if implements import in instanceof
    interface let new null package private protected public return static super switch this throw
    true try typeof undefined var void while with yield async NaN Infinity Math Array"""
_RUST_WORDS = """as async await break const continue crate dyn else enum extern false fn for if impl
    in let loop match mod move mut pub ref return self Self static struct super trait true type
    unsafe use where while abstract become box do final gen macro override priv try typeof unsized
    virtual yield main f64 i64 usize bool _"""


LANGUAGES = {
    "python": Syntax(
        "Python", " ".join([*keyword.kwlist, "math", "bisect", "min", "range", "_"]), {},
        top="import bisect\nimport math\n", head="def {name}({params}):", foot="", comment="#",
        value="{v} = {e}", variable="{v} = {e}", assign="{v} = {e}", vector="{v} = [0.0] * {n}",
        listed="{v} = [{items}]", table="{v} = ({items},)", out="out = [{nan}] * {n}",
        loop="for {i} in range({n}):", test="if {e}:", end="", give="return {e}",
        given="return out", missing="None", place="{v} = bisect.bisect_right({t}, {e})",
        choice="{b} if {a} else {c}", absent="{v} is None or {v} != {v}",
        both="{0} and {1}", negated="not {0}",
        log="math.log({0})", log1p="math.log1p({0})", exp="math.exp(min({0}, 700.0))",
        inf="math.inf", nan="math.nan", text=ascii,
    ),
    "javascript": Syntax(
        "JavaScript", _JS_WORDS, dict.fromkeys(_ZERO, "let"),
        head="const {name} = (() => {{", body="return function {name}({params}) {{",
        foot="    };\n})();", vector="const {v} = new Array({n});",
        listed="const {v} = [{items}];", table="const {v} = [{items}];",
        out="const out = new Array({n}).fill({nan});", missing="null",
        absent='typeof {v} !== "number" || {v} !== {v}',
    ),
    "c": Syntax(
        "C", _C_WORDS, {"real": "double", "whole": "int", "boolean": "int"},
        params=("double x", "const double *x"), many="void", top="#include <math.h>\n",
        head="{type} {name}({params}) {{", given="return;",
        log="log({0})", log1p="log1p({0})", exp="exp({0})", inf="INFINITY", nan="NAN",
    ),
    "java": Syntax(
        "Java", _JAVA_WORDS, {"real": "double", "whole": "int", "boolean": "boolean"},
        params=("double x", "double[] x"), many="double[]", top="public final class {Name} {{",
        body="public static {type} {name}({params}) {{", foot="    }", bottom="}",
        vector="{type}[] {v} = new {type}[{n}];", listed="{type}[] {v} = {{{items}}};",
        table="private static final {type}[] {v} = {{{items}}};",
        long_table="""private static final {type}[] {v} = java.util.Arrays.stream(
        String.join(",", {text}).split(",")).mapTo{Type}({Box}::parse{Type}).toArray();""",
        out="double[] out = new double[{n}];\njava.util.Arrays.fill(out, {nan});",
        inf="Double.POSITIVE_INFINITY", nan="Double.NaN",
    ),
    "rust": Syntax(
        "Rust", _RUST_WORDS, {"real": "f64", "whole": "i64", "boolean": "bool"},
        params=("x: f64", "x: &[f64; {n}]"), many="[f64; {n}]",
        head="pub fn {name}({params}) -> {type} {{", value="let {v} = {e};",
        variable="let mut {v}: {type} = {e};", vector="let mut {v}: [{type}; {n}] = [{zero}; {n}];",
        listed="let {v}: [{type}; {n}] = [{items}];",
        table="static {v}: [{type}; {n}] = [{items}];", out="let mut out = [{nan}; {n}];",
        loop="for {i} in 0..{n}i64 {{", test="if {e} {{",
        place="let {v} = {t}.partition_point(|step| *step <= {e}) as i64;",
        at="{v}[{i} as usize]", choice="if {a} {{ {b} }} else {{ {c} }}",
        log="f64::ln({0})", log1p="f64::ln_1p({0})", exp="f64::exp({0})",
        inf="f64::INFINITY", nan="f64::NAN",
    ),
}  # fmt: skip


class _Writer:
    """Writes one result of a program as a function."""

    def __init__(self, syntax: Syntax, program: Program, tables: int) -> None:
        self.syntax, self.program = syntax, program
        self.tables: list[str] = []
        self.first_table, self.numbers = tables, 0
        self.lines: list[str] = []
        self.depth = 2 if syntax.body else 1
        self.names: dict[Node, str] = {}

    def fill(self, template: str, kind: str = "real", **parts: Any) -> str:
        s = self.syntax
        types = {"type": s.types.get(kind, ""), "whole": s.types.get("whole", "")}
        return template.format(**types, zero=_ZERO[kind], nan=s.nan, **parts)

    def line(self, template: str, kind: str = "real", **parts: Any) -> None:
        text = self.fill(template, kind, **parts)
        self.lines += ["    " * self.depth + line for line in text.splitlines()]

    @contextmanager
    def block(self, template: str, **parts: Any) -> Iterator[None]:
        self.line(template, **parts)
        self.depth += 1
        yield
        self.depth -= 1
        self.line("{end}", end=self.syntax.end)

    def literal(self, value: Any) -> str:
        if isinstance(value, (int, np.integer)):
            return repr(int(value))
        value = float(value)
        if value != value:
            return self.syntax.nan
        return repr(value).replace("inf", self.syntax.inf)

    def table(self, values: Any, kind: str = "real", spell: Any = None) -> str:
        """Add a table of constants; its name."""
        items = [(spell or self.literal)(v) for v in values]
        name = f"T{self.first_table + len(self.tables)}"
        self.numbers += len(items)
        rows = [", ".join(items[i : i + 4]) for i in range(0, len(items), 4)]
        parts = {"v": name, "n": len(items), "items": ",\n        ".join(rows)}
        template = self.syntax.table
        if self.syntax.long_table and self.numbers > _JAVA_NUMBERS:
            template = self.syntax.long_table
            plain = [item.replace(self.syntax.inf, "Infinity") for item in items]
            texts = [",".join(plain[i : i + 2000]) for i in range(0, len(plain), 2000)]
            parts["text"] = ",\n        ".join(f'"{text}"' for text in texts)
            parts["Type"], parts["Box"] = ("Double",) * 2 if kind == "real" else ("Int", "Integer")
        self.tables.append(self.fill(template, kind, **parts))
        return name

    def term(self, node: Node, i: str = "") -> str:
        """A node's value; of a vector the entry i."""
        text = self.names[node]
        return self.syntax.at.format(v=text, i=i) if node.size else text

    def formula(self, node: Node, i: str = "") -> str:
        """An operation element by element, as an expression."""
        s, op = self.syntax, node.op
        a = [self.term(arg, i) for arg in node.args]
        if op in OPERATORS:
            return f"{a[0]} {OPERATORS[op]} {a[1]}"
        if op == "where":
            return s.choice.format(a=a[0], b=a[1], c=a[2])
        if op in ("minimum", "maximum"):
            first = f"{a[0]} {'<' if op == 'minimum' else '>'} {a[1]}"
            return s.choice.format(a=first, b=a[0], c=a[1])
        return str(getattr(s, op)).format(*a)

    def write(self, node: Node) -> None:
        """Declare a node's value; inputs and constants are written where they are used."""
        s, op = self.syntax, node.op
        name = self.names[node] = f"v{len(self.names)}"
        if op in ELEMENTWISE:
            if not node.size:
                self.line(s.value, node.kind, v=name, e=self.formula(node))
                return
            self.line(s.vector, node.kind, v=name, n=node.size)
            with self.block(s.loop, i="i", n=node.size):
                self.line(s.assign, v=s.at.format(v=name, i="i"), e=self.formula(node, "i"))
        elif op in ("total", "largest", "winner"):
            self.reduce(node, name)
        else:
            getattr(self, op)(node, name)

    def input(self, node: Node, name: str) -> None:
        self.names[node] = "x" if self.program.n_inputs == 1 else f"x[{node.data}]"

    def constant(self, node: Node, name: str) -> None:
        self.names[node] = self.table(node.data) if node.size else self.literal(node.data)

    def stack(self, node: Node, name: str) -> None:
        columns = [a.data if a.op == "input" else None for a in node.args]
        if columns == list(range(self.program.n_inputs)) != [0]:
            self.names[node] = "x"
            return
        items = ", ".join(self.term(a) for a in node.args)
        self.line(self.syntax.listed, node.kind, v=name, n=node.size, items=items)

    def pick(self, node: Node, name: str) -> None:
        self.names[node] = f"{self.names[node.args[0]]}[{node.data}]"

    def pick_at(self, node: Node, name: str) -> None:
        e = self.term(node.args[0], self.term(node.args[1]))
        self.line(self.syntax.value, node.kind, v=name, e=e)

    def reduce(self, node: Node, name: str) -> None:
        s, (vector,) = self.syntax, node.args
        here, first, best = (self.term(vector, i) for i in ("i", "0", name))
        start, e = {
            "total": (_ZERO["real"], f"{name} + {here}"),
            "largest": (first, s.choice.format(a=f"{here} > {name}", b=here, c=name)),
            "winner": (_ZERO["whole"], s.choice.format(a=f"{here} > {best}", b="i", c=name)),
        }[node.op]
        self.line(s.variable, node.kind, v=name, e=start)
        with self.block(s.loop, i="i", n=vector.size):
            self.line(s.assign, v=name, e=e)

    def affine(self, node: Node, name: str) -> None:
        s, (vector,), (matrix, offsets) = self.syntax, node.args, node.data
        weights, added = self.table(np.ravel(matrix)), self.table(offsets)
        self.line(s.vector, node.kind, v=name, n=node.size)
        here = s.at.format(v=name, i="i")
        with self.block(s.loop, i="i", n=node.size):
            self.line(s.assign, v=here, e=s.at.format(v=added, i="i"))
            with self.block(s.loop, i="j", n=vector.size):
                weight = s.at.format(v=weights, i=f"(i * {vector.size} + j)")
                self.line(s.assign, v=here, e=f"{here} + {weight} * {self.term(vector, 'j')}")

    def place(self, node: Node, name: str) -> None:
        if not len(node.data):
            self.names[node] = "0"
            return
        steps, number = self.table(node.data), self.term(node.args[0])
        self.line(self.syntax.place, v=name, t=steps, n=len(node.data), e=number)

    def entry(self, node: Node, name: str) -> None:
        table, index = self.table(node.data, node.kind), self.term(node.args[0])
        e = self.syntax.at.format(v=table, i=index)
        self.line(self.syntax.value, node.kind, v=name, e=e)

    def function(self, name: str, result: str) -> str:
        """The function that returns a result."""
        s, program, node = self.syntax, self.program, self.program.results[result]
        n = program.n_inputs
        missing = s.nan if node.kind == "real" else s.missing
        if node.size:
            self.line(s.out, n=node.size)
        score = "x" if n == 1 else s.at.format(v="x", i="i")
        with self.block(s.loop, i="i", n=n) if n > 1 else nullcontext():
            self.refuse(s.absent.format(v=score), missing, node)
        for each in Program(n, {result: node}, program.valid).nodes():
            self.write(each)
            if each is program.valid:
                self.refuse(s.negated.format(self.term(each)), missing, node)
        if node.size:
            with self.block(s.loop, i="i", n=node.size):
                self.line(s.assign, v=s.at.format(v="out", i="i"), e=self.term(node, "i"))
        self.give(self.last(node, _labels(program, s, result)), node)
        many = node.size > 0
        type_ = s.many if many else s.types.get("real" if node.kind == "real" else "whole", "")
        params = s.params[n > 1].format(n=n) + ", double *out" * (many and s.many == "void")
        frame = {"name": name, "type": type_.format(n=node.size), "params": params}
        lines = [
            s.head.format(**frame),
            *textwrap.indent("\n".join(self.tables), "    ").split("\n"),
        ]
        lines += ["    " + s.body.format(**frame), *self.lines, s.foot]
        return "\n".join(line for line in lines if line.strip())

    def last(self, node: Node, labels: list[Any]) -> str:
        """The expression that is returned: in Python and JavaScript labels themselves."""
        s = self.syntax
        if node.size:
            return ""
        if node.kind == "real" or (node.kind == "boolean" and s.missing != "-1"):
            return self.term(node)
        if node.kind == "boolean":
            return f"({s.choice.format(a=self.term(node), b='1', c='0')})"
        if not labels:
            return self.term(node)
        return s.at.format(v=self.table(labels, spell=s.text), i=self.term(node))

    def give(self, e: str, node: Node) -> None:
        self.line(self.syntax.given if node.size else self.syntax.give, e=e)

    def refuse(self, condition: str, missing: str, node: Node) -> None:
        """Return a missing result under a condition."""
        with self.block(self.syntax.test, e=condition):
            self.give(missing, node)


def _labels(program: Program, syntax: Syntax, result: str) -> list[Any]:
    """The labels that a function returns in place of whole numbers: in Python and JavaScript."""
    labels = program.facts.get(NAMES.get(result, ""), [])
    plain = syntax.missing != "-1" and all(isinstance(a, _PLAIN) for a in labels)
    if syntax.title == "JavaScript":  # its numbers hold no larger whole numbers exactly
        plain = plain and all(isinstance(a, str) or abs(a) < 2**53 for a in labels)
    return list(labels) if plain else []


def write_code(program: Program, language: str, name: str, golden: Any = None) -> Exported:
    """A program as the code of a language; its first result has the given name."""
    syntax = LANGUAGES[language]
    if not (isinstance(name, str) and re.fullmatch("[A-Za-z_][A-Za-z_0-9]*", name)):
        raise InputError(
            f"name={spelled(name)}; expected the name of a function: letters, digits and _."
        )
    if name in syntax.words.split() or re.fullmatch("T[0-9]+", name):  # those of tables
        raise InputError(
            f"name={spelled(name)} has another meaning in {syntax.title}; expected another name."
        )
    functions: dict[str, tuple[str, int, list[Any]]] = {}
    texts, tables = [], 0
    for result, node in program.results.items():
        function = f"{name}_{result}" if functions else name
        functions[result] = (function, node.size, _labels(program, syntax, result))
        writer = _Writer(syntax, program, tables)
        texts.append(writer.function(function, result))
        tables += len(writer.tables)
    program = replace(program, facts={**program.facts, "functions": functions})
    top = syntax.top.format(Name=name[0].upper() + name[1:])
    parts = [*_header(program, syntax, golden), top, "\n\n".join(texts), syntax.bottom]
    return Exported("\n".join(filter(None, parts)) + "\n", language, program.facts, program.kinds())


def _header(program: Program, syntax: Syntax, golden: Any) -> list[str]:
    """What the code is, with scores and the results that they must give."""
    facts = program.facts
    name, scale = (json.dumps(facts.get(key))[1:-1] for key in ("name", "scale"))
    lines = [f"{name}, exported by calibkit {facts.get('version')}."]
    lines.append(f"Input ({scale}): {json.dumps(facts.get('inputs', []))}")
    known = ("classes", "decisions")
    lines += [f"{k}: {json.dumps(facts[k], default=str)}" for k in known if facts.get(k)]
    for result, (function, _, labels) in facts["functions"].items():
        lines.append(f"{function}: {result}")
        for row, value in zip(*golden, strict=True) if golden else ():
            found = value[result]
            if program.results[result].kind != "real" and found == found:
                found = labels[int(found)] if labels else int(found)
            lines.append(f"  {row if len(row) > 1 else row[0]} -> {json.dumps(found)}")
    return [f"{syntax.comment} {line}" for line in lines]


def _exported(obj: Any, language: str, name: str, labels: bool) -> Exported:
    program = program_of(obj, labels=labels)
    columns, results = golden_vectors(obj, 8, labels=labels)
    few = slice(-max(1, min(8, 80 // program.n_inputs)), None)  # long comments help nobody
    rows = columns[few].tolist()
    values = [{k: v[few][i].tolist() for k, v in results.items()} for i in range(len(rows))]
    return write_code(program, language, name, (rows, values))


#: What the docstrings of all languages share.
_SECTIONS = """

Parameters
----------
obj : calibrator, CalibratedClassifier, threshold, policy, rule or QuantileCalibrator
    Fitted.
name : str, default="calibrate"
    Name of the function. Further results, such as labels, are functions named
    ``calibrate_label``.
labels : bool, default=False
    Whether to add a function for the label that ``predict`` returns.

Returns
-------
code : str
    The code, with a comment that says what it is and what some scores must give.

Raises
------
TypeError
    If the object can't be exported.
ValueError
    If the name can't be that of a function in {title}.

Examples
--------
>>> from calibkit import PlattCalibrator
>>> from calibkit.export import to_{language}
>>> cal = PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])
>>> code = to_{language}(cal, name="risk")
>>> print(next(line for line in code.splitlines() if "risk(" in line).strip())
{line}
"""


def _documented(line: str) -> Callable[[_F], _F]:
    """Add the shared sections to a docstring; ``line`` is what the example prints."""

    def add(write: _F) -> _F:
        language = write.__name__.removeprefix("to_")
        parts = {"language": language, "title": LANGUAGES[language].title, "line": line}
        write.__doc__ = cleandoc(write.__doc__ or "") + _SECTIONS.format(**parts)
        return write

    return add


@_documented("def risk(x):")
def to_python(obj: Any, *, name: str = "calibrate", labels: bool = False) -> Exported:
    """The map of a fitted object as Python: a function that needs nothing else.

    It takes a number, or a list of K numbers for K classes, and returns a number or a list.
    Where the score is missing or out of range, it returns NaN, and None as a label or decision.
    """
    return _exported(obj, "python", name, labels)


@_documented("return function risk(x) {")
def to_javascript(obj: Any, *, name: str = "calibrate", labels: bool = False) -> Exported:
    """The map of a fitted object as JavaScript: a function that needs nothing else.

    It takes a number, or an array of K numbers for K classes, and returns a number or an array.
    Where the score is missing or out of range, it returns NaN, and null as a label or decision.
    """
    return _exported(obj, "javascript", name, labels)


@_documented("double risk(double x) {")
def to_c(obj: Any, *, name: str = "calibrate", labels: bool = False) -> Exported:
    """The map of a fitted object as C: a function that needs nothing else.

    It takes a double, or an array of K doubles for K classes and an array for the result. Labels
    and decisions are places among those that the comment names.
    Where the score is missing or out of range, it returns NaN, and -1 as a label or decision.
    """
    return _exported(obj, "c", name, labels)


@_documented("public static double risk(double x) {")
def to_java(obj: Any, *, name: str = "calibrate", labels: bool = False) -> Exported:
    """The map of a fitted object as Java: a function that needs nothing else.

    It takes a double, or an array of K doubles for K classes, and returns a double or an array; it
    is a method of a class ``Calibrate``. Labels and decisions are places among those that the
    comment names.
    Where the score is missing or out of range, it returns NaN, and -1 as a label or decision.
    """
    return _exported(obj, "java", name, labels)


@_documented("pub fn risk(x: f64) -> f64 {")
def to_rust(obj: Any, *, name: str = "calibrate", labels: bool = False) -> Exported:
    """The map of a fitted object as Rust: a function that needs nothing else.

    It takes an f64, or an array of K of them for K classes, and returns an f64 or an array. Labels
    and decisions are places among those that the comment names.
    Where the score is missing or out of range, it returns NaN, and -1 as a label or decision.
    """
    return _exported(obj, "rust", name, labels)


def _engine(language: str) -> tuple[Callable[[Any, FloatArray], Results], Callable[[], str]]:
    return lambda code, columns: run_unit([code], [columns])[0], lambda: version_of(language)


ENGINES.update({language: _engine(language) for language in LANGUAGES})
