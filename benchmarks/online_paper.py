"""Reference results of Gupta and Ramdas (2023), "Online Platt scaling with calibeating".

"file": published by the authors with their code (``bank_0.npy``, 100 runs). "run": their code, run
again with seeds 0, 1, ... All are means over runs. A standard error is the population standard
deviation divided by the root of the number of runs. The authors' code starts at (0, 0) and with a
pseudo-label in each bin; calibkit starts at (1, 0) and without pseudo-labels, as in the paper.
"""

from __future__ import annotations

from typing import NamedTuple

#: Base model, fixed Platt, refitted Platt, online Platt, tracked, hedged.
METHODS = ("BM", "FPS", "WPS", "OPS", "TOPS", "HOPS")


class Reference(NamedTuple):
    """Calibration error and sharpness at three times, with their standard errors.

    A standard error that the source does not have is None. The tables then use calibkit's, scaled
    to the number of runs of the source.
    """

    source: str
    runs: int
    times: tuple[int, int, int]
    error: dict[str, tuple[float, float, float]]
    error_se: dict[str, tuple[float | None, float | None, float | None]]
    sharpness: dict[str, tuple[float | None, float | None, float | None]]
    sharpness_se: dict[str, tuple[float | None, float | None, float | None]]


def _run(
    runs: int, times: tuple[int, int, int], error: str, error_se: str, sharpness: str
) -> Reference:
    """Results in units of 1e-4 by method, "first/middle/last ..."; s.e. and sharpness: last."""
    ce = [tuple(int(v) / 1e4 for v in cell.split("/")) for cell in error.split()]
    se = [(None, None, int(v) / 1e4) for v in error_se.split()]
    shp = [(None, None, int(v) / 1e4) for v in sharpness.split()]
    return Reference(
        "run",
        runs,
        times,
        dict(zip(METHODS, ce, strict=True)),
        dict(zip(METHODS, se, strict=True)),
        dict(zip(METHODS, shp, strict=True)),
        dict.fromkeys(METHODS, (None, None, None)),
    )


SHORT = (2_000, 3_500, 5_000)
REFERENCES = {
    "bank, iid": Reference(
        "file",
        100,
        (2_000, 6_500, 11_000),
        {
            "BM": (0.0415, 0.0327, 0.0316),
            "FPS": (0.0411, 0.0342, 0.0331),
            "WPS": (0.0401, 0.0320, 0.0306),
            "OPS": (0.0383, 0.0313, 0.0302),
            "TOPS": (0.0229, 0.0097, 0.0069),
            "HOPS": (0.0341, 0.0203, 0.0178),
        },
        {
            "BM": (0.0010, 0.0005, 0.0005),
            "FPS": (0.0011, 0.0007, 0.0007),
            "WPS": (0.0010, 0.0006, 0.0005),
            "OPS": (0.0010, 0.0005, 0.0004),
            "TOPS": (0.0007, 0.0003, 0.0002),
            "HOPS": (0.0011, 0.0006, 0.0005),
        },
        {
            "BM": (0.1391, 0.1385, 0.1381),
            "FPS": (0.1389, 0.1383, 0.1380),
            "WPS": (0.1388, 0.1383, 0.1380),
            "OPS": (0.1381, 0.1379, 0.1377),
            "TOPS": (0.1367, 0.1368, 0.1368),
            "HOPS": (0.1356, 0.1362, 0.1364),
        },
        dict.fromkeys(METHODS, (0.0010, 0.0004, 0.0002)),
    ),
    "bank, by age": _run(
        20,
        (2_000, 6_500, 11_000),
        "1150/1013/943 702/593/517 601/306/259 290/251/272 202/93/155 301/208/211",
        "43 19 10 8 5 13",
        "1113 1111 1100 1131 1127 1125",
    ),
    "credit, iid": _run(
        3,
        (2_000, 15_500, 29_000),
        "355/331/361 281/280/276 288/261/255 244/254/262 156/58/45 278/223/233",
        "30 16 9 10 5 29",
        "795 793 793 793 790 786",
    ),
    "credit, by sex": _run(
        6,
        (2_000, 15_500, 29_000),
        "402/345/373 418/280/291 388/271/285 371/260/266 318/73/55 359/222/239",
        "18 10 11 11 7 17",
        "768 767 766 764 760 757",
    ),
    "label drift to .9": _run(
        10,
        SHORT,
        "1048/1404/1737 550/845/1166 501/611/761 295/246/217 269/206/177 316/243/223",
        "42 57 25 8 10 8",
        "6312 6312 6334 6341 6336 6333",
    ),
    "covariate drift 180": _run(
        10,
        SHORT,
        "2509/1903/1496 1074/939/854 888/720/754 407/403/293 324/371/265 351/405/322",
        "168 177 117 37 20 27",
        "3645 3638 3643 3859 3850 3841",
    ),
    "regression drift 0 (iid)": _run(
        10,
        SHORT,
        "1078/1056/1057 344/231/198 319/204/158 294/184/135 265/149/124 319/231/180",
        "60 19 8 12 7 20",
        "3153 3167 3168 3161 3156 3150",
    ),
    "regression drift 60": _run(
        10,
        SHORT,
        "928/778/673 316/441/615 298/348/434 261/212/193 291/209/164 322/275/230",
        "57 43 28 14 10 19",
        "3101 3105 3113 3113 3109 3100",
    ),
    "regression drift 90": _run(
        10,
        SHORT,
        "746/607/643 491/787/1140 453/589/769 327/248/222 306/221/199 406/275/252",
        "107 60 38 15 11 13",
        "2980 2981 3010 3024 3021 3014",
    ),
}
#: Seconds that the authors' loop took for 10^6 steps, on another machine.
AUTHORS_SECONDS = 34.9


def error_bound(width: float, steps: float) -> float:
    """Theorem 3.1: bound on the expected calibration error of hedging, for any labels."""
    return width / 2 + 2 / (width * steps**0.5)
