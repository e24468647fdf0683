"""The options of the commands: one name and one line of help for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softunit.cli.choices import (
    ClassWeightName,
    FidelityName,
    FormatName,
    ImputeName,
    OuterName,
    OutFormatName,
    ProblemName,
    UnitName,
    UnknownName,
)

# The panels of `fit --help`, in their order.
ARGUMENTS, MAIN, TABLE = "Arguments", "Options", "The table"
CLASSIFIER, CHOICE, ORDERED = "Classes and choices", "Choices", "Ordered classes"
ERRORS, REGRESSIONS, SOME = "Standard errors", "Regressions", "Some regressions"
RUN, FILES = "The run", "Files"

Data = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA",
        help="CSV, TSV, Parquet, Arrow, NPZ or svmlight: a file, or several of one format, by name,"
        " folder, glob in quotes or URL.",
        rich_help_panel=ARGUMENTS,
    ),
]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model that softunit fit --out wrote.")
]

Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="COL",
        help="Column to predict; y if the file is NPZ or svmlight.",
        rich_help_panel=MAIN,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="COL",
        help="Row weights of the loss (not two-layer, leverage).",
        rich_help_panel=TABLE,
    ),
]
Offset = Annotated[
    str | None,
    typer.Option(
        "--offset",
        metavar="COL",
        help="Added to the scores (not of several classes).",
        rich_help_panel=CLASSIFIER,
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        "--drop", metavar="COL", help="Leave a column out; repeatable.", rich_help_panel=TABLE
    ),
]
Impute = Annotated[
    ImputeName | None,
    typer.Option(
        "--impute",
        help="Fill missing values: mean, median or most-frequent. Else they are refused.",
        metavar="HOW",
        rich_help_panel=TABLE,
    ),
]
Unknown = Annotated[
    UnknownName,
    typer.Option(
        "--unknown",
        help="Text never seen, at prediction: error, or other (none of the levels).",
        metavar="HOW",
        rich_help_panel=TABLE,
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
    typer.Option(
        "--format",
        help="Format of DATA, if its extension does not say.",
        metavar="NAME",
        rich_help_panel=TABLE,
    ),
]

Problem = Annotated[
    ProblemName,
    typer.Option(
        "--problem",
        help="One of the problems above.",
        metavar="NAME",
        rich_help_panel=MAIN,
    ),
]
InverseRidge = Annotated[
    float | None,
    typer.Option(
        "--C",
        metavar="NUMBER",
        help="Inverse penalty; inf for none. (default 1 for classes, inf for choices and ordered"
        " classes)",
        rich_help_panel=CLASSIFIER,
    ),
]
ClassWeight = Annotated[
    ClassWeightName | None,
    typer.Option(
        "--class-weight",
        help="balanced: all classes weigh the same.",
        metavar="HOW",
        rich_help_panel=CLASSIFIER,
    ),
]
NoIntercept = Annotated[
    bool,
    typer.Option(
        "--no-intercept",
        help="Without intercepts, or constants of alternatives.",
        rich_help_panel=CLASSIFIER,
    ),
]

RidgeStrength = Annotated[
    float | None,
    typer.Option(
        "--ridge",
        metavar="NUMBER",
        help="Strength of a ridge on x (not leverage). (default 0)",
        rich_help_panel=REGRESSIONS,
    ),
]
ScoreWeight = Annotated[
    float | None,
    typer.Option(
        "--w",
        metavar="NUMBER",
        help="The w of 1/2 |w A x|², for all rows. (default 0)",
        rich_help_panel=REGRESSIONS,
    ),
]
ScoreWeights = Annotated[
    str | None,
    typer.Option(
        "--weights-column",
        metavar="COL",
        help="The same w, one for each row.",
        rich_help_panel=REGRESSIONS,
    ),
]
Fidelity = Annotated[
    FidelityName | None,
    typer.Option(
        "--fidelity",
        metavar="HOW",
        help="paper: the paper's algorithm as printed. (default auto)",
        rich_help_panel=REGRESSIONS,
    ),
]
Restarts = Annotated[
    int | None,
    typer.Option(
        "--restarts",
        metavar="N",
        help="Random starts: cosh, rescaled, two-layer, leverage.",
        rich_help_panel=REGRESSIONS,
    ),
]
Normalise = Annotated[
    bool,
    typer.Option(
        "--normalise",
        help="softmax: divide the target by its sum.",
        rich_help_panel=SOME,
    ),
]
Unit = Annotated[
    UnitName | None,
    typer.Option(
        "--unit",
        metavar="NAME",
        help="rescaled: exp, cosh or sinh. (default exp)",
        rich_help_panel=SOME,
    ),
]
NoGauge = Annotated[
    bool,
    typer.Option(
        "--no-gauge",
        help="rescaled: the paper's objective, which lets the scale of u go.",
        rich_help_panel=SOME,
    ),
]
Matrix = Annotated[
    Path | None,
    typer.Option(
        "--matrix",
        metavar="FILE",
        help="two-layer: a table of the matrix and the target, a row for each output, a column for"
        " each row of DATA.",
        rich_help_panel=SOME,
    ),
]
MatrixNow = Annotated[
    Path | None,
    typer.Option(
        "--matrix", metavar="FILE", help="two-layer: the table of the matrix and the target."
    ),
]
Outer = Annotated[
    OuterName | None,
    typer.Option(
        "--outer",
        metavar="NAME",
        help="two-layer: identity, relu, softplus, tanh, sigmoid, exp, cosh or sinh. (default"
        " tanh)",
        rich_help_panel=SOME,
    ),
]
Shift = Annotated[
    str | None,
    typer.Option(
        "--shift",
        metavar="COL",
        help="leverage: the b of diag(1/(A x - b)) A.",
        rich_help_panel=SOME,
    ),
]
Interior = Annotated[
    bool,
    typer.Option(
        "--interior",
        help="leverage: all entries of A x - b have one sign.",
        rich_help_panel=SOME,
    ),
]

Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tol",
        metavar="NUMBER",
        help="Largest gradient entry to stop at. (default 1e-6; choices and ordered classes 1e-8,"
        " regressions 1e-10)",
        rich_help_panel=RUN,
    ),
]
SolverName = Annotated[
    str,
    typer.Option(
        "--solver",
        metavar="NAME",
        help="newton, sketched-newton, newton-cg, lbfgs, ... (not leverage)",
        rich_help_panel=RUN,
    ),
]
MaxIter = Annotated[
    int,
    typer.Option("--max-iter", metavar="N", help="Most iterations.", rich_help_panel=RUN),
]

ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report", metavar="FILE", help="Write an HTML page here.", rich_help_panel=FILES
    ),
]
ModelFile = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="Write the model here (safetensors).", rich_help_panel=FILES
    ),
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
    typer.Option("--json", metavar="FILE", help="Write all figures here.", rich_help_panel=FILES),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print errors and advice only.", rich_help_panel=FILES),
]
Folder = Annotated[
    Path,
    typer.Option("--folder", metavar="DIR", help="Where the files go."),
]
