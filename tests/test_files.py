"""Files are whole or absent, a folder has one owner, and refusals of the system are one message."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from synrs_data.errors import BuildFolderError
from synrs_data.files import (
    FolderLock,
    atomic,
    is_temporary,
    make_folder,
    remove_temporaries,
    sha256,
    write_bytes,
    write_text,
)

AS_ROOT = os.geteuid() == 0


def run_child(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_file_appears_whole_with_its_contents(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with atomic(path) as file:
        file.write(b"half ")
        assert not path.exists()
        file.write(b"whole")
    assert path.read_bytes() == b"half whole"
    assert [item.name for item in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError("own"), KeyboardInterrupt()], ids=repr)
def test_an_error_inside_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(type(error)), atomic(path) as file:
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_kill_before_the_rename_leaves_the_old_file_and_a_temporary_one_that_is_removed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    child = run_child(
        "import os, sys, pathlib\n"
        "from synrs_data import files\n"
        "files.os.replace = lambda *names: os.kill(os.getpid(), 9)\n"
        "files.write_bytes(pathlib.Path(sys.argv[1]), b'new')\n",
        str(path),
    )
    assert child.returncode == -9, child.stderr
    assert path.read_bytes() == b"old"
    left = [item for item in tmp_path.iterdir() if item != path]
    assert [is_temporary(item) for item in left] == [True]
    assert left[0].read_bytes() == b"new"
    remove_temporaries(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_while_writing_leaves_no_file_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    child = run_child(
        "import os, sys, pathlib\n"
        "from synrs_data.files import atomic\n"
        "with atomic(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'x' * 100_000)\n"
        "    os.kill(os.getpid(), 9)\n",
        str(path),
    )
    assert child.returncode == -9, child.stderr
    assert not path.exists()


def test_the_contents_are_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle: int) -> None:
        done.append("fsync")
        fsync(handle)

    def noted_replace(source: Path, target: Path) -> None:
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_text(tmp_path / "a.txt", "ä")
    assert done == ["fsync", "replace", "fsync"]
    assert (tmp_path / "a.txt").read_bytes() == "ä".encode()


def test_temporaries_are_removed_in_every_folder_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".partial-12-00000.tar").write_bytes(b"")
    (tmp_path / ".partial-9-manifest.json").write_bytes(b"")
    (tmp_path / "data" / "partial-00000.tar").write_bytes(b"")
    (tmp_path / "data" / ".hidden").write_bytes(b"")
    remove_temporaries(tmp_path)
    assert sorted(item.name for item in tmp_path.rglob("*")) == [".hidden", "data", "partial-00000.tar"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if mount is None or not AS_ROOT or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run([shutil.which("umount") or "umount", str(folder)], check=True)


def test_a_disk_that_is_full_is_one_message_and_leaves_nothing(small_disk: Path) -> None:
    path = small_disk / "00000.tar"
    with pytest.raises(BuildFolderError, match="disk is full") as caught:
        write_bytes(path, b"x" * 200_000)
    assert caught.value.exit_code == 2
    assert caught.value.where == str(path)
    assert list(small_disk.iterdir()) == []
    write_bytes(path, b"x" * 1000)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=["ENOSPC", "EDQUOT"])
def test_a_full_disk_or_quota_at_the_sync_is_one_message_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BuildFolderError, match="disk is full"):
        write_bytes(tmp_path / "a", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG])
def test_a_folder_that_may_not_be_written_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BuildFolderError, match="cannot be written") as caught:
        write_bytes(tmp_path / "a", b"x")
    assert caught.value.exit_code == 2
    assert "--out" in caught.value.fix


@pytest.mark.skipif(AS_ROOT, reason="root may write everywhere")
def test_a_read_only_folder_is_refused_by_the_system_itself(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(BuildFolderError, match="cannot be written"):
            write_bytes(tmp_path / "a", b"x")
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("below", [".", "deep/er"])
def test_a_folder_below_a_file_cannot_be_made_and_says_so(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildFolderError, match="cannot be written"):
        make_folder(tmp_path / "file" / below)


def test_a_folder_in_the_place_of_a_file_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(BuildFolderError, match="cannot be written"):
        write_bytes(tmp_path / "manifest.json", b"{}")
    assert [item.name for item in tmp_path.iterdir()] == ["manifest.json"]


def test_other_errors_of_the_system_are_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "nowhere" / "a", b"x")


def test_a_second_build_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(BuildFolderError, match=f"process {os.getpid()}\\)") as caught:
        FolderLock(tmp_path).__enter__()
    assert caught.value.where == str(tmp_path)
    with FolderLock(tmp_path):
        pass


def test_a_killed_build_frees_its_folder(tmp_path: Path) -> None:
    text = (
        "import sys, pathlib\n"
        "from synrs_data.files import FolderLock\n"
        "with FolderLock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", text, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(BuildFolderError, match=f"process {child.pid}\\)"):
            FolderLock(tmp_path).__enter__()
        child.kill()
    with FolderLock(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_of_a_folder_that_is_not_there_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FolderLock(tmp_path / "nowhere").__enter__()


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    write_bytes(tmp_path / "a", data)
    assert sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()
