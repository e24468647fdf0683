"""Sentences of the library in the words of the command line."""

from __future__ import annotations

import dataclasses
import re

from softunit.certificate import Certificate

OPTIONS = {
    "set `normalise=True`: b is then": "give --normalise: the target is then",
    "gauge='normaliser' holds": "Leave --no-gauge out: that holds",
    "give gauge=None; got 'normaliser'": "give --no-gauge as well",
    "`fidelity` = 'paper'": "--fidelity paper",
    "outer='softplus'": "--outer softplus",
    "Give a prior `x0`, or `signs`.": "Give --interior if A x - b has one sign; the library takes"
    " other signs too, or a prior x.",
    "left at a prior `x0`, or at 0": "left at 0",
    ", or is the nearest on its ray to a prior `x0`": "",
    " A prior `x0` near x would help.": " A prior x, which can be given in Python, would help.",
    "Give another `x0`.": "Leave --fidelity paper out, or move the shift.",
    "`C`": "--C",
    "`order`": "--order",
    "`presto`": "--presto",
    ", or an ordered categorical column.": ".",
    "C=inf": "--C inf",
    "kind='robust'": "--errors robust",
    "`strict`": "--strict",
    "Drop them, or pass strict=False.": "Drop them, or leave --strict out.",
    "`checkpoint`": "--checkpoint",
    "`class_weight`": "--class-weight",
    "`every`": "--every",
    "`impute`": "--impute",
    "`matrix`": "--matrix",
    "use the sinh unit": "use --problem sinh",
    "`max_iter`": "--max-iter",
    "`memory`": "--memory",
    "`normalise`": "--normalise",
    "`restarts`": "--restarts",
    "`resume`": "--resume",
    "resume=True": "--resume",
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

# Rows count from 0 in the library, and from 1 in what is said of tables.
_ROWS = re.compile(r"(?<!data )\brow(s?) (\d+(?:, \d+)*)(?!\w|\.\d)")
# Entries with a number are those of the target of two layers, which has one for each output.
_ENTRY = re.compile(r"\bentry (\d+)(?!\w|\.\d)")

_CLASSES = "number of unique classes is greater than 50%"


def as_options(text: str) -> str:
    """Return a sentence with the options of the command for the parameters of the library.

    Parameters
    ----------
    text : str
    """
    for words, option in OPTIONS.items():
        text = text.replace(words, option)
    return _ENTRY.sub(lambda found: f"output {int(found[1]) + 1}", _ROWS.sub(_data_rows, text))


def _data_rows(found: re.Match[str]) -> str:
    plural, rows = found.groups()
    return f"data row{plural} " + ", ".join(str(int(row) + 1) for row in rows.split(", "))


def certificate_as_options(certificate: Certificate) -> Certificate:
    """Return a certificate whose sentences are in the words of the command line.

    Parameters
    ----------
    certificate : Certificate
    """
    told = tuple(
        dataclasses.replace(statement, text=as_options(statement.text))
        for statement in certificate.statements
    )
    return dataclasses.replace(certificate, statements=told)


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
            " --problem exp, softmax or another regression, or group its values first."
        )
    return as_options(text)
