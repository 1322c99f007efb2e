"""What exports return, and scores with the results that they must give."""

from __future__ import annotations

from typing import Any

from ._program import Program


class Exported(str):
    """The text of an export, with what :func:`check_export` needs to know about it.

    Attributes
    ----------
    language : str
        The language, or the dialect of SQL.
    facts : dict
        Class, version, scale, class labels and names of the inputs.
    results : dict of str to str
        The kind of each result: "real", "whole" or "truth".
    """

    language: str
    facts: dict[str, Any]
    results: dict[str, str]

    def __new__(cls, text: str, language: str, program: Program) -> Exported:
        made = super().__new__(cls, text)
        made.language, made.facts = language, program.facts
        made.results = {name: node.kind for name, node in program.results.items()}
        return made
