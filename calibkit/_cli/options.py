"""Options that several commands have, each declared once."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option

File = Annotated[str, Argument(metavar="FILE", show_default=False)]
Label = Annotated[str, Option(metavar="COL", help="Column of true labels.")]
Prob = Annotated[
    list[str], Option(metavar="COL", help="Column of probabilities; repeat, or a,b,c or 'p_*'.")
]
Weight = Annotated[str | None, Option(metavar="COL", help="Column of weights >= 0.")]
Positive = Annotated[
    str | None, Option(metavar="VALUE", help="Label of the event. Default: the larger.")
]
Classes = Annotated[
    str | None, Option(metavar="A,B,C", help="Class of each --prob column, in order.")
]
Logit = Annotated[bool, Option("--logit", help="The scores are log-odds.")]
Resamples = Annotated[int, Option(min=10, metavar="N", help="Bootstrap draws.")]
Json = Annotated[bool, Option("--json", help="The facts as JSON, at full precision.")]
Output = Annotated[
    str, Option("-o", "--output", metavar="FILE", help="Where to write.", show_default=False)
]
# Of codegen.
Generations = Annotated[str, Argument(metavar="GENERATIONS", show_default=False)]
Results = Annotated[str | None, Argument(metavar="RESULTS", show_default=False)]
Group = Annotated[str, Option(metavar="KEY", help="Problem or repository; or none.")]
Signal = Annotated[list[str] | None, Option(metavar="NAME", help="A measure or column; repeat.")]
Score = Annotated[list[str] | None, Option(metavar="NAME", help="A column that is no probability.")]
Stated = Annotated[list[str] | None, Option(metavar="NAME", help="A text that says it, as '90%'.")]
Task = Annotated[list[str] | None, Option(metavar="KEY", help="Key of the problem; repeat.")]
Sample = Annotated[str | None, Option(metavar="KEY", help="Key of the sample number.")]
Correct = Annotated[str | None, Option(metavar="KEY", help="Key of the verdict.")]
Notion = Annotated[str | None, Option(metavar="NAME", help="Such as 'base tests'.")]
Calibrator = Annotated[
    str, Option(metavar="NAME", help="auto (Platt or beta), or see calibkit methods.")
]
Level = Annotated[float, Option(metavar="X", help="Coverage of the intervals.")]
Seed = Annotated[int, Option(min=0, metavar="N", help="Seed of folds and draws.")]
