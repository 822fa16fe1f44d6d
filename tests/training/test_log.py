"""Training logs: one JSON object a line, appended, and the same numbers in TensorBoard's files."""

import json
import time

from subgrid.training.log import all_of, json_lines, read_json_lines, tensorboard


def test_lines_are_appended_and_survive_a_second_run(tmp_path):
    path = tmp_path / "log.jsonl"
    json_lines(path)(20, {"loss": 0.5})
    json_lines(path)(40, {"loss": 0.25, "gradient_norm": 3.0})
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["step"], row["loss"]) for row in rows] == [(20, 0.5), (40, 0.25)]
    assert rows[1]["gradient_norm"] == 3.0
    assert all(row["seconds"] >= 0 for row in rows)


def test_a_resumed_run_cuts_what_it_will_write_again(tmp_path):
    path = tmp_path / "log.jsonl"
    write = json_lines(path)
    for step in (20, 40, 60):
        write(step, {"loss": 1 / step})
    with path.open("a") as file:
        file.write('{"step": 80, "lo')  # torn by a kill
    assert [row["step"] for row in read_json_lines(path)] == [20, 40, 60]
    json_lines(path, from_step=40)(60, {"loss": 7.0})
    assert [(row["step"], row["loss"]) for row in read_json_lines(path)] == [(20, 0.05), (40, 0.025), (60, 7.0)]
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]
    assert read_json_lines(tmp_path / "none.jsonl") == []


def test_each_report_gets_the_numbers():
    seen = []
    all_of(lambda *a: seen.append(("a", *a)), lambda *a: seen.append(("b", *a)))(1, {"loss": 2.0})
    assert seen == [("a", 1, {"loss": 2.0}), ("b", 1, {"loss": 2.0})]


def test_tensorboard_holds_the_scalars(tmp_path):
    tensorboard(tmp_path)(7, {"loss": 0.5})
    (events,) = tmp_path.glob("events.out.tfevents.*")
    deadline = time.monotonic() + 10  # tensorboardX writes from a thread of its own
    while b"loss" not in events.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert b"loss" in events.read_bytes()
