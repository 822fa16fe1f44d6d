"""The single steps on own files: train and downscale, what they take from a model, and what they need of memory."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.downscaling.prior.model import load_prior
from subgrid.experiments.downscale import steps

from ...tiny import PRIOR, TINY, called
from .opening import configured

METHODS = [pytest.param("diffusion", marks=pytest.mark.slow), "conditional-diffusion", "conditional-flow"]
"""The guided prior is slow, and test_bad_input.py draws from it."""


def test_a_model_brings_its_own_settings(tmp_path):
    """Trained, it has them itself; of a run, beside it; from Python it has none."""
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "bare").mkdir()
    assert steps.settings_of(tmp_path / "bare") is None
    (tmp_path / "run" / "config.toml").write_text("[coarsening]\nfactor = 4\n")
    assert steps.settings_of(tmp_path / "run" / "model") == tmp_path / "run" / "config.toml"
    (tmp_path / "run" / "model" / "config.toml").write_text("[coarsening]\nfactor = 2\n")
    assert steps.settings_of(tmp_path / "run" / "model") == tmp_path / "run" / "model" / "config.toml"
    (tmp_path / "run" / "model" / "config.toml").write_text('[climate]\nvariables = ["tas"]\n')
    with pytest.raises(DataError, match=r"is the model of another kind of run, with the table \[climate\]"):
        steps.settings_of(tmp_path / "run" / "model")


def test_an_archive_too_large_for_memory_is_streamed(archives, model, subgrid, tmp_path, monkeypatch):
    """With 10 kB of memory, a quarter of which is less than the 8 kB of fine.nc."""
    monkeypatch.setattr(steps, "_memory", lambda: 10_000)
    outcome = subgrid("train", archives / "fine.nc", "-o", tmp_path / "model", *TINY, PRIOR)
    assert outcome.code == 0, outcome.err
    fields = [json.loads((folder / "training.json").read_text())["fields"] for folder in (tmp_path / "model", model)]
    assert fields[0][:4] == [64, 1, 32, "u"] and isinstance(fields[1], str)  # where it is; a digest
    found, wanted = (load_prior(folder).standardiser for folder in (tmp_path / "model", model))
    np.testing.assert_allclose(found.std, wanted.std, rtol=1e-6)  # float32
    refused = subgrid("train", archives / "fine.nc", "-o", tmp_path / "other", "--join=node0", *TINY)
    assert refused.code == 2 and "host:port,i/n" in refused.complaint


@pytest.mark.parametrize("method", METHODS)
def test_train_and_downscale_on_single_files(method, archives, tmp_path):
    own = [f"--set=downscaling.method={method}", "--set=coarsening.factor=4", "--set=training.n_steps=10"]
    made = called("train", archives / "fine.nc", "-o", tmp_path / "model", *TINY, *own)
    assert made.code == 0, made.err
    output = tmp_path / ("out.nc" if method == "conditional-flow" else "out.zarr")
    made = called("downscale", archives / "coarse.nc", "-m", tmp_path / "model", "-o", output)
    assert made.code == 0, made.err
    assert output.is_file() == (output.suffix == ".nc")
    store, coarse = xr.open_dataset(output).load(), xr.open_dataset(archives / "coarse.nc")
    assert store.ensemble.dims == ("time", "member", "x") and store.ensemble.shape == (64, 3, 32)
    kept = store.ensemble.values[..., ::4] - coarse.u.values[:, None]
    # Guided, to what four levels of a network of ten steps allow; a conditional model by construction.
    assert np.abs(kept).max() < (1e-2 if method == "diffusion" else 1e-4)


def test_steps_show_how_far_they_are(archives, tmp_path, monkeypatch):
    reported = []

    @contextmanager
    def bar(name, *, enabled):
        assert enabled
        yield lambda done, total, note="": reported.append((name, done, total))

    monkeypatch.setattr(steps, "shown", bar)
    settings = [*(each.removeprefix("--set=") for each in TINY), "coarsening.factor=4", "debias.method=gaussian"]
    config, model, coarse = configured(settings), tmp_path / "model", archives / "coarse.nc"
    steps.train(config, archives / "fine.nc", model, None)
    steps.downscale(config, coarse, model, tmp_path / "out.zarr", archives / "fine.nc", None, False)
    assert list(dict.fromkeys(name for name, _, _ in reported)) == ["train", "downscale"]
    assert ("train", 20, 20) in reported and ("downscale", 64 * 3, 64 * 3) in reported
    table = steps.verify(tmp_path / "out.zarr", archives / "fine.nc", tmp_path / "metrics.json", None, False)
    assert {"generated", "floor"} == set(table.used)
