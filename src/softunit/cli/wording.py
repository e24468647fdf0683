"""Sentences of the library in the words of the command line."""

from __future__ import annotations

OPTIONS = {
    "`C`": "--C",
    "`class_weight`": "--class-weight",
    "`impute`": "--impute",
    "`max_iter`": "--max-iter",
    "`ridge`": "--ridge",
    "`sample_weight`": "--weights",
    "`solver`": "--solver",
    "`tol`": "--tol",
    "`unknown`": "--unknown",
    "`w`": "--w",
    "a finite C (ridge)": "a finite --C (ridge)",
    ' with unknown="other" (--unknown other)': " with --unknown other",
    ' say the format: format="csv" (--out-format csv)': " give --out-format, such as csv",
    ' (impute="mean" and so on in Python)': "",
    "scale the columns of A": "scale the columns",
    "the target b ": "the target ",
    "Divide b by": "Divide it by",
    "or add ridge": "or add ridge (a smaller --C, or --ridge)",
    "or say its format": "or say its --format",
}
"""What the library says, and what the option is called here."""

_CLASSES = "number of unique classes is greater than 50%"


def as_options(text: str) -> str:
    """Return a sentence with the options of the command for the parameters of the library.

    Parameters
    ----------
    text : str
    """
    for words, option in OPTIONS.items():
        text = text.replace(words, option)
    return text


def is_about_classes(text: str) -> bool:
    """Whether a warning is scikit-learn's about almost as many classes as rows.

    Parameters
    ----------
    text : str
    """
    return _CLASSES in text


def note_of(text: str) -> str:
    """Return a warning as a note.

    Parameters
    ----------
    text : str
    """
    if is_about_classes(text):
        return (
            "More than half as many classes as rows: if the target is a quantity, not a class, use"
            " --problem softmax or group its values first."
        )
    return as_options(text)
