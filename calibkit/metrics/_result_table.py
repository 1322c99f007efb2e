"""A table of results: printed, and exported to pandas, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from .._core.optional import require
from .._core.printed import p_text, printable
from ._estimate import Estimate

#: Characters that are commands in LaTeX.
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "_%&#${}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
)


@dataclass(frozen=True)
class ResultTable:
    """Rows of results with notes; prints as a table.

    Attributes
    ----------
    rows : tuple of dict
        One dict per row, all with the same keys. Values are texts, numbers, or
        :class:`~calibkit.Estimate`, a number with its interval.
    notes : tuple of str
        Sentences that are printed below the table.
    caption : str
        How the numbers were computed.
    brief : tuple of str
        Columns that are printed without their intervals, to save space; :meth:`flat` contains the
        intervals.

    Examples
    --------
    >>> from calibkit.decisions import ResultTable
    >>> rows = ({"signal": "agreement", "skill": 0.21}, {"signal": "p_true", "skill": 0.12})
    >>> print(ResultTable(rows, caption="Brier skill score"))
    signal     skill
    agreement  0.210
    p_true     0.120
    Brier skill score
    """

    rows: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()
    caption: str = ""
    brief: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self.rows[i]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.rows[0]) if self.rows else []

    def __str__(self) -> str:
        lines = [self._heads(), *self.cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        said = [*self.notes, *self.caption.splitlines()]
        return "\n".join([*text, *map(printable, said)])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(c)}</th>" for c in self._heads())
        cells = ("".join(f"<td>{escape(v)}</td>" for v in line) for line in self.cells())
        body = "".join(f"<tr>{c}</tr>" for c in cells)
        words = "".join(f"<p>{escape(n)}</p>" for n in (*self.notes, self.caption) if n)
        return f"<table><tr>{head}</tr>{body}</table>{words}"

    def flat(self) -> list[dict[str, Any]]:
        """Return rows of plain values; an estimate becomes three columns.

        Returns
        -------
        rows : list of dict
            ``x``, ``x_low`` and ``x_high`` for every column x that contains an estimate.
        """
        spread = {k for r in self.rows for k, v in r.items() if isinstance(v, Estimate)}
        out = []
        for row in self.rows:
            flat: dict[str, Any] = {}
            for key, v in row.items():
                known = isinstance(v, Estimate)
                flat[key] = v.value if known else v
                if key in spread:
                    flat[f"{key}_low"] = v.low if known else np.nan
                    flat[f"{key}_high"] = v.high if known else np.nan
            out.append(flat)
        return out

    def to_pandas(self) -> Any:
        """Return the rows at full precision as a data frame; needs pandas.

        Returns
        -------
        frame : pandas.DataFrame
            The rows of :meth:`flat`.
        """
        return require("pandas").DataFrame(self.flat())

    def to_markdown(self) -> str:
        """Return the printed table in Markdown.

        Returns
        -------
        text : str
            The table without notes and caption.
        """
        rule = [":---" if self._is_text(c) else "---:" for c in self.columns]
        lines = [self._heads(), rule, *self.cells()]
        return "\n".join(
            f"| {' | '.join(c.replace('|', chr(92) + '|') for c in x)} |" for x in lines
        )

    def to_latex(self) -> str:
        """Return the printed table in LaTeX; it needs the LaTeX package booktabs.

        Returns
        -------
        text : str
            A ``tabular`` without notes and caption.
        """
        lines = [" & ".join(c.translate(_LATEX) for c in self._heads()) + r" \\", r"\midrule"]
        for line in self.cells():
            lines.append(" & ".join(c.translate(_LATEX) for c in line) + r" \\")
        kinds = "".join("l" if self._is_text(c) else "r" for c in self.columns)
        head = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
        return "\n".join([*head, *lines, r"\bottomrule", r"\end{tabular}"])

    def cells(self) -> list[list[str]]:
        """Return the cells as they are printed.

        Returns
        -------
        lines : list of list of str
            One list of cells per row, in the order of ``columns``.
        """
        return [[_cell(k, v, k not in self.brief) for k, v in row.items()] for row in self.rows]

    def _heads(self) -> list[str]:
        return [_shown(str(name)) for name in self.columns]

    def _is_text(self, column: str) -> bool:
        return any(isinstance(row[column], str) for row in self.rows)


def _cell(column: str, value: Any, interval: bool) -> str:
    if column in ("p_value", "p_adjusted") and not np.isnan(value):
        return p_text(value)
    return _shown(value, interval)


def _shown(value: Any, interval: bool = True) -> str:
    """A cell as it is printed."""
    if isinstance(value, Estimate):
        if not interval or np.isnan(value.low):
            return _shown(value.value)
        return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
    if isinstance(value, (bool, np.bool_, str)):
        return printable(" ".join(str(value).splitlines()))  # one line per row
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    return "-" if value is None or np.isnan(value) else f"{value:.3f}"
