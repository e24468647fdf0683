"""The options of the commands: one name and one line of help for each."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class OutFormatName(StrEnum):
    """Formats of tables that are written."""

    arrow = "arrow"
    csv = "csv"
    feather = "feather"
    npz = "npz"
    parquet = "parquet"
    tsv = "tsv"


class ProblemName(StrEnum):
    """What is fitted."""

    classifier = "classifier"
    softmax = "softmax"


class ImputeName(StrEnum):
    """What stands in for missing values."""

    mean = "mean"
    median = "median"
    most_frequent = "most-frequent"


class UnknownName(StrEnum):
    """What becomes of a level never seen."""

    error = "error"
    other = "other"


class ClassWeightName(StrEnum):
    """Weights of the classes."""

    balanced = "balanced"


class FormatName(StrEnum):
    """Formats of tables."""

    arrow = "arrow"
    csv = "csv"
    feather = "feather"
    npz = "npz"
    parquet = "parquet"
    svmlight = "svmlight"
    tsv = "tsv"


Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="A CSV, TSV, Parquet, Arrow, NPZ or svmlight file."),
]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model that softunit fit --out wrote.")
]

Target = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="COL", help="Column to predict; y if DATA is NPZ or svmlight."
    ),
]
Weights = Annotated[
    str | None,
    typer.Option("--weights", metavar="COL", help="Row weights."),
]
Offset = Annotated[
    str | None,
    typer.Option("--offset", metavar="COL", help="Added to the scores (two classes)."),
]
Drop = Annotated[
    list[str] | None,
    typer.Option("--drop", metavar="COL", help="Leave a column out; repeatable."),
]
Impute = Annotated[
    ImputeName | None,
    typer.Option(
        "--impute",
        help="Fill missing values: mean, median or most-frequent. Else they are refused.",
        metavar="HOW",
    ),
]
Unknown = Annotated[
    UnknownName,
    typer.Option(
        "--unknown",
        help="Text never seen, at prediction: error, or other (none of the levels).",
        metavar="HOW",
    ),
]
UnknownNow = Annotated[
    UnknownName | None,
    typer.Option(
        "--unknown",
        help="Text never seen: error, or other (none of the levels). (default: as at the fit)",
        metavar="HOW",
    ),
]
OutFormat = Annotated[
    OutFormatName | None,
    typer.Option(
        "--out-format",
        help="Format of --out, if its extension does not say: csv, tsv, parquet, arrow, npz.",
        metavar="NAME",
    ),
]
Format = Annotated[
    FormatName | None,
    typer.Option("--format", help="Format of DATA, if its extension does not say.", metavar="NAME"),
]

Problem = Annotated[
    ProblemName,
    typer.Option(
        "--problem",
        help="classifier: the class of each row. softmax: shares, one softmax over all rows.",
        metavar="NAME",
    ),
]
InverseRidge = Annotated[
    float | None,
    typer.Option(
        "--C", metavar="NUMBER", help="classifier: inverse ridge; inf for none. (default 1)"
    ),
]
ClassWeight = Annotated[
    ClassWeightName | None,
    typer.Option(
        "--class-weight",
        help="classifier: balanced, so that all classes weigh the same.",
        metavar="HOW",
    ),
]
NoIntercept = Annotated[
    bool,
    typer.Option("--no-intercept", help="classifier: without intercepts."),
]
RidgeStrength = Annotated[
    float | None,
    typer.Option(
        "--ridge", metavar="NUMBER", help="softmax: strength of a ridge on x. (default 0)"
    ),
]
ScoreWeight = Annotated[
    float | None,
    typer.Option("--w", metavar="NUMBER", help="softmax: the w of 1/2 |w A x|². (default 0)"),
]

Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tol",
        metavar="NUMBER",
        help="Largest gradient entry to stop at. (default 1e-6; softmax: 1e-10)",
    ),
]
SolverName = Annotated[
    str,
    typer.Option("--solver", metavar="NAME", help="newton, sketched-newton, newton-cg, lbfgs, ..."),
]
MaxIter = Annotated[
    int,
    typer.Option("--max-iter", metavar="N", help="Most iterations."),
]

ReportFile = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Write an HTML page here."),
]
ModelFile = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write the model here (safetensors)."),
]
TableFile = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write the predictions here: .csv, .tsv, .parquet, .arrow, .feather or .npz.",
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write all figures here."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print errors and advice only."),
]
Folder = Annotated[
    Path,
    typer.Option("--folder", metavar="DIR", help="Where the files go."),
]
