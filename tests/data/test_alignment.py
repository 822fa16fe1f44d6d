"""Archives that do not speak of the same place are refused, with both sides named."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.alignment import check_aligned
from subgrid.data.fields import DataError, samples_of
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


def test_what_fits_passes():
    check_aligned(archive("coarse.nc", 3, 3), FINE, OPERATOR)
    check_aligned(archive("coarse.nc", 3, 3), archive("fine.nc", 12, 12, units="kelvin"), OPERATOR)
    # Every fourth point begins at the first fine one, .375 of a coarse cell from the centre of its block.
    check_aligned(archive("coarse.nc", 3, 3), FINE, Subsample((12, 12), 4))


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
    bare = samples_of(xr.DataArray(np.zeros((10, 3, 3)), dims=("time", "y", "x"), name="tas"), source="coarse.nc")
    check_aligned(bare, FINE, OPERATOR)
