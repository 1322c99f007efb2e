"""Pages of measured figures, from ``benchmarks/README.md`` and the results stored beside it.

Each section of that file becomes a page. Where results are stored, the page also shows what
``python benchmarks/NAME.py --show`` prints of them now, and a picture.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from trust_losses import losses
from trust_pictures import PICTURES, draw

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
FOLDER = "trust"
HEADING = re.compile(r"^## (\d+)\. (.*)$", re.MULTILINE)

#: Sections whose results are stored: the commands that print them.
SHOWN = {
    1: ["choices.py --show benchmarks/choices.json"],
    5: ["score_intervals.py --show"],
    18: [f"arena.py --show benchmarks/arena_{k}.json --markdown" for k in ("two", "several")],
    20: ["paired_intervals.py --show"],
    21: ["group_flags.py --show"],
    22: ["group_intervals.py --show"],
    23: ["race.py --show"],
    24: ["calibration_tests.py"],
    25: ["whole_intervals.py --show"],
    26: ["whole_errors.py --show"],
    27: ["proofs.py --show"],
    28: ["exports.py --show"],
}


def anchor(title: str) -> str:
    """What a forge calls a heading."""
    return re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-")


def sections() -> tuple[str, dict[int, tuple[str, str]]]:
    """What comes before the first section, and the title and text of each."""
    start, *parts = HEADING.split((BENCHMARKS / "README.md").read_text())
    numbers, titles, texts = parts[::3], parts[1::3], parts[2::3]
    return start, {
        int(n): (title, text.strip()) for n, title, text in zip(numbers, titles, texts, strict=True)
    }


def slug(title: str) -> str:
    """The name of a section's page."""
    return anchor(title.rstrip("?"))


def pages_of_anchors() -> dict[str, str]:
    """The page to which each anchor of ``benchmarks/README.md`` leads."""
    return {anchor(f"{n}. {title}"): slug(title) for n, (title, _) in sections()[1].items()}


def relinked(text: str) -> str:
    """Links of ``benchmarks/README.md``, as links between pages of the site."""
    places = pages_of_anchors()
    text = re.sub(r"\]\(#([^)]+)\)", lambda m: f"]({places[m[1]]}.md)", text)
    return re.sub(r"\]\(\.\./docs/", "](../", text)


def linked_from_docs(text: str) -> str:
    """Links of a page of ``docs`` to ``benchmarks/README.md``, as links to pages of the site."""
    text = re.sub(r"\[`?benchmarks/README\.md`?\]", "[Figures of trust]", text)
    places = {"": "index", **pages_of_anchors()}
    found = r"\]\(\.\./benchmarks/README\.md#?([^)]*)\)"
    return re.sub(found, lambda m: f"]({FOLDER}/{places[m[1]]}.md)", text)


def shown(command: str, kept: Path) -> str:
    """What a command prints of stored results; run again if these or the scripts change."""
    name = command.partition(".py")[0]
    stored = sorted({*BENCHMARKS.glob(f"{name}*.py"), *BENCHMARKS.glob(f"{name}*.json")})
    key = hashlib.sha256(b"".join(p.read_bytes() for p in stored) + command.encode()).hexdigest()
    file = kept / f"{key[:16]}.txt"
    if not file.exists():
        env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        words = [sys.executable, *f"benchmarks/{command}".split()]
        done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
        file.write_text(done.stdout)
    return file.read_text()


def as_markdown(printed: str) -> str:
    """Tables as tables, and all else as it was printed."""
    blocks: list[tuple[str, list[str]]] = []
    for line in printed.strip("\n").split("\n"):
        kind = "table" if line.startswith("|") else "heading" if line.startswith("#") else "text"
        if not blocks or blocks[-1][0] != kind:
            blocks.append((kind, []))
        blocks[-1][1].append(line.rstrip())
    return "\n\n".join(filter(None, (block(*b) for b in blocks)))


def block(kind: str, lines: list[str]) -> str:
    """Lines of one kind."""
    text = "\n".join(lines).strip("\n")
    if not text:
        return ""
    if kind == "table":
        return text
    return f"### {text.lstrip('# ')}" if kind == "heading" else f"```text\n{text}\n```"


def provenance(name: str) -> str:
    """Commit and machine of stored results, where the file holds them."""
    data: Any = json.loads((BENCHMARKS / f"{name}.json").read_text())
    data = data if isinstance(data, dict) else {}
    parts = [f"commit {data['commit']}"] if "commit" in data else []
    parts += [str(data[key]) for key in ("machine", "processor") if key in data]
    if "engines" in data:
        parts += [f"{k}: {v}" for k, v in data["engines"].items()]
    return "; ".join(parts) or "not recorded"


def is_told(printed: str, text: str) -> bool:
    """Whether a section has each line of a printed table already."""
    return all(line.startswith(("|---", "\n")) or line in text for line in printed.splitlines())


def results(number: int, text: str, kept: Path) -> Iterator[str]:
    """Pictures of a section and what its commands print."""
    for name in PICTURES.get(number, {}):
        yield f"```{{image}} {name}.png\n:alt: {PICTURES[number][name][0]}\n:width: 640px\n```"
    for command in SHOWN.get(number, []):
        name = re.sub(r".*benchmarks/(\w+)\.json.*|(\w+)\.py.*", r"\1\2", command)
        printed, told = shown(command, kept), f"commit and machine: {provenance(name)}"
        if is_told(printed, text):
            yield f"`{name}.json` has the tables above: `python benchmarks/{command}` ({told})."
        else:
            yield f"`python benchmarks/{command}` prints these results of `{name}.json` ({told}):"
            yield as_markdown(printed)


def page(number: int, title: str, text: str, kept: Path) -> str:
    """The page of one section."""
    more = "\n\n".join(results(number, text, kept))
    more = f"\n\n## Stored results\n\n{more}" if more else ""
    return f"# {title}\n\n{relinked(text).replace('### ', '## ')}{more}\n"


def index(start: str, every: dict[int, tuple[str, str]]) -> str:
    """The page that leads to all others."""
    start = relinked(start).replace("# Benchmarks", "# Figures of trust", 1)
    row = re.compile(r"^\| ([^|]+) \| (.*) \| \[\d+\]\(([^)]+)\) (.*) \|$", re.MULTILINE)
    start = row.sub(r"| [\1](\3) | \2 | \4 |", start)
    start = start.replace("Each line leads to a section", "Each line leads to a page")
    start = start.replace("| section, command |", "| command |")
    stored = sorted(p.stem for p in BENCHMARKS.glob("*.json"))
    rows = "\n".join(f"| `{name}.json` | {provenance(name)} |" for name in stored)
    entries = "\n".join(["where_calibkit_loses", *(slug(title) for title, _ in every.values())])
    return (
        f"{start.strip()}\n\n## Commits and machines\n\nSimulations have fixed seeds, so that "
        "their results do not depend on the machine. What "
        f"the {len(stored)} files of stored results say of it:\n\n"
        f"| file | commit and machine |\n|---|---|\n{rows}\n\n"
        f"```{{toctree}}\n:hidden:\n\n{entries}\n```\n"
    )


def written(path: Path, text: str) -> Path:
    """Write a page if it changed: Sphinx reads again what is new."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def write_pages(app: Sphinx) -> None:
    """Write all pages, and remove those of sections that are gone."""
    folder = Path(app.srcdir) / FOLDER
    kept = folder / "_kept"
    kept.mkdir(parents=True, exist_ok=True)
    start, every = sections()
    with ThreadPoolExecutor(app.parallel) as pool:
        list(pool.map(partial(shown, kept=kept), chain.from_iterable(SHOWN.values())))
    made = {written(folder / "index.md", index(start, every))}
    made.add(written(folder / "where_calibkit_loses.md", losses(BENCHMARKS)))
    for number, (title, text) in every.items():
        made.add(written(folder / f"{slug(title)}.md", page(number, title, text, kept)))
    for old in {*folder.glob("*.md")} - made:
        old.unlink()
    draw(BENCHMARKS, folder)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
