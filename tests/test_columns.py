"""Columns that are called after the classes are read by their names, wherever they stand."""

import numpy as np
import pytest

from calibkit._core.columns import match_columns


@pytest.mark.parametrize(
    ("names", "classes", "order"),
    [
        (["c", "a", "b"], ["a", "b", "c"], [1, 2, 0]),
        (["1", "0"], [0, 1], [1, 0]),
        ([1, 0], ["0", "1"], [1, 0]),
        (["1.0", "0.0"], [0, 1], [1, 0]),
        (["1", "0"], [0.0, 1.0], [1, 0]),
        (["1", "-1"], [-1, 1], [1, 0]),
        (["true", "false"], [False, True], [1, 0]),
        (["1", "0"], [False, True], [1, 0]),
        (["YES ", "NO"], ["No", "Yes"], [1, 0]),
        (["p_yes", "p_no"], ["no", "yes"], [1, 0]),
        (["prob yes (new)", "prob no (new)"], ["no", "yes"], [1, 0]),
        (["aa", "a"], ["a", "aa"], [1, 0]),
        (["a", "A"], ["A", "a"], [1, 0]),
        (["x", "y"], ["no", "yes"], None),
        (["p0", "p1"], [1, 2], None),
        (range(3), [1, 2, 3], None),
        (["column_0", "column_1"], [1, 2], None),
        (["yes", "no", "id"], ["no", "yes"], None),  # as many columns as classes is asked first
        ([f"p_{i}" for i in range(5000)][::-1], range(5000), list(range(5000))[::-1]),
    ],
)
def test_columns_are_matched_by_their_names(names, classes, order):
    assert match_columns(names, classes) == order
    assert match_columns(np.array(list(names), dtype=object), np.array(list(classes))) == order


@pytest.mark.parametrize(
    ("names", "classes", "shown"),
    [
        (["yes", "maybe"], ["no", "yes"], r"\('yes'\) and others that are not \('maybe'\)"),
        (["p_a", "p_b", "x"], ["a", "b", "c"], r"\('p_a', 'p_b'\) and others that are not \('x'\)"),
        (["a_new", "b", "x"], ["a", "b", "c"], r"\('a_new', 'b'\) and others .* \('x'\)"),
        (["prob_0", "prob_1", "prob_2"], [1, 2, 3], r"\('prob_1', 'prob_2'\) .* \('prob_0'\)"),
        (["yes", "yes"], ["no", "yes"], r"\('yes', 'yes'\), with"),
    ],
)
def test_columns_that_match_in_part_are_refused_by_name(names, classes, shown):
    with pytest.raises(ValueError, match=f"^here has columns called after classes {shown}.* Do so"):
        match_columns(names, classes, where="here", mend="Do so.")
