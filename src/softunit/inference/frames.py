"""Numbers with names as a pandas frame; pandas is loaded when one is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from softunit.errors import MissingExtraError


def pandas_for(asker: str) -> Any:
    """Return pandas.

    Parameters
    ----------
    asker : str
        What needs it, as "Summary.frame".

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError(asker, "formula") from error
    return pandas


def named_frame(
    asker: str,
    columns: Mapping[Any, Any],
    index: Sequence[Any] | None,
    axes: tuple[str, str | None],
    facts: Mapping[str, Any],
) -> Any:
    """Return columns with a named index as a pandas frame.

    Parameters
    ----------
    asker : str
    columns : mapping of a name to an array of shape (m,)
    index : sequence of m labels, or None
        None numbers the rows.
    axes : (str, str or None)
        Names of the index and of the columns.
    facts : mapping
        Becomes the `attrs` of the frame.

    Raises
    ------
    MissingExtraError
        If pandas is not installed.
    """
    pd = pandas_for(asker)
    frame = pd.DataFrame(dict(columns), index=None if index is None else list(index))
    frame = frame.rename_axis(index=axes[0], columns=axes[1])
    frame.attrs.update(facts)
    return frame
