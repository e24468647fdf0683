"""Reading a file into a Table; every refusal is a sentence that names the file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from softunit.errors import FileError, SoftunitError
from softunit.tables.array_files import read_npz, read_svmlight
from softunit.tables.arrow_files import read_arrow, read_delimited, read_parquet
from softunit.tables.names import cut, listed, near, show
from softunit.tables.quotes import refuse_swallowed_rows
from softunit.tables.table import Table

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        ".arrow": "arrow",
        ".arrows": "arrow",
        ".csv": "csv",
        ".feather": "arrow",
        ".ipc": "arrow",
        ".libsvm": "svmlight",
        ".npz": "npz",
        ".parquet": "parquet",
        ".pq": "parquet",
        ".svm": "svmlight",
        ".svmlight": "svmlight",
        ".tsv": "tsv",
    }
)
"""Which format each extension means; text formats may have .gz behind it."""

FORMATS = ("arrow", "csv", "feather", "npz", "parquet", "svmlight", "tsv")

_COMPRESSIBLE = frozenset({"csv", "tsv", "svmlight"})


def read_table(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    text: Collection[str] = (),
    n_features: int | None = None,
) -> Table:
    """Read a CSV, TSV, Parquet, Arrow, Feather, NPZ or svmlight file.

    Empty cells and the usual marks (NA, NaN, null, ...) of CSV and TSV files are missing values,
    unless they stand in quotes. Columns of NPZ and svmlight files are called x0, x1, ...; in
    svmlight files the number is the index written in the file, so that files with and without an
    index 0 agree. NPZ files hold `X` (n, d), `y` (n,) if wanted, and `names` (d,) if wanted.

    Parameters
    ----------
    path : str or path-like
    format : str, default=None
        One of "arrow", "csv", "feather", "npz", "parquet", "svmlight", "tsv"; None goes by the
        extension, behind which CSV, TSV and svmlight may have .gz.
    text : collection of str, default=()
        Columns that a CSV or TSV file shall keep as text even where all their cells look like
        numbers; `Encoding.text_columns` gives those that a model needs.
    n_features : int, default=None
        For svmlight files: columns up to index n_features - 1 exist even where no row names them.

    Returns
    -------
    Table
        With at least one row and one column.

    Raises
    ------
    FileError
        If the file is not there, is a folder, empty, unreadable, truncated, of unknown format, or
        its content is no table; the message holds the row or byte where the reader knows it.
    MissingExtraError
        If the format needs pyarrow and it is not installed.
    """
    path = Path(path)
    _check_file(path)
    kind = table_format(path) if format is None else known_format(format)
    readers: dict[str, Callable[[], Table]] = {
        "arrow": lambda: read_arrow(path),
        "csv": lambda: _read_delimited(path, ",", text),
        "feather": lambda: read_arrow(path),
        "npz": lambda: read_npz(path),
        "parquet": lambda: read_parquet(path),
        "svmlight": lambda: read_svmlight(path, n_features=n_features),
        "tsv": lambda: _read_delimited(path, "\t", text),
    }
    with reading(path, kind):
        table = readers[kind]()
        check_table(table, path)
    return table


@contextmanager
def reading(path: object, kind: str, *, part: str = "") -> Iterator[None]:
    """Turn whatever a reader raises into a sentence that names the file.

    Parameters
    ----------
    path : Path or str
        Of the file.
    kind : str
        Its format.
    part : str, default ""
        How much of it is read at a time, as "a block of ".

    Raises
    ------
    FileError
        In place of all that is not our own.
    """
    try:
        yield
    except SoftunitError:
        raise
    except MemoryError as error:
        raise FileError(f"{part}{path} does not fit in memory: {cut(error)}.") from error
    except Exception as error:  # a reader fed a damaged file may raise anything
        raise FileError(
            f"{path} cannot be read as {kind}: {cut(error)}. The file may be damaged, truncated,"
            " or of another format than its name says."
        ) from error


def _read_delimited(path: Path, delimiter: str, text: Collection[str]) -> Table:
    """Read a CSV or TSV file and see that no row of it is lost."""
    table = read_delimited(path, delimiter=delimiter, text=text)
    refuse_swallowed_rows(table, delimiter)
    return table


def table_format(path: str | os.PathLike[str]) -> str:
    """Return the format that the extension of `path` means.

    Parameters
    ----------
    path : str or path-like
        A file that need not exist.

    Returns
    -------
    str
        "arrow", "csv", "npz", "parquet", "svmlight" or "tsv".

    Raises
    ------
    FileError
        If the extension is unknown; the message lists the known ones.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    packed = suffixes[-1:] == [".gz"]
    extension = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    kind = EXTENSIONS.get(extension)
    if kind is None or (packed and kind not in _COMPRESSIBLE):
        raise FileError(
            f"{path} has an extension that is not known: {show(''.join(suffixes[-2:]))}. Known are"
            f" {', '.join(sorted(EXTENSIONS))} (.csv, .tsv and svmlight also with .gz); rename"
            " the file, or say its format."
        )
    return kind


def known_format(name: str) -> str:
    """Return `name` if it is a format."""
    if name not in FORMATS:
        raise FileError(f"`format` must be one of {', '.join(FORMATS)}; got {show(name)}.")
    return name


def _check_file(path: Path) -> None:
    """Refuse what is not a readable file with bytes in it."""
    try:
        if path.is_dir():
            raise FileError(f"{path} is a folder: give the path of one file inside it.")
        if not path.exists():
            raise FileError(not_there(path))
        with open(path, "rb") as file:
            if not file.read(1):
                raise FileError(f"{path} is empty (0 bytes): it holds no table.")
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be read: {cut(error)}.") from error


def not_there(path: Path) -> str:
    """Return the sentence for a file that does not exist, with near names of its folder."""
    folder = path.parent
    if not folder.is_dir():
        return f"{path} is not there: the folder {folder} does not exist."
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        names = []
    return f"{path} is not there.{near(path.name, names)}"


def check_table(table: Table, path: object) -> None:
    """Refuse tables without rows or columns, or with names that do not tell columns apart."""
    check_names(table.names, path)
    if table.n_rows == 0:
        raise FileError(f"{path} has no rows: only the names of {len(table.names)} columns.")


def check_names(names: tuple[str, ...], path: object) -> None:
    """Refuse names that are none, or do not tell columns apart.

    Parameters
    ----------
    names : tuple of str
    path : Path or str
        Of the file, for the sentence.

    Raises
    ------
    FileError
        If there are no columns, two of one name, or one without a name.
    """
    if not names:
        raise FileError(f"{path} has no columns.")
    if len(set(names)) < len(names):
        twice = [name for name, count in Counter(names).items() if count > 1]
        raise FileError(
            f"{path} has more than one column called {listed(twice, 5)}: rename them, so that each"
            " name means one column."
        )
    if "" in names:
        raise FileError(
            f"{path} has a column without a name, number {names.index('') + 1} of {len(names)}:"
            " give it one, or write the file without its row index."
        )
