"""The options of classes, choices and ordered classes: one name and one line of help for each."""

from __future__ import annotations

from typing import Annotated

import typer

from softunit.cli.choices import ErrorName
from softunit.cli.options import CHOICE, CLASSIFIER, ERRORS, ORDERED

Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="NAME",
        help="Class or alternative that the others are told apart from. (default the first)",
        rich_help_panel=CLASSIFIER,
    ),
]
ChoiceSets = Annotated[
    str | None,
    typer.Option(
        "--groups",
        metavar="COL",
        help="Which rows are one choice set; the target says which of them was chosen.",
        rich_help_panel=CHOICE,
    ),
]
Alternatives = Annotated[
    str | None,
    typer.Option(
        "--alternatives",
        metavar="COL",
        help="Names the alternative of each row. With --wide: their names, with commas.",
        rich_help_panel=CHOICE,
    ),
]
Interact = Annotated[
    list[str] | None,
    typer.Option(
        "--interact",
        metavar="COL",
        help="A coefficient for each alternative; repeatable. With --wide columns of the set have"
        " them anyway.",
        rich_help_panel=CHOICE,
    ),
]
Formula = Annotated[
    str | None,
    typer.Option(
        "--formula",
        metavar="TEXT",
        help='What makes the columns, as "chosen ~ cost + C(mode):income" (needs formulaic).',
        rich_help_panel=CHOICE,
    ),
]
Wide = Annotated[
    bool,
    typer.Option(
        "--wide",
        help="Each row is a whole set, with columns such as time_car and time_train; the target"
        " names the one chosen.",
        rich_help_panel=CHOICE,
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        "--pattern",
        metavar="TEXT",
        help="wide: how these columns are called. (default {name}_{alternative})",
        rich_help_panel=CHOICE,
    ),
]
Availability = Annotated[
    str | None,
    typer.Option(
        "--availability",
        metavar="NAME",
        help="wide: columns NAME_car, ... of 1 and 0 say what a set offers. (default: where cells"
        " are not empty)",
        rich_help_panel=CHOICE,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse sets without a choice, or of one alternative, which are left out else.",
        rich_help_panel=CHOICE,
    ),
]
Price = Annotated[
    str | None,
    typer.Option(
        "--price",
        metavar="COL",
        help="Tables of willingness to pay in units of this column, and of elasticities by it.",
        rich_help_panel=CHOICE,
    ),
]
Order = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="NAMES",
        help="Classes from the lowest, with commas. (default sorted)",
        rich_help_panel=ORDERED,
    ),
]
Presto = Annotated[
    float | None,
    typer.Option(
        "--presto",
        metavar="NUMBER",
        help="Weights of their own for each threshold, with this strength of l1 on their"
        " differences.",
        rich_help_panel=ORDERED,
    ),
]
Errors = Annotated[
    ErrorName | None,
    typer.Option(
        "--errors",
        metavar="KIND",
        help="classical, robust, HC1 or clustered. (default classical; none for a classifier)",
        rich_help_panel=ERRORS,
    ),
]
ErrorClusters = Annotated[
    str | None,
    typer.Option(
        "--clusters",
        metavar="COL",
        help="Which rows belong together, for clustered errors.",
        rich_help_panel=ERRORS,
    ),
]
L1Ratio = Annotated[
    float | None,
    typer.Option(
        "--l1-ratio",
        metavar="SHARE",
        help="classifier: share of l1 in the penalty, 0 to 1; coefficients become exactly zero.",
        rich_help_panel=CLASSIFIER,
    ),
]
Grouped = Annotated[
    bool,
    typer.Option(
        "--grouped",
        help="classifier: l1 keeps or drops a column for all classes at once.",
        rich_help_panel=CLASSIFIER,
    ),
]
