"""From paths, folders, globs and URLs to the files of one dataset, sorted."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from softunit._far_files import check_protocol, in_time
from softunit._files import load_pyarrow
from softunit.errors import FileError
from softunit.tables.names import cut, listed
from softunit.tables.reading import known_format, not_there, table_format

_WILD = re.compile(r"[*?\[]")
_SEVERAL = 3  # files that a sentence or a title still lists by name


@dataclass(frozen=True)
class DataFile:
    """One file of a dataset.

    Attributes
    ----------
    path : str
        On this machine, or inside `filesystem`.
    kind : str
        Its format.
    keys : tuple of (str, str)
        Names and values of the folders "name=value" that it lies in, below the dataset's own.
    filesystem : pyarrow.fs.FileSystem or None
        None for this machine's.
    """

    path: str
    kind: str
    keys: tuple[tuple[str, str], ...] = ()
    filesystem: Any = field(default=None, repr=False)

    @property
    def _gone(self) -> str:
        return (
            f"{self.path} was there when the files were looked for and is gone now: put it back,"
            " and begin again when nobody removes files."
        )

    def state(self) -> tuple[int, int]:
        """Return size and time of change, to tell whether the file is still what it was.

        Raises
        ------
        FileError
            If it is not there any more.
        """
        try:
            if self.filesystem is None:
                found = os.stat(self.path)
                return found.st_size, found.st_mtime_ns
            info = self.filesystem.get_file_info(self.path)
        except FileNotFoundError as error:
            raise FileError(self._gone) from error
        except OSError as error:
            raise FileError(
                f"{self.path} cannot be read: {error.strerror or cut(error)}."
            ) from error
        if not info.is_file:
            raise FileError(self._gone)
        return int(info.size), int(info.mtime_ns or 0)


def is_one_file(paths: Sequence[str]) -> bool:
    """Whether paths are nothing but one file of this machine, there or not.

    Parameters
    ----------
    paths : sequence of str
    """
    return len(paths) == 1 and not (
        is_url(paths[0]) or os.path.isdir(paths[0]) or (_wild(paths[0]))
    )


def is_url(path: str) -> bool:
    """Whether a path names its file system: s3://bucket/folder.

    Parameters
    ----------
    path : str
    """
    return "://" in path


def _wild(path: str) -> bool:
    return bool(_WILD.search(path)) and not os.path.exists(path)


def find_files(paths: Sequence[str], *, format: str | None = None) -> tuple[DataFile, ...]:
    """Return the files that paths mean, folder by folder in sorted order.

    1. A folder stands for all files below it whose format is known; names that begin with a dot
    or an underscore are left out.  2. A glob stands for what it matches.  3. Folders called
    "name=value" below the folder, the glob's first wildcard, or what all files have in common,
    become columns.

    Parameters
    ----------
    paths : sequence of str
        Files, folders, globs, and URLs of them that pyarrow understands.
    format : str, default=None
        As in `read_table`; None goes by the extensions.

    Raises
    ------
    FileError
        If nothing is there, a file is there twice, formats are mixed, or folders name different
        columns.
    """
    kind = None if format is None else known_format(format)
    found: list[DataFile] = []
    for path in paths:
        if is_url(path):
            found += _of_url(path, kind)
        elif os.path.isdir(path):
            found += _of_folder(path, kind)
        elif _wild(path):
            found += _of_glob(path, kind)
        else:
            if not os.path.exists(path):
                raise FileError(not_there(Path(path)))
            found.append(DataFile(path, kind or table_format(path)))
    if len(found) > 1 and not any(os.path.isdir(p) or is_url(p) or _wild(p) for p in paths):
        root = os.path.commonpath([os.path.dirname(os.path.abspath(file.path)) for file in found])
        found = [DataFile(f.path, f.kind, _keys(os.path.abspath(f.path), root)) for f in found]
    _check_once(found)
    _check_alike(found)
    return tuple(found)


def _check_once(files: Sequence[DataFile]) -> None:
    """Refuse a file that several paths mean: its rows would count twice."""
    seen: dict[str, str] = {}
    for file in files:
        away = "" if file.filesystem is None else str(file.filesystem.type_name)
        place = os.path.realpath(file.path) if away in ("", "local") else f"{away}:{file.path}"
        if place in seen:
            link = "" if seen[place] == file.path else f", as {seen[place]} and as {file.path}"
            raise FileError(
                f"{file.path} is among the files twice{link}: its rows would count twice. Give it"
                " once; a folder or a glob brings all its files with it."
            )
        seen[place] = file.path


def _check_alike(files: Sequence[DataFile]) -> None:
    """Refuse files of several formats, or in folders that name different columns."""
    first = files[0]
    for file in files[1:]:
        if file.kind != first.kind:
            raise FileError(
                f"the files are of several formats: {first.path} is {first.kind}, {file.path} is"
                f" {file.kind}. Give files of one format, by a glob in quotes such as"
                " 'folder/*.parquet'."
            )
        names, others = ([name for name, _ in each.keys] for each in (first, file))
        if names != others:
            raise FileError(
                f"the folders name different columns: {first.path} has {listed(names) or 'none'},"
                f" {file.path} has {listed(others) or 'none'}. Give files whose folders name the"
                " same."
            )


def _keys(path: str, root: str) -> tuple[tuple[str, str], ...]:
    """Return names and values of the folders "name=value" between a folder and a file in it."""
    inside = PurePosixPath(os.path.relpath(path, root).replace(os.sep, "/")).parts[:-1]
    pairs = (part.partition("=") for part in inside if "=" in part)
    return tuple((unquote(name), unquote(value)) for name, _, value in pairs)


def _taken(path: str, root: str, kind: str | None) -> str | None:
    """Return the format of a file in a folder; None for what is no data."""
    inside = os.path.relpath(path, root).replace(os.sep, "/").split("/")
    if any(part.startswith((".", "_")) for part in inside):
        return None
    if kind is not None:
        return kind
    try:
        return table_format(path)
    except FileError:
        return None


def _of_folder(folder: str, kind: str | None) -> list[DataFile]:
    """Return the data files below a folder of this machine."""
    inside = sorted(
        os.path.join(base, name) for base, _, names in os.walk(folder) for name in names
    )
    return _data_files(inside, folder, kind, folder)


def _data_files(
    paths: Sequence[str], root: str, kind: str | None, shown: str, filesystem: Any = None
) -> list[DataFile]:
    """Return those of some paths that hold data; refuse a folder without any."""
    kinds = [(path, _taken(path, root, kind)) for path in paths]
    files = [
        DataFile(path, found, _keys(path, root), filesystem)
        for path, found in kinds
        if found is not None
    ]
    if not files:
        raise FileError(
            f"{shown} holds no file of a known format"
            f"{f' (it holds {listed(map(os.path.basename, paths), 5)})' if paths else ''}: give a"
            " folder of Parquet, Arrow or CSV files, or say their --format."
        )
    return files


def _of_glob(pattern: str, kind: str | None) -> list[DataFile]:
    """Return the files that a glob matches on this machine."""
    found = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    if not found:
        raise FileError(f"no file matches {pattern!r}.")
    return _matched(found, pattern, kind)


def _matched(
    found: Sequence[str], pattern: str, kind: str | None, fs: Any = None
) -> list[DataFile]:
    """Return what a glob matched, with the folders below its fixed part."""
    root = os.path.dirname(_fixed(pattern)) or "."
    return [DataFile(p, kind or table_format(p), _keys(p, root), fs) for p in found]


def _fixed(pattern: str) -> str:
    """Return what stands before the first wildcard of a pattern."""
    found = _WILD.search(pattern)
    return pattern if found is None else pattern[: found.start()]


def _of_url(url: str, kind: str | None) -> list[DataFile]:
    """Return the files that a URL, or a glob of one, means."""
    load_pyarrow()
    from pyarrow import fs

    wild = bool(_WILD.search(url))
    base = _fixed(url).rpartition("/")[0] if wild else url

    def look() -> tuple[Any, str, Any, list[str]]:
        filesystem, inside = fs.FileSystem.from_uri(base)
        info, paths = filesystem.get_file_info(inside), []
        if wild or info.type == fs.FileType.Directory:
            below = filesystem.get_file_info(fs.FileSelector(inside, recursive=True))
            paths = sorted(item.path for item in below if item.is_file)
        return filesystem, inside, info, paths

    check_protocol(url)
    try:
        filesystem, inside, info, paths = in_time(url, look)
    except FileError:
        raise
    except (OSError, ValueError, NotImplementedError) as error:
        raise FileError(
            f"{url} cannot be opened: {cut(error)}. Check the address and that you may read it."
        ) from error
    if wild:
        pattern = inside + url[len(base) :]
        matched = [path for path in paths if fnmatch.fnmatchcase(path, pattern)]
        if not matched:
            raise FileError(f"no file matches {url!r}.")
        return _matched(matched, pattern, kind, filesystem)
    if info.type == fs.FileType.Directory:
        return _data_files(paths, inside, kind, url, filesystem)
    if info.type == fs.FileType.NotFound:
        raise FileError(f"{url} is not there.")
    return [DataFile(inside, kind or table_format(inside), (), filesystem)]


def shortened(paths: Sequence[str]) -> tuple[str, ...]:
    """Return fewer paths that mean the same: a glob for all that it matches.

    Parameters
    ----------
    paths : sequence of str
    """
    names = [str(path) for path in paths]
    if len(names) < 2 or any(map(is_url, names)):
        return tuple(names)
    folder = os.path.dirname(names[0])
    ending = "".join(Path(names[0]).suffixes[-2:] if names[0].endswith(".gz") else [])
    pattern = os.path.join(glob.escape(folder), f"*{ending or Path(names[0]).suffix}")
    return (pattern,) if sorted(names) == sorted(glob.glob(pattern)) else tuple(names)


def titled(paths: Sequence[str]) -> str:
    """Return what a dataset is called: its path, or its first one and how many more.

    Parameters
    ----------
    paths : sequence of str
    """
    names = shortened(paths)
    if len(names) <= _SEVERAL:
        return ", ".join(names)
    return f"{names[0]} and {len(names) - 1:,} more files"
