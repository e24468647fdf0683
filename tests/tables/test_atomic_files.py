"""An output is there whole, or the old one is."""

import os
import stat
import threading

import pytest

from softunit._files import check_writable, replace_file
from softunit.errors import FileError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_new_file_appears_whole_with_the_mode_of_the_umask(tmp_path):
    path = tmp_path / "out.json"
    with replace_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".json"
    (tmp_path / "plain").touch()
    assert path.read_text() == "new"
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert names(tmp_path) == ["out.json", "plain"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interrupted_write_leaves_the_old_file_whole(tmp_path, error):
    path = tmp_path / "out.csv"
    path.write_text("old")

    def interrupted():
        with replace_file(path) as temporary:
            temporary.write_text("half of the n")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        interrupted()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out.csv"]


def test_existing_mode_is_kept(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    path.chmod(0o640)
    with replace_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_symbolic_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "real.csv"
    target.write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    with replace_file(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_writable("out.csv")
    with replace_file("out.csv") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "out.csv").read_text() == "new"


def test_long_name_leaves_room_for_the_temporary_one(tmp_path):
    path = tmp_path / ("é" * 120 + ".csv")
    with replace_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_check_leaves_no_trace(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    before = path.stat().st_mtime_ns
    check_writable(path)
    check_writable(tmp_path / "other.csv")
    assert names(tmp_path) == ["out.csv"]
    assert path.stat().st_mtime_ns == before


def below_a_file(folder):
    (folder / "plain").touch()
    return folder / "plain" / "out.csv"


BAD_PATHS = [
    pytest.param(lambda folder: folder, "it is a folder", id="folder"),
    pytest.param(lambda folder: folder / "no" / "out.csv", "no does not exist", id="no-folder"),
    pytest.param(lambda folder: folder / ("x" * 300), r"too long .* begins '/", id="long"),
    pytest.param(lambda folder: folder / ("x" * 300) / "out.csv", "too long", id="long-folder"),
    pytest.param(below_a_file, "plain does not exist", id="below-a-file"),
    pytest.param(lambda folder: "", "path is empty", id="empty"),
    pytest.param(lambda folder: f"{folder}/a\0b", "zero byte", id="zero-byte"),
]


@pytest.mark.parametrize(("make", "sentence"), BAD_PATHS)
def test_what_cannot_be_written_is_found_out_before(tmp_path, make, sentence):
    path = make(tmp_path)
    with pytest.raises(FileError, match=sentence):
        check_writable(path)
    with pytest.raises(FileError, match=sentence), replace_file(path):
        pass


def test_folder_that_refuses_new_files(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("softunit._files.os.open", refuse)
    with pytest.raises(FileError, match="Permission denied in folder"):
        check_writable(tmp_path / "out.csv")


def test_write_protected_file(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    path.write_text("old")
    monkeypatch.setattr("softunit._files.os.access", lambda target, mode: False)
    with pytest.raises(FileError, match="write-protected"):
        check_writable(path)


def test_failed_renaming_is_a_sentence(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    path.write_text("old")

    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("softunit._files.os.replace", refuse)
    sentence = r"No space left on device.*is unchanged"
    with pytest.raises(FileError, match=sentence), replace_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out.csv"]


def test_pipe_is_written_to_and_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    received = []
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()))
    reader.start()
    check_writable(path)
    with replace_file(path) as temporary:
        temporary.write_text("new")
    reader.join(timeout=10)
    assert received == [b"new"]
    assert stat.S_ISFIFO(path.stat().st_mode)
