"""Plain code, compiled and run: each language reads numbers from stdin and writes the results."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import InputError
from .._typing import FloatArray
from ._golden import Exported


class Call(NamedTuple):
    """One function of an export, with its rows."""

    function: str
    unit: str
    result: str
    kind: str
    size: int
    labels: list[Any]
    columns: FloatArray


@dataclass(frozen=True)
class Driver:
    """How a language is compiled and run, and a program that calls exported functions."""

    title: str
    tools: tuple[str, ...]
    file: str
    compile: str
    run: str
    program: str
    one: str
    many: str = ""


DRIVERS = {
    "python": Driver(
        "Python", (sys.executable,), "main.py", "", f"{sys.executable}\n-I\nmain.py",
        """{code}
import array
import sys
data, out, at = array.array("d", sys.stdin.buffer.read()), array.array("d"), 0
def get(d):
    global at
    at += d
    return data[at - 1] if d == 1 else data[at - d : at].tolist()
def put(v, labels):
    for e in v if isinstance(v, list) else [v]:
        out.append(math.nan if e is None else labels.index(e) if labels else float(e))
{calls}
out.tofile(sys.stdout.buffer)
""",
        "for _ in range({n}): put({f}(get({d})), {labels})",
    ),
    "javascript": Driver(
        "Node.js", ("node",), "main.js", "", "node main.js",
        """{code}
const input = require("fs").readFileSync(0), out = [];
const start = input.byteOffset;
const data = new Float64Array(input.buffer.slice(start, start + input.length));
let at = 0;
const get = (d) => {{
    at += d;
    return d === 1 ? data[at - 1] : Array.from(data.subarray(at - d, at));
}};
const put = (v, labels) => {{
    for (const e of Array.isArray(v) ? v : [v])
        out.push(e === null ? NaN : labels.length ? labels.indexOf(e) : Number(e));
}};
{calls}
process.stdout.write(Buffer.from(new Float64Array(out).buffer));
""",
        "for (let r = 0; r < {n}; r++) put({f}(get({d})), {labels});",
    ),
    "c": Driver(
        "gcc", ("gcc",), "main.c", "gcc -O1 -o main main.c -lm", "./main",
        """#include <stdio.h>
{code}
static double x[100000], y[100000];
static double get(void) {{ double v = 0.0; if (fread(&v, 8, 1, stdin) != 1) return 0.0; return v; }}
int main(void) {{
{calls}
return 0;
}}
""",
        "for (int r = 0; r < {n}; r++) {{ for (int i = 0; i < {d}; i++) x[i] = get();"
        " y[0] = {f}({x}); fwrite(y, 8, 1, stdout); }}",
        "for (int r = 0; r < {n}; r++) {{ for (int i = 0; i < {d}; i++) x[i] = get();"
        " {f}({x}, y); fwrite(y, 8, {size}, stdout); }}",
    ),
    "java": Driver(
        "Java", ("javac", "java"), "Main.java",
        "javac -J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC -proc:none -d . {files}",
        "java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp . Main",
        """import java.io.*;
import java.nio.*;
class Main {{
static ByteBuffer data;
static DataOutputStream out;
static double[] get(int d) {{
    double[] x = new double[d];
    for (int i = 0; i < d; i++) x[i] = data.getDouble();
    return x;
}}
static void put(double... y) throws IOException {{
    for (double v : y) out.writeLong(Long.reverseBytes(Double.doubleToLongBits(v)));
}}
public static void main(String[] a) throws IOException {{
    data = ByteBuffer.wrap(System.in.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
    out = new DataOutputStream(new BufferedOutputStream(System.out));
{calls}
    out.flush();
}}
}}
""",
        "for (int r = 0; r < {n}; r++) put({unit}.{f}(get({d}){first}));",
    ),
    "rust": Driver(
        "rustc", ("rustc",), "main.rs",
        "rustc --edition 2021 -A warnings -O -o main main.rs", "./main",
        """use std::io::{{Read, Write}};
{code}
fn get<const N: usize>(data: &[u8], at: &mut usize) -> [f64; N] {{
    let mut x = [0.0; N];
    for v in x.iter_mut() {{
        *v = f64::from_le_bytes(data[*at..*at + 8].try_into().unwrap());
        *at += 8;
    }}
    x
}}
fn main() {{
    let (mut data, mut out, mut at) = (Vec::new(), Vec::<f64>::new(), 0usize);
    std::io::stdin().read_to_end(&mut data).unwrap();
{calls}
    let bytes: Vec<u8> = out.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::io::stdout().write_all(&bytes).unwrap();
}}
""",
        "for _ in 0..{n} {{ let x = get::<{d}>(&data, &mut at); out.push({f}({x}) as f64); }}",
        "for _ in 0..{n} {{ let x = get::<{d}>(&data, &mut at); out.extend({f}({x})); }}",
    ),
}  # fmt: skip


def run_unit(codes: Sequence[Exported], columns: Sequence[FloatArray]) -> list[dict[str, Any]]:
    """The results of several exports in one language, compiled and run together."""
    language = codes[0].language
    calls = [_calls(code, rows) for code, rows in zip(codes, columns, strict=True)]
    flat = [call for each in calls for call in each]
    data = b"".join(np.asarray(c.columns, dtype="<f8").tobytes() for c in flat)
    read = np.frombuffer(_compiled(language, codes, flat, data), dtype="<f8")
    sizes = [len(c.columns) * max(c.size, 1) for c in flat]
    values = np.split(read, np.cumsum(sizes)[:-1])
    shaped = iter([_shaped(v, call) for v, call in zip(values, flat, strict=True)])
    return [{call.result: next(shaped) for call in each} for each in calls]


def _calls(code: Exported, columns: FloatArray) -> list[Call]:
    functions = code.facts["functions"]
    first = next(iter(functions.values()))[0]
    unit = first[0].upper() + first[1:]
    return [
        Call(name, unit, result, code.results[result], size, labels, columns)
        for result, (name, size, labels) in functions.items()
    ]


def _shaped(values: FloatArray, call: Call) -> FloatArray:
    values = np.array(values, dtype=np.float64)
    if call.kind != "real":
        values[values == -1] = np.nan
    return values.reshape(len(call.columns), call.size) if call.size else values


def _compiled(language: str, codes: Sequence[Exported], calls: list[Call], data: bytes) -> bytes:
    driver = DRIVERS[language]
    _found(driver)
    with tempfile.TemporaryDirectory() as folder:
        files = {driver.file: ""}
        if language == "java":  # a public class needs a file of its own
            units = dict.fromkeys(call.unit for call in calls)
            files |= {f"{u}.java": str(c) for u, c in zip(units, codes, strict=True)}
        lines = "\n".join(_line(driver, call) for call in calls)
        files[driver.file] = driver.program.format(code="\n".join(codes), calls=lines)
        for name, text in files.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        if driver.compile:
            _run(driver.compile.format(files=" ".join(files)), folder)
        return _run(driver.run, folder, data)


def _found(driver: Driver) -> tuple[str, ...]:
    for tool in driver.tools:
        if shutil.which(tool) is None:
            raise InputError(f"{tool} is not installed; expected {driver.title} on the PATH.")
    return driver.tools


def _run(command: str, folder: str, data: bytes = b"") -> bytes:
    words = command.split("\n") if "\n" in command else command.split()
    made = subprocess.run(words, cwd=folder, input=data, capture_output=True, check=False)
    if made.returncode:
        raise RuntimeError(f"{command} failed: {made.stderr.decode(errors='replace')[-2000:]}")
    return made.stdout


def _line(driver: Driver, call: Call) -> str:
    d = call.columns.shape[1]
    whole = "&x" if driver.title == "rustc" else "x"
    template = driver.many if driver.many and call.size else driver.one
    return template.format(
        f=call.function,
        n=len(call.columns),
        d=d,
        size=call.size,
        x="x[0]" if d == 1 else whole,
        first="[0]" if d == 1 else "",
        unit=call.unit,
        labels=(ascii if driver.title == "Python" else json.dumps)(call.labels),
    )


def version_of(language: str) -> str:
    """The name and version of what runs a language."""
    tool = _found(DRIVERS[language])[0]
    text = _run(f"{tool}\n--version", ".").decode().splitlines()[0]
    return text if text.startswith(DRIVERS[language].title) else f"{DRIVERS[language].title} {text}"
