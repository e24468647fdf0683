"""Files that hold the rows of a design: how they are found and opened, and whether they changed."""

from __future__ import annotations

import glob
import os
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import unquote

from softunit._checks import counted
from softunit._far_files import in_time
from softunit._files import load_pyarrow
from softunit.errors import FileError, InputError

PathLike: TypeAlias = str | os.PathLike[str]

KINDS = {
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".npy": "npy",
}
"""What a file holds, by the end of its name."""

MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow", b"\x93NUMPY": "npy"}
"""What a file of another name holds, by its first bytes."""

WILD = re.compile(r"[*?\[]")
DAMAGED = (
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    SyntaxError,  # this and the last out of NumPy, which reads headers as Python literals
    TypeError,
    ValueError,
    tokenize.TokenError,
)
"""What readers raise about bytes that they cannot make sense of."""

SCHEMES = "file://, s3://, gs://, abfs:// and hdfs://"

ZARR = (".zarray", "zarr.json")  # one of which a folder that is an array holds


@dataclass(frozen=True)
class DataFile:
    """A file, and the size and time of change that it had when it was found.

    Attributes
    ----------
    path : str
        As its file system knows it.
    filesystem : pyarrow.fs.FileSystem or None
        None: the files of this machine.
    keys : dict
        What the names of its folders say of all its rows: year=2020 is {"year": "2020"}.
    stamp : tuple of int
        Size, and time of the last change in nanoseconds.
    """

    path: str
    filesystem: Any = None
    keys: dict[str, str] = field(default_factory=dict)
    stamp: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return self.path

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.stamp[0]

    @property
    def kind(self) -> str:
        """What it holds, by its name or its first bytes: "parquet", "arrow" or "npy".

        Raises
        ------
        FileError
            If neither tells.
        """
        known = KINDS.get(PurePosixPath(self.path).suffix.lower())
        if known is None:
            with reading(self), self.open() as file:
                head = bytes(file.read(6))
            known = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)
        if known is None:
            raise FileError(
                f"{self.path} is no Parquet, Arrow, Feather or NPY file: write it as one of these."
            )
        return known

    def open(self) -> Any:
        """Return the file open for reading bytes: it can seek, read and readinto."""
        if self.filesystem is None:
            return open(self.path, "rb", buffering=0)
        return self.filesystem.open_input_file(self.path)

    def check_unchanged(self) -> None:
        """Raise `FileError` if the file is gone, or its size or time of change is another."""
        stamp = _stamp(self.path, self.filesystem)
        if stamp is None:
            raise FileError(
                f"{self.path} was there when the design was made and is gone now: put it back and"
                " begin again."
            )
        if stamp != self.stamp:
            what = f"{self.size:,} bytes then and {stamp[0]:,} now"
            if stamp[0] == self.size:
                what = "its time of change is another"
            raise FileError(
                f"{self.path} was changed since the design was made ({what}): leave the files as"
                " they are while they are read, and begin again."
            )


@contextmanager
def reading(file: object, *also: type[Exception]) -> Iterator[None]:
    """Turn what readers raise about a file, and errors of other kinds, into a `FileError`."""
    kinds: tuple[type[Exception], ...] = (*DAMAGED, *also)
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise FileError(
            f"{file} asks for more memory than there is ({_first_line(error)}): it may be damaged;"
            " if it is not, allow the process more memory, or give a smaller `memory`."
        ) from error
    except kinds as error:
        raise FileError(
            f"{file} cannot be read: {_first_line(error)}. It may be damaged, or was cut off or"
            " replaced while it was read."
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")


def load_arrow() -> Any:
    """Return the module pyarrow, or raise `MissingExtraError`."""
    return load_pyarrow("reading Parquet and Arrow files", "disk")


def found_files(path: PathLike | Sequence[PathLike]) -> list[DataFile]:
    """Return the files that a path, or a list of paths, stands for, in order.

    A folder and a pattern give their files in the order of their names, without those that are
    hidden (names that begin with "." or "_"); a list keeps its own order.

    Raises
    ------
    FileError
        If there is none, or a path does not exist.
    InputError
        If it is neither a path nor a list of them.
    """
    if not isinstance(path, (str, os.PathLike)):
        if isinstance(path, (bytes, Mapping)) or not isinstance(path, Iterable):
            raise InputError(
                f"a dataset is a path, a pattern, a URL, or a list of them; got {type(path)}."
            )
        path = list(path)
        if not path:
            raise FileError("the list of files is empty: give at least one.")
        return [file for each in path for file in found_files(each)]
    text = os.fspath(path)
    if "\0" in text or not text:
        raise FileError(f"{text!r} is no path of a file.")
    files = list(_remote(text) if "://" in text else _local(text))
    if not files:
        raise FileError(
            f"{text} holds no data: it needs files that end in {', '.join(sorted(KINDS))}."
        )
    return files


def is_zarr(path: object) -> bool:
    """Whether a path is a folder that holds a Zarr array."""
    if not isinstance(path, (str, os.PathLike)) or "\0" in os.fspath(path):
        return False
    return any((Path(path) / name).is_file() for name in ZARR)


def _local(text: str) -> Iterator[DataFile]:
    path = Path(text)
    if path.is_dir():
        names = (os.path.join(at, name) for at, _, files in os.walk(text) for name in files)
        yield from _files_in(names, text)
    elif path.exists():
        yield _file(text)
    elif WILD.search(text):
        fixed = text[: WILD.search(text).start()]  # type: ignore[union-attr]
        base = os.path.dirname(fixed)
        for match in sorted(glob.glob(text, recursive=True)):
            inside = _local(match) if os.path.isdir(match) else _files_in([match], base)
            yield from inside
    else:
        raise FileError(f"{text} does not exist.")


def _remote(text: str) -> Iterator[DataFile]:
    load_arrow()
    from pyarrow import fs

    try:
        filesystem, path = fs.FileSystem.from_uri(text)
    except (ValueError, NotImplementedError, OSError) as error:
        raise FileError(
            f"{text} is no URL that pyarrow can open: {_first_line(error)}. It knows {SCHEMES}; for"
            " others, http among them, bring the files here first."
        ) from error
    try:
        info = in_time(text, lambda: filesystem.get_file_info(path))
    except OSError as error:
        raise FileError(
            f"{text} cannot be reached: {_first_line(error)}. Check the address, the network and"
            " your credentials."
        ) from error
    with reading(text):
        if info.type == fs.FileType.Directory:
            listed = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
            names = [each.path for each in listed if each.type == fs.FileType.File]
            yield from _files_in(names, path, filesystem)
        elif info.type == fs.FileType.File:
            yield _file(path, filesystem)
        else:
            raise FileError(f"{text} does not exist.")


def _files_in(names: Iterable[str], base: str, filesystem: Any = None) -> Iterator[DataFile]:
    """Yield the files with data below a folder in order, with what the folders' names say."""
    for name in sorted(names):
        parts = PurePosixPath(Path(os.path.relpath(name, base or ".")).as_posix()).parts
        hidden = any(part.startswith((".", "_")) and part != ".." for part in parts)
        if hidden or PurePosixPath(parts[-1]).suffix.lower() not in KINDS:
            continue
        pairs = (part.partition("=") for part in parts[:-1])
        yield _file(name, filesystem, {key: unquote(value) for key, mark, value in pairs if mark})


def _file(path: str, filesystem: Any = None, keys: dict[str, str] | None = None) -> DataFile:
    stamp = _stamp(path, filesystem)
    if stamp is None:
        raise FileError(f"{path} does not exist, or is no file.")
    return DataFile(path, filesystem, keys or {}, stamp)


def _stamp(path: str, filesystem: Any) -> tuple[int, int] | None:
    if filesystem is None:
        try:
            facts = os.stat(path)
        except OSError:
            return None
        return facts.st_size, facts.st_mtime_ns
    with reading(path):
        info = filesystem.get_file_info(path)
    return None if info.size is None else (int(info.size), int(info.mtime_ns or -1))


def listed(files: Sequence[DataFile]) -> str:
    """Return "part-0.parquet", or "8 files, the first part-0.parquet"."""
    name = os.path.basename(files[0].path)
    return name if len(files) == 1 else f"{counted(len(files), 'file')}, the first {name}"
