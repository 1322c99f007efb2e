"""Transfer between tasks: matrix, repairs, and how many local labels replace a borrowed map."""

import numpy as np
import pytest
from scipy.optimize import minimize

from calibkit import PlattCalibrator, brier_skill_score
from calibkit._numerics.shrinkage import FIXED, fit_shrunk
from calibkit.decisions import Transfer, cross_val_calibrate, local_labels_needed, transfer_matrix


def tasks(seed=0, n=600, shifts=(0.0, -2.0, 1.0), slopes=(1.0, 1.0, 1.0)):
    """One signal of the same kind; the tasks differ in success rate, and in slope if asked."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n * len(shifts))
    task = np.repeat([f"task {i}" for i in range(len(shifts))], n)
    eta = np.repeat(slopes, n) * z + np.repeat(shifts, n)
    return 1 / (1 + np.exp(-z)), (rng.random(len(z)) < 1 / (1 + np.exp(-eta))).astype(int), task


def test_matrix_against_a_loop():
    signal, correct, task = tasks()
    found = transfer_matrix(signal, correct, task, n_repeats=1)
    names = np.unique(task)
    assert isinstance(found, Transfer)
    assert found.names == [*names, "all others"]
    assert found.skill.shape == (4, 3)
    for j, target in enumerate(names):
        at = task == target
        for i, source in enumerate(names):
            if i != j:
                model = PlattCalibrator().fit(signal[task == source], correct[task == source])
                p = model.predict_proba(signal[at])[:, 1]
                assert found.skill[i, j] == pytest.approx(brier_skill_score(correct[at], p))
        rest = PlattCalibrator().fit(signal[~at], correct[~at])
        p = rest.predict_proba(signal[at])[:, 1]
        assert found.skill[-1, j] == pytest.approx(brier_skill_score(correct[at], p))
    np.testing.assert_allclose(found.success_rate, [correct[task == t].mean() for t in names])


def test_diagonal_is_out_of_fold():
    signal, correct, task = tasks()
    found = transfer_matrix(signal, correct, task, n_repeats=1, random_state=5)
    at = task == "task 1"
    seed = int(np.random.default_rng(5).integers(2**31))
    p = cross_val_calibrate("platt", signal[at], correct[at], random_state=seed)
    expected = brier_skill_score(correct[at], p)
    for matrix in (found.skill, found.intercept, found.shrinkage):
        assert matrix[1, 1] == pytest.approx(expected)


@pytest.mark.parametrize("l2", [0.3, 1.0, 30.0, FIXED])
@pytest.mark.parametrize("kind", ["mixed", "all wrong", "separable"])
def test_repairs_find_the_minimum(l2, kind):
    rng = np.random.default_rng(1)
    z = rng.normal(size=(4, 40)) * np.array([[0.5], [1], [5], [20]]) + 1
    y = {
        "mixed": (rng.random(40) < 0.3).astype(int),
        "all wrong": np.zeros(40, dtype=int),
        "separable": (z[2] > 0).astype(int),
    }[kind]
    slope, intercept = fit_shrunk(z, y, l2)

    def loss(t, row):
        eta = t[0] * z[row] + t[1]
        pull = 0.0 if np.isinf(l2) else 0.5 * l2 * (t[0] - 1) ** 2
        return np.sum(np.logaddexp(0, eta) - y * eta) + pull + 0.25 * t[1] ** 2

    for row in range(4):
        if np.isinf(l2):
            best = minimize(lambda b, r=row: loss((1.0, b[0]), r), [0.0], tol=1e-12)
            assert slope[row] == 1.0
        else:
            start = np.array([1.0, 0.0])
            best = minimize(loss, start, args=(row,), method="Nelder-Mead", tol=1e-12)
        assert loss((slope[row], intercept[row]), row) <= best.fun + 1e-7


def test_repairs_mend_what_was_wrong():
    """Success rates that differ: the intercept is enough. Slopes that differ too: it is not."""
    found = transfer_matrix(*tasks(n=2000), n_local=100)
    off = ~np.eye(4, 3, dtype=bool)
    best = found.skill.diagonal()
    assert found.skill[1, 2] < 0 < found.intercept[1, 2]
    assert (found.intercept[off] > np.broadcast_to(best, (4, 3))[off] - 0.03).all()
    steep = transfer_matrix(*tasks(n=2000, shifts=(0, 0, 0), slopes=(1, 4, 0.2)), n_local=200)
    assert (steep.shrinkage[off] > steep.intercept[off] - 0.01).all()
    assert steep.shrinkage[1, 2] > steep.intercept[1, 2] + 0.05


def test_local_labels_come_in_whole_groups_and_judge_nothing():
    signal, correct, task = tasks(n=300)
    group = np.repeat(np.arange(90), 10)
    from calibkit.decisions._transfer import PartitionedOutputs

    part = PartitionedOutputs(signal, correct, task, group, "platt", "probability").rows[0]
    local, rest = part.draw(45, np.random.default_rng(0))
    assert len(local) == 50
    assert len(local) + len(rest) == 300
    assert not set(part.groups[local]) & set(part.groups[rest])
    found = transfer_matrix(signal, correct, task, groups=group, n_local=45, n_repeats=3)
    assert np.isfinite(found.intercept).all()


@pytest.mark.long
def test_labels_needed_depend_on_how_far_the_borrowed_map_is_off():
    signal, correct, task = tasks(n=1000, shifts=(0, 0, 0, 0, -2.5), slopes=(1,) * 5)
    table = local_labels_needed(signal, correct, task, n_repeats=30)
    said = dict(note.split(": ", 1) for note in table.notes)

    def needed(name):  # "... from 50 labels on", or "... up to 700 labels"
        number = int(said[name].split(" labels")[0].split()[-1])
        return number if "from" in said[name] else 10 * number

    assert needed("task 4") <= 20 < needed("task 0")
    rows = [r for r in table if r["judged on"] == "task 4"]
    assert [r["labels"] for r in rows][:3] == [10, 20, 30]
    assert rows[-1]["local"] > rows[0]["local"]
    assert max(r["labels"] for r in rows) * 2 <= 1000


def test_printing_and_export():
    found = transfer_matrix(*tasks(), n_repeats=2)
    text = str(found)
    assert "fitted on" in text
    assert "judged on" in text
    assert "all others" in text
    frame = found.to_table("shrinkage").to_pandas()
    assert frame.shape == (4, 4)
    assert frame["task 1"][0] == found.shrinkage[0, 1]
    assert "best other" in found.summary().to_markdown()
    with pytest.raises(ValueError, match="repair='slope'; expected one of 'none'"):
        found.to_table("slope")


def test_missing_signals_other_scales_and_calibrators():
    signal, correct, task = tasks()
    some = signal.copy()
    some[::3] = np.nan
    assert transfer_matrix(some, correct, task, n_repeats=1).n.tolist() == [400, 400, 400]
    # Beyond the scores of a fit probabilities are clipped and log-odds are not.
    signal = signal.clip(0.05, 0.95)
    z = np.log(signal / (1 - signal))
    a = transfer_matrix(z, correct, task, n_repeats=1, scale="logit")
    np.testing.assert_allclose(
        a.skill, transfer_matrix(signal, correct, task, n_repeats=1).skill, atol=1e-7
    )
    assert np.isfinite(
        transfer_matrix(signal, correct, task, calibrator="isotonic", n_repeats=1).skill
    ).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": ["a"] * 1800}, "by holds 1 value"),
        ({"by": None}, "by has shape"),
        ({"n_local": 400}, "n_local=400 and task 0 has 600 outputs; expected at least twice"),
        ({"correct": np.repeat([0, 1, 1], 600)}, "all 600 outputs of task 0 are wrong"),
        ({"shrinkage": -1}, "shrinkage=-1; expected a number"),
        ({"confidence": np.full(1800, 2.0)}, "confidence is 2 at output 0; expected prob"),
    ],
)
def test_bad_input_is_named(change, message):
    signal, correct, task = tasks()
    given = {"confidence": signal, "correct": correct, "by": task, **change}
    with pytest.raises(ValueError, match=message):
        transfer_matrix(**given)


def test_draws_without_anything_to_judge_do_not_count():
    """Group 0 holds most of each part: a draw that takes it last leaves nothing."""
    signal, correct, task = tasks(n=300)
    group = np.where(np.arange(900) % 300 < 270, -1, np.arange(900) % 300)
    found = transfer_matrix(signal, correct, task, groups=group, n_local=31, n_repeats=20)
    assert np.isfinite(found.intercept).all()
    whole = local_labels_needed(signal, correct, task, groups=task, n_repeats=2)
    assert len(whole) == 0
    assert whole.notes[0] == "task 0: too few outputs or groups to compare calibrators"


def test_parts_may_be_tuples_and_not_called_as_the_tables_columns():
    signal, correct, task = tasks()
    by = np.empty(len(task), dtype=object)
    by[:] = [("repo", t) for t in task]
    found = transfer_matrix(signal, correct, by, n_repeats=1)
    np.testing.assert_array_equal(
        found.skill, transfer_matrix(signal, correct, task, n_repeats=1).skill
    )
    with pytest.raises(ValueError, match="by holds 'all others', which is a name in the result"):
        transfer_matrix(signal, correct, np.where(task == "task 1", "all others", task))
