"""Archives that do not speak of the same place are refused, with both sides named."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError, samples_of
from subgrid.data.grids.alignment import check_aligned
from subgrid.numerics.operators import BlockMean, Subsample


def archive(source, n_lat, n_lon, *, descending=False, units="K", dims=("lat", "lon"), shift=0.0):
    """Ten maps of ten by ten degrees from 40 N, 0 E."""
    axes = {"lat": 40 + (np.arange(n_lat) + 0.5) * 10 / n_lat, "lon": shift + (np.arange(n_lon) + 0.5) * 10 / n_lon}
    axes["lat"] = axes["lat"][::-1] if descending else axes["lat"]
    shape = tuple(len(axes[d]) for d in dims)
    field = xr.DataArray(np.zeros((10, *shape)), dims=("time", *dims), coords=axes, attrs={"units": units}, name="tas")
    return samples_of(field, source=source)


FINE = archive("fine.nc", 12, 12)
OPERATOR = BlockMean((12, 12), 4)


def fault(coarse, fine=FINE, operator=OPERATOR) -> str | None:
    """What is said against the pair, None if nothing is."""
    try:
        check_aligned(coarse, fine, operator)
    except DataError as error:
        return str(error)
    return None


def test_what_fits_passes():
    coarse = archive("coarse.nc", 3, 3)
    assert fault(coarse) is None
    assert fault(coarse, archive("fine.nc", 12, 12, units="kelvin")) is None
    assert "convert one of them" in str(fault(coarse, archive("fine.nc", 12, 12, units="degC")))
    # Every fourth point begins at the first fine one, .375 of a coarse cell from the centre of its block.
    assert fault(coarse, operator=Subsample((12, 12), 4)) is None
    assert "sort, shift or cut" in str(fault(archive("coarse.nc", 3, 3, shift=3.0), operator=Subsample((12, 12), 4)))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"descending": True},
            r"coarse.nc: lat runs from 48.3333 to 41.6667, but lat of fine.nc, coarsened, from",
        ),
        ({"units": "degC"}, r"coarse.nc: tas is in 'degC', fine.nc in 'K'; convert one of them"),
        ({"dims": ("lon", "lat")}, r"coarse.nc: its space axes are \('lon', 'lat'\).*transpose"),
        ({"shift": 7.0}, r"coarse.nc: lon runs from 8.66667 to 15.3333, but lon of fine.nc.*sort, shift or cut"),
    ],
    ids=["upside down", "units", "transposed", "elsewhere"],
)
def test_what_does_not_is_refused(change, complaint):
    with pytest.raises(DataError, match=complaint):
        check_aligned(archive("coarse.nc", 3, 3, **change), FINE, OPERATOR)


def test_what_an_archive_does_not_say_is_not_asked():
    bare = xr.DataArray(np.zeros((10, 3, 3)), dims=("time", "y", "x"), name="tas")
    assert fault(samples_of(bare, source="coarse.nc")) is None
    said = samples_of(bare.assign_attrs(units="degC"), source="coarse.nc")
    assert "tas is in 'degC', fine.nc in 'K'" in str(fault(said))
