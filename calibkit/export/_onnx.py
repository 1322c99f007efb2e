"""Programs as ONNX graphs, of operations that every runtime of opset 17 has."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.optional import require
from .._core.params import check_choice
from .._core.printed import spelled
from .._typing import FloatArray
from ._golden import ENGINES, Results, golden_vectors
from ._maps import program_of
from ._program import Node, Program

_OPSET, _IR = 17, 9
#: Operations with an equivalent.
_SAME = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg",
    "minimum": "Min", "maximum": "Max", "log": "Log", "exp": "Exp", "where": "Where",
    "less": "Less", "at_most": "LessOrEqual", "both": "And",
}  # fmt: skip
_TYPES = {"real": np.float64, "whole": np.int64, "boolean": np.bool_, "single": np.float32}


@dataclass
class _Graph:
    """A graph of rows: a number has shape (N, 1), a vector (N, K), and constants have no rows.

    Everything is computed in double precision, whatever the type of the scores.
    """

    onnx: Any
    program: Program
    rounded: bool
    nodes: list[Any] = field(default_factory=list)
    constants: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    names: dict[Node, str] = field(default_factory=dict)
    varies: set[Node] = field(default_factory=set)
    scores: str = ""
    known: str = ""
    shape: str = ""

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, kind: str = "real") -> str:
        array: Any = np.asarray(value, dtype=_TYPES[kind])
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            name = f"c{len(self.constants)}"
            self.constants[key] = self.onnx.numpy_helper.from_array(array, name)
        return str(self.constants[key].name)

    def cast(self, name: str, kind: str, wanted: str) -> str:
        if kind == wanted:
            return name
        return self.add("Cast", name, to=self.type(wanted))

    def by_row(self, node: Node, wanted: str) -> str:
        """A value with as many rows as there are scores."""
        name = self.cast(self.names[node], node.kind, wanted)
        return name if node in self.varies else self.add("Expand", name, self.shape)

    def write(self, node: Node) -> None:
        if node.op == "input" or any(a in self.varies for a in node.args):
            self.varies.add(node)
        if node.op in _SAME:
            args = [self.names[a] for a in node.args]
            self.names[node] = self.scaled(node, args) or self.add(_SAME[node.op], *args)
        else:
            self.names[node] = getattr(self, f"_{node.op}")(node)

    def begin(self, scores: str, single: bool, from_logits: bool) -> None:
        """Scores in double precision and on the program's scale; which rows have all of them."""
        x = self.cast(scores, "single", "real") if single else scores
        empty = self.cast(self.add("IsNaN", x), "boolean", "whole")
        number = self.add("ReduceSum", empty, self.constant([1], "whole"), keepdims=1)
        self.known = self.add("Equal", number, self.constant(0, "whole"))
        self.shape = self.add("Shape", self.known)
        width = len(self.program.facts.get("classes", ()))
        if from_logits and width > 2:
            parts = self.add("Reshape", x, self.constant([-1, width], "whole"))
            parts = self.add("Softmax", parts, axis=1)
            x = self.add("Reshape", parts, self.constant([-1, self.program.n_inputs], "whole"))
        elif from_logits:
            x = self.add("Sigmoid", x)
        self.scores = x

    def end(self, name: str, single: bool) -> Any:
        """A result as an output of the graph: missing where the scores are."""
        node = self.program.results[name]
        kind = "real" if node.kind == "real" else "whole"
        missing = self.constant(np.nan if kind == "real" else -1, kind)
        valid = self.add("And", self.known, self.names[self.program.valid])
        value = self.add("Where", valid, self.by_row(node, kind), missing)
        kind = "single" if single and kind == "real" else kind
        value = self.cast(value, "real", kind) if kind == "single" else value
        shape = ["N", node.size] if node.size else ["N"]
        axes = [] if node.size else [self.constant([1], "whole")]
        self.nodes.append(
            self.onnx.helper.make_node("Squeeze" if axes else "Identity", [value, *axes], [name])
        )
        return self.onnx.helper.make_tensor_value_info(name, self.type(kind), shape)

    def type(self, kind: str) -> int:
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(_TYPES[kind])))

    def _input(self, node: Node) -> str:
        if self.program.n_inputs == 1:
            return self.scores
        return self.add("Gather", self.scores, self.constant([node.data], "whole"), axis=1)

    def _constant(self, node: Node) -> str:
        return self.constant(node.data)

    def scaled(self, node: Node, args: list[str]) -> str:
        """A product with, or a quotient by, a constant that is 1 in single precision.

        onnxruntime leaves out such a factor, in double precision too.
        """
        for x, factor in ((0, 1), (1, 0))[: {"mul": 2, "div": 1}.get(node.op, 0)]:
            by = node.args[factor]
            if by.op == "constant" and by.size <= 1 and np.float32(by.data) == 1.0:
                change = by.data - 1.0 if node.op == "mul" else 1.0 / by.data - 1.0
                return self.add("Add", args[x], self.add("Mul", args[x], self.constant(change)))
        return ""

    def _log1p(self, node: Node) -> str:
        """Kahan's formula: the rounding of ``1 + x`` cancels."""
        x, one = self.names[node.args[0]], self.constant(1.0)
        u = self.add("Add", x, one)
        same = self.add("Equal", u, one)
        rest = self.add("Where", same, one, self.add("Sub", u, one))
        value = self.add("Div", self.add("Mul", self.add("Log", u), x), rest)
        return self.add("Where", same, x, value)

    def _stack(self, node: Node) -> str:
        columns = [a.data if a.op == "input" else None for a in node.args]
        if columns == list(range(self.program.n_inputs)):
            return self.scores
        self.varies.add(node)
        return self.add("Concat", *(self.by_row(a, node.kind) for a in node.args), axis=1)

    def _pick(self, node: Node) -> str:
        index = self.constant([node.data], "whole")
        return self.add("Gather", self.names[node.args[0]], index, axis=-1)

    def _pick_at(self, node: Node) -> str:
        vector = self.by_row(node.args[0], node.kind)
        index = self.by_row(node.args[1], "whole")
        return self.add("GatherElements", vector, index, axis=1)

    def _total(self, node: Node) -> str:
        axes = self.constant([-1], "whole")
        return self.add("ReduceSum", self.names[node.args[0]], axes, keepdims=1)

    def _largest(self, node: Node) -> str:
        return self.add("ReduceMax", self.names[node.args[0]], axes=[-1], keepdims=1)

    def _winner(self, node: Node) -> str:
        return self.add("ArgMax", self.names[node.args[0]], axis=-1, keepdims=1)

    def _affine(self, node: Node) -> str:
        matrix, offsets = node.data
        product = self.add("MatMul", self.names[node.args[0]], self.constant(matrix.T))
        return self.add("Add", product, self.constant(offsets))

    def _place(self, node: Node) -> str:
        """Binary search: each turn doubles the precision of the place."""
        steps, x = node.data, self.names[node.args[0]]
        if self.rounded:  # a border that is a score stays one when both are rounded
            steps = steps.astype(np.float32).astype(np.float64)
        turns = len(steps).bit_length()
        padded = self.constant(np.append(steps, np.full(2**turns - len(steps), np.nan)))
        at = self.constant([0], "whole")
        if not turns:
            self.varies.discard(node)
        for turn in range(turns - 1, -1, -1):
            last = self.add("Add", at, self.constant([2**turn - 1], "whole"))
            above = self.add("LessOrEqual", self.add("Gather", padded, last), x)
            further = self.add("Add", at, self.constant([2**turn], "whole"))
            at = self.add("Where", above, further, at)
        return at

    def _entry(self, node: Node) -> str:
        table = self.constant(node.data, node.kind)
        return self.add("Gather", table, self.names[node.args[0]])


def graph_of(program: Program, dtype: str, from_logits: bool) -> Any:
    """A program as an ONNX graph."""
    onnx = require("onnx", "onnx")
    single = dtype == "float32"
    graph = _Graph(onnx, program, rounded=single and not from_logits)
    graph.begin("scores", single, from_logits)
    for node in program.nodes():
        graph.write(node)
    outputs = [graph.end(name, single) for name in program.results]
    scores = onnx.helper.make_tensor_value_info(
        "scores", graph.type("single" if single else "real"), ["N", program.n_inputs]
    )
    used = {name for node in graph.nodes for name in node.input}
    constants = [c for c in graph.constants.values() if c.name in used]
    return onnx.helper.make_graph(graph.nodes, "calibkit", [scores], outputs, constants)


def to_onnx(
    obj: Any,
    *,
    dtype: Literal["float64", "float32"] = "float64",
    input_scale: Literal["probability", "logit"] | None = None,
    labels: bool = False,
) -> Any:
    """The map of a fitted object as an ONNX model, of opset 17.

    The input ``scores`` has shape (N, 1) for two classes, (N, K) for K. Each result is an output:
    ``probability`` of shape (N,), ``probabilities`` of shape (N, K). Missing or invalid scores give
    NaN, and -1 where the result is a whole number. Booleans are 1 and 0.

    Parameters
    ----------
    obj : calibrator, CalibratedClassifier, threshold, policy, rule or QuantileCalibrator
        Fitted.
    dtype : {"float64", "float32"}, default="float64"
        Type of the scores and of the probabilities. In between, double precision is used. With
        "float32" borders are rounded as the scores are: a score that is on a border stays there.
    input_scale : {"probability", "logit"}, optional
        Scale of the scores; by default that of the object. An object of probabilities also takes
        "logit": log-odds, or K logits for softmax, which hold scores next to 1 in single precision.
    labels : bool, default=False
        Whether to add the output ``label``: the place of the label in ``classes``.

    Returns
    -------
    model : onnx.ModelProto
        Its metadata hold the class, the version of calibkit, scale, class labels, and scores with
        what they must give.

    Raises
    ------
    TypeError
        If the object can't be exported.
    ValueError
        If a setting is invalid.
    ImportError
        If the package onnx is not installed.

    Examples
    --------
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.export import to_onnx
    >>> cal = PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])
    >>> model = to_onnx(cal)
    >>> [output.name for output in model.graph.output]
    ['probability']
    """
    check_choice("dtype", dtype, ("float64", "float32"))
    program = program_of(obj, labels=labels)
    scale = program.facts["scale"]
    given = scale if input_scale is None else input_scale
    check_choice("input_scale", given, (scale, *(["logit"] if scale == "probability" else [])))
    onnx = require("onnx", "onnx")
    model = onnx.helper.make_model(
        graph_of(program, dtype, given != scale),
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="calibkit",
        producer_version=program.facts["version"],
    )
    texts = {**program.facts, "input_scale": given}
    if given == scale:
        columns, results = golden_vectors(obj, 8, labels=labels)
        texts["golden"] = {"scores": columns.tolist()}
        texts["golden"] |= {name: values.tolist() for name, values in results.items()}
    texts = {k: v if isinstance(v, str) else json.dumps(v, default=str) for k, v in texts.items()}
    onnx.helper.set_model_props(model, texts)
    return model


def run_onnxruntime(model: Any, columns: FloatArray) -> Results:
    """The results of a model for rows of scores on the scale of its object."""
    runtime = require("onnxruntime")
    props = {p.key: p.value for p in model.metadata_props}
    if not {"input_scale", "scale"} <= props.keys():
        raise InputTypeError(
            "the model's metadata lack scale and input_scale; expected a model that to_onnx "
            "returned. Export the object again."
        )
    if props["input_scale"] != props["scale"]:
        raise InputError(
            f"the model takes scores of input_scale={spelled(props['input_scale'])}; expected one "
            "that takes those of its object, which are what it is compared with. Export it without "
            "input_scale."
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    single = session.get_inputs()[0].type == "tensor(float)"
    scores = columns.astype(np.float32 if single else np.float64)
    names = [output.name for output in session.get_outputs()]
    found = {}
    for name, values in zip(names, session.run(None, {"scores": scores}), strict=True):
        found[name] = values.astype(np.float64)
        if values.dtype.kind == "i":
            found[name][values == -1] = np.nan
    return found


ENGINES["onnx"] = run_onnxruntime, lambda: f"onnxruntime {require('onnxruntime').__version__}"
