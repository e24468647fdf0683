"""What options choose from, by name."""

from __future__ import annotations

from enum import StrEnum


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
    choice = "choice"
    ordinal = "ordinal"
    softmax = "softmax"
    exp = "exp"
    cosh = "cosh"
    sinh = "sinh"
    rescaled = "rescaled"
    two_layer = "two-layer"
    leverage = "leverage"


class ErrorName(StrEnum):
    """Kinds of standard errors."""

    classical = "classical"
    robust = "robust"
    HC1 = "HC1"
    clustered = "clustered"


class UnitName(StrEnum):
    """Units of rescaled regression."""

    exp = "exp"
    cosh = "cosh"
    sinh = "sinh"


class OuterName(StrEnum):
    """Outer functions of two layers."""

    identity = "identity"
    relu = "relu"
    softplus = "softplus"
    tanh = "tanh"
    sigmoid = "sigmoid"
    exp = "exp"
    cosh = "cosh"
    sinh = "sinh"


class FidelityName(StrEnum):
    """Whose algorithm runs."""

    auto = "auto"
    paper = "paper"


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
