"""One device, two devices, two processes: the same batches, the same losses; and the same bits after a kill."""

import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.training import distributed
from subgrid.training.distributed import any_process, is_first_process, require_same_step

PROBLEM = """
import json, os, signal, sys
import equinox as eqx, jax, jax.numpy as jnp, jax.random as jr, numpy as np
from subgrid.data.stream import stream_batches
from subgrid.training.checkpoint import Checkpoints
from subgrid.training.distributed import join_processes
from subgrid.training.feed import Streamed, as_read
from subgrid.training.fitting import TrainingSchedule, fit, warmup_cosine

class Line(eqx.Module):
    slope: jax.Array

    def __call__(self, x):
        return self.slope @ x

def train(data, draw, folder=None, send=None):
    truth = jnp.arange(4.0)[:, None] - 1.0  # a constant that the loss closes over, as those of priors do
    losses = []

    def loss(model, batch, key):
        noisy = batch[:, 0] + 0.01 * jr.normal(key, batch[:, 0].shape)
        return jnp.mean((jax.vmap(model)(noisy) - batch[:, 0] @ truth) ** 2)

    def report(step, metrics):
        losses.append(metrics["loss"])
        if step == 25 and send is not None:
            os.kill(os.getpid(), send)

    model = fit(
        Line(jnp.zeros((1, 4))), loss, data, draw, TrainingSchedule(60, warmup_cosine(60, peak=0.2), 0.9, 5, 10),
        checkpoints=Checkpoints(folder) if folder else None, report=report, key=jr.key(2),
    )
    return {"losses": losses, "slope": np.asarray(model.slope + 0).tolist()}

def train_streamed(archive, folder=None, send=None):
    # Chunks of 8 samples of 16 bytes; windows of two of them in each of two lanes.
    stream = stream_batches(archive, ["u"], batch_size=16, key=jr.key(5), n_lanes=2, memory=2 * 2 * 2 * 8 * 16)
    return train(Streamed(stream.part(jax.process_index(), jax.process_count())), as_read, folder, send)

def train_resident():
    return train(jr.normal(jr.key(1), (64, 1, 4)), lambda data, key: data[jr.randint(key, (16,), 0, len(data))])
"""
exec(PROBLEM)  # the same problem here and in the processes below

ELSEWHERE = """
archive, folder, layout, send = sys.argv[1:]
if layout != "alone":
    port, process = layout.split(":")
    join_processes(f"127.0.0.1:{port}", n_processes=2, process=int(process))
answer = {"devices": jax.device_count()}
answer["streamed"] = train_streamed(archive, folder or None, getattr(signal, send, None))
answer["resident"] = train_resident()
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "u.zarr"
    values = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    dataset = xr.Dataset({"u": (("time", "x"), values)})
    dataset.to_zarr(path, zarr_format=3, consolidated=True, encoding={"u": {"chunks": (8, 4)}})
    return path


@pytest.fixture(scope="module")
def alone(archive):
    return {"streamed": train_streamed(archive), "resident": train_resident()}


def start(archive, *, folder="", layout="alone", send="", devices=1):
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    }
    command = [sys.executable, "-c", PROBLEM + ELSEWHERE, str(archive), str(folder), layout, send]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def two_processes(archive, **options):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [start(archive, layout=f"{port}:{process}", **options) for process in (0, 1)]


def outcome(process):
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, out, err[-3000:]


def answer(process):
    code, out, err = outcome(process)
    assert code == 0, err
    return json.loads(out.splitlines()[-1])


def assert_same_curve(one, other):
    # Sums over the batch in another order: float32 rounding (6e-8), amplified over 60 steps of Adam, which divides by
    # the gradient's own size. One row drawn differently would show at 1e-2.
    for source in ("streamed", "resident"):
        np.testing.assert_allclose(other[source]["losses"], one[source]["losses"], rtol=1e-4)
        np.testing.assert_allclose(other[source]["slope"], one[source]["slope"], rtol=1e-3, atol=1e-5)


def test_the_stream_trains(alone):
    losses = alone["streamed"]["losses"]
    assert len(losses) == 12
    assert losses[-1] < losses[0] / 10


@pytest.mark.slow
def test_two_devices_give_the_losses_of_one(archive, alone):
    two = answer(start(archive, devices=2))
    assert two["devices"] == 2
    assert_same_curve(alone, two)


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(archive, alone, tmp_path):
    first, second = map(answer, two_processes(archive, folder=tmp_path))
    assert first["devices"] == second["devices"] == 2
    assert_same_curve(alone, first)
    assert second["streamed"] == {"losses": [], "slope": first["streamed"]["slope"]}  # process 0 alone reports
    # What two processes saved, one resumes from: it was done, and the bits are the same.
    assert train_streamed(archive, tmp_path) == {"losses": [], "slope": first["streamed"]["slope"]}


@pytest.mark.slow
def test_an_interrupt_of_one_process_stops_both_and_one_can_go_on(archive, alone, tmp_path):
    for process in two_processes(archive, folder=tmp_path, send="SIGINT"):  # process 0 alone reports, so it alone sends
        code, _, err = outcome(process)
        assert code == 1 and "training interrupted after 25 steps, saved in" in err, err
    resumed = train_streamed(archive, tmp_path)
    np.testing.assert_allclose(resumed["losses"], alone["streamed"]["losses"][5:], rtol=1e-4)  # as above


def test_killed_and_resumed_ends_with_the_same_bits(archive, alone, tmp_path):
    code, _, err = outcome(start(archive, folder=tmp_path, send="SIGKILL"))
    assert code == -signal.SIGKILL, err
    resumed = train_streamed(archive, tmp_path)  # from step 20, the last saved
    assert resumed == {**alone["streamed"], "losses": alone["streamed"]["losses"][4:]}


def test_interrupted_and_resumed_ends_with_the_same_bits(archive, alone, tmp_path):
    with pytest.raises(Exception, match=f"after 25 steps, saved in {tmp_path}"):
        train_streamed(archive, tmp_path, signal.SIGINT)
    resumed = train_streamed(archive, tmp_path)
    assert resumed == {**alone["streamed"], "losses": alone["streamed"]["losses"][5:]}


def test_a_missing_value_stops_training_with_its_file_and_time(tmp_path):
    values = np.ones((100, 4), np.float32)
    values[37, 2] = np.nan
    xr.Dataset({"u": (("time", "x"), values)}).to_zarr(
        tmp_path / "gap.zarr", zarr_format=3, consolidated=True, encoding={"u": {"chunks": (8, 4)}}
    )
    with pytest.raises(DataError, match=r"gap\.zarr: u is nan at time index 37, x 2; fill"):
        train_streamed(tmp_path / "gap.zarr")


def test_alone_this_process_is_the_first():
    assert is_first_process()
    assert any_process(True) and not any_process(False)


def test_a_command_line_names_the_processes(monkeypatch):
    joined = []
    monkeypatch.setattr(distributed, "join_processes", lambda *a, **k: joined.append((*a, *k.values())))
    distributed.join_from_text("auto")
    distributed.join_from_text("node0:12345,1/2")
    assert joined == [(), ("node0:12345", 2, 1)]
    for text in ("node0", "node0:1,2/2", "node0:12345,1", ""):
        with pytest.raises(ValueError, match='"auto" or as "host:port,i/n"'):
            distributed.join_from_text(text)


def test_processes_with_checkpoints_of_their_own_are_reported(monkeypatch):
    require_same_step(40)
    monkeypatch.setattr("jax.process_count", lambda: 2)
    monkeypatch.setattr("jax.experimental.multihost_utils.process_allgather", lambda step: np.array([0, step]))
    with pytest.raises(ValueError, match=r"different steps \(0, 40\); put the folder on a disk that all"):
        require_same_step(40)
