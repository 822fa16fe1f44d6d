"""Files: whole or not at all, and nowhere but in their store."""

import errno
import os
import socket

import pytest

from subgrid.execution import files
from subgrid.execution.files import check_name, inside, place, remove_stale


@pytest.mark.parametrize(
    "name", ["../tas", "/etc/passwd", "a/b", "..", ".", "", ".hidden", "__zarr", "a\\b", "a\0b", "a\n"]
)
def test_names_that_lead_elsewhere(name):
    with pytest.raises(ValueError, match=r"in\.nc: the name .* rename the variable"):
        check_name(name, source="in.nc")


def test_usual_names_pass():
    for name in ("tas", "lat", "2t", "wind speed", "Temperatur_über_Grund", "a.b", "_x"):
        assert check_name(name, source="in.nc") == name


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/x", "..", "a/.."])
def test_paths_that_leave_the_folder(tmp_path, relative):
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises(ValueError, match="leads out of the store"):
        place(home, relative, b"x", aside="aside")
    assert [p.name for p in tmp_path.iterdir()] == ["home"]
    assert list(home.iterdir()) == []


def test_links_that_leave_the_folder(tmp_path):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / "tas").symlink_to(elsewhere)
    with pytest.raises(ValueError, match="leads out of the store; remove the symbolic link"):
        place(home, "tas/c/0", b"x", aside="aside")
    assert list(elsewhere.iterdir()) == []
    # A file that is a link is replaced, not followed.
    (elsewhere / "precious").write_bytes(b"old")
    (home / "chunk").symlink_to(elsewhere / "precious")
    place(home, "chunk", b"new", aside="aside")
    assert (elsewhere / "precious").read_bytes() == b"old"
    assert (home / "chunk").read_bytes() == b"new"
    assert not (home / "chunk").is_symlink()


def test_a_folder_reached_by_a_link_is_a_folder(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    place(tmp_path / "home", "a/b", b"x", aside="aside")
    assert inside(tmp_path / "home", "a/b").read_bytes() == b"x"


def test_failure_leaves_the_old_file(tmp_path, monkeypatch):
    place(tmp_path, "a/b", b"old", aside="aside")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        place(tmp_path, "a/b", b"new", aside="aside")
    assert (tmp_path / "a" / "b").read_bytes() == b"old"
    assert list((tmp_path / "aside").iterdir()) == []


def test_only_leftovers_of_dead_processes_are_removed(tmp_path):
    host = socket.gethostname()
    dead = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(dead, 0)
    names = [f"{host}-{dead}-aa", f"{host}-{os.getpid()}-bb", f"elsewhere-{dead}-cc"]
    (tmp_path / "aside").mkdir()
    for name in names:
        (tmp_path / "aside" / name).touch()
    remove_stale(tmp_path, aside="aside")
    assert {p.name for p in (tmp_path / "aside").iterdir()} == set(names[1:])
