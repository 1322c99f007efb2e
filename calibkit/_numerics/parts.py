"""Rows in parts that are elsewhere, such as the partitions of Dask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .._typing import FloatArray


class Parts(Protocol):
    """Checked rows; each function is called with those of one part and the given arguments."""

    n: int
    class_weight: FloatArray  # sum of the weights of each class
    row_count: float  # how many rows the weights stand for

    @property
    def ends(self) -> Any:
        """The first row, and for two classes the smallest and largest scores of each class."""

    def each(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """What it returns for the rows of each part, the place of the first, and the arguments."""

    def total(self, function: Callable[..., Any], *args: Any) -> Any:
        """Sums over all parts of the tuple of numbers or arrays that it returns."""

    def thin(self, strides: list[int]) -> list[Any]:
        """Every so-many-th of all rows, for each number, in memory."""
