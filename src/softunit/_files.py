"""Writing files so that an interrupted run leaves the old file whole."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from softunit.errors import FileError, MissingExtraError

try:
    import fcntl
except ImportError:  # Windows: what a killed process leaves there stays until it is removed by hand
    fcntl = None  # type: ignore[assignment]

# File systems refuse names over 255 bytes; a temporary neighbour needs room for its own marks.
_KEPT_CHARACTERS = 40


def load_pyarrow(part: str = "reading tables", extra: str = "cli") -> Any:
    """Return the module pyarrow.

    Parameters
    ----------
    part : str, default "reading tables"
        What needs it.
    extra : str, default "cli"
        The optional part of this package that brings it.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError(part, extra) from error
    return pyarrow


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check that `path` can be written, before any long work is done.

    A temporary file is made next to it and removed; the file itself is not touched.

    Parameters
    ----------
    path : str or path-like
        A file that need not exist yet; its folder must.

    Raises
    ------
    FileError
        If the path is a folder, its folder does not exist or is not writable, or the file exists
        and is write-protected.
    """
    if _is_stream(path):
        return
    target = _resolve(path)
    if target.exists() and not os.access(target, os.W_OK):
        raise FileError(f"{path} cannot be written: it is write-protected. Choose another name.")
    descriptor, name = _open_neighbour(path, target)
    os.close(descriptor)
    os.unlink(name)


@contextlib.contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path whose content takes the place of `path` when the block ends well.

    1. A new file is made in the folder of `path` (of its target, if `path` is a symbolic link).
    2. What processes that were killed in step 3 left there is removed: it is locked by nobody.
    3. The block writes the file.  4. It is flushed to the disk, given the mode of the file it
    replaces, and renamed. If the block raises, the new file is removed and the old one is left as
    it was. Where `path` is a device or a pipe (as /dev/stdout is), the content is copied to it at
    the end.

    Parameters
    ----------
    path : str or path-like
        The file to write; its folder must exist.

    Yields
    ------
    Path
        An existing empty file with the same extension as `path`.

    Raises
    ------
    FileError
        If the folder does not exist or is not writable, the disk is full, or the renaming fails.
    """
    if _is_stream(path):
        with _copied_to_stream(path) as temporary:
            yield temporary
        return
    target = _resolve(path)
    descriptor, name = _open_neighbour(path, target)
    fresh = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if fcntl is None:
        os.close(descriptor)
    else:
        remove_leftovers(target)
    try:
        yield Path(name)
        # Some writers put a private file of their own in its place.
        os.chmod(name, stat.S_IMODE(target.stat().st_mode) if target.exists() else fresh)
        _move(name, target)
    except OSError as error:
        raise FileError(
            f"{path} cannot be written: {error.strerror or error}. The file of that name, if there"
            " was one, is unchanged."
        ) from error
    finally:
        # After a successful move the name is gone, so nothing but a failed write is removed.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        if fcntl is not None:
            os.close(descriptor)  # and with it the lock


def _is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is something that bytes are poured into, and that no rename may replace."""
    if not os.fspath(path):
        raise FileError("An output path is empty: give the name of a file.")
    if "\0" in os.fspath(path):
        raise FileError(f"{os.fspath(path)!r} is not a file name: it contains a zero byte.")
    if os.path.abspath(path).startswith(("/dev/std", "/dev/fd/", "/proc/")):
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _resolve(path: str | os.PathLike[str]) -> Path:
    """Return the file behind `path`, links followed; refuse folders and missing folders."""
    target = Path(os.path.realpath(path))
    _check_length(path, target)
    if target.is_dir():
        raise FileError(f"{path} cannot be written: it is a folder. Give a file name inside it.")
    if not target.parent.is_dir():
        raise FileError(
            f"{path} cannot be written: the folder {target.parent} does not exist."
            " Make it first, or choose another path."
        )
    return target


def _check_length(path: str | os.PathLike[str], target: Path) -> None:
    """Refuse a path whose name, or that of a folder, is longer than the file system takes."""
    try:
        os.lstat(target)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise FileError(
                f"a path of {len(os.fspath(path))} characters cannot be written: it is too long"
                f" for this file system. It begins {os.fspath(path)[:40]!r}; choose a shorter name."
            ) from error


def _open_neighbour(path: str | os.PathLike[str], target: Path) -> tuple[int, str]:
    """Make an empty file next to `target`, locked while it is open: its descriptor and name."""
    stem, suffix = _kept(target)
    while True:
        name = str(target.parent / f".{stem}.{secrets.token_hex(6)}{suffix}")
        try:
            # Not tempfile.mkstemp: its files are private (0600), and the umask should decide here.
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            raise FileError(
                f"{path} cannot be written: {error.strerror} in folder {target.parent}."
                " Choose a folder that you may write to."
            ) from error
        # Between the two calls another process may have taken the file for one that was left.
        if _lock(descriptor) is not False and os.fstat(descriptor).st_nlink:
            return descriptor, name
        os.close(descriptor)


def _kept(target: Path) -> tuple[str, str]:
    """Return the parts of the name of `target` that its neighbours have."""
    return target.stem[:_KEPT_CHARACTERS], target.suffix[:_KEPT_CHARACTERS]


def _lock(descriptor: int) -> bool | None:
    """Lock a file that is open: whether no other process holds it; None where none can be told."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed left beside `path`: what is locked by nobody.

    Nothing is removed, and nothing is raised, where a folder cannot be read or files not be locked.

    Parameters
    ----------
    path : str or path-like
        As it was given to `replace_file`; links are followed.
    """
    target = Path(os.path.realpath(path))
    stem, suffix = map(re.escape, _kept(target))
    pattern = re.compile(rf"\.{stem}\.[0-9a-f]{{12}}{suffix}")
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if pattern.fullmatch(name):
                _remove_if_left(target.parent / name)


def _remove_if_left(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            if _lock(descriptor):
                os.unlink(path)
        finally:
            os.close(descriptor)


def _move(name: str, target: Path) -> None:
    """Flush the file `name` to the disk and let it take the place of `target`."""
    with open(name, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(name, target)
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    """Flush the renaming itself; where a folder cannot be opened there is nothing to flush."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _copied_to_stream(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file and pour it into the device or pipe `path` at the end."""
    with tempfile.TemporaryDirectory(prefix="softunit-") as folder:
        temporary = Path(folder) / ("stream" + Path(path).suffix)
        temporary.touch()
        yield temporary
        try:
            # Appended: where the output goes to a file that holds more already, that is kept.
            with open(temporary, "rb") as source, open(path, "ab") as sink:
                shutil.copyfileobj(source, sink)
        except BrokenPipeError:
            raise  # nobody reads any more: no fault of the path
        except OSError as error:
            raise FileError(f"{path} cannot be written: {error.strerror}.") from error
