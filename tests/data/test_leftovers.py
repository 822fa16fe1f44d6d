"""What dead processes left goes away; what others make, here or on other hosts, stays."""

import os
import socket

from subgrid.data.leftovers import owner, remove_leftovers
from subgrid.data.store import write_json


def dead_process() -> int:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    return pid


def test_files_and_folders_of_dead_processes_are_removed(tmp_path):
    dead, host = dead_process(), socket.gethostname()
    (tmp_path / f".x.{host}-{dead}-aa").mkdir()
    (tmp_path / f".x.{host}-{dead}-aa" / "part").touch()
    (tmp_path / f".x.{host}-{dead}").touch()
    others = [f".x.{owner()}", f".x.elsewhere-{dead}", f".y.{host}-{dead}", f".x.{host}-none", ".x."]
    for name in others:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, ".x.")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
    remove_leftovers(tmp_path / "nowhere")


def test_the_next_call_for_an_output_removes_what_a_killed_one_left_of_it(tmp_path):
    (tmp_path / f".scores.json.partial-{socket.gethostname()}-{dead_process()}").write_text("{")
    write_json(tmp_path / "scores.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]
