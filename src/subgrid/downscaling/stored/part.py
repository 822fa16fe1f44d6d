"""One part of a model in one Zarr store: its description as an attribute, its arrays beside each other."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.store import write_zarr
from subgrid.downscaling.stored.codec import Arrays, LaterVersion, decode, encode

FORMAT = 1
"""Raised where a stored part would mean something else."""


def save_part(path: Path, part: Any) -> None:
    """Writes a part, whole or not at all.

    Args:
        path: of the store, replaced if it is there.
        part: as for `encode`.

    Raises:
        TypeError: as `encode`.

    Examples:
        >>> save_part(folder / "preparation.zarr", preparation)
    """
    description, arrays = encode(part)
    variables = {name: (tuple(f"{name}.{axis}" for axis in range(array.ndim)), array) for name, array in arrays.items()}
    attributes = {"format": FORMAT, "part": json.dumps(description), "digest": _digest(arrays)}
    write_zarr(xr.Dataset(variables, attrs=attributes), path, overwrite=True)


def load_part(path: Path) -> Any:
    """What `save_part` wrote.

    Args:
        path: of the store.

    Returns:
        The part.

    Raises:
        DataError: if there is none, or one of another format or damaged.

    Examples:
        >>> preparation = load_part(folder / "preparation.zarr")
    """
    if not path.exists():
        raise DataError(f"{path.parent}: holds no {path.name}; it is no model, or its fit did not come so far.")
    try:
        with xr.open_zarr(path, chunks=None) as stored:
            found = stored.load()
        if found.attrs.get("format") != FORMAT:
            raise DataError(
                f"{path}: is of format {found.attrs.get('format')}, and this version of Subgrid reads {FORMAT}; use "
                "the version that wrote it, or fit the model anew."
            )
        arrays = {str(name): np.asarray(array.values) for name, array in found.data_vars.items()}
        if found.attrs.get("digest") not in (None, _digest(arrays)):  # Zarr fills with zeros what is lost of an array
            raise DataError(f"{path}: is damaged, its numbers are not those that were written; fit the model anew.")
        return decode(json.loads(found.attrs["part"]), arrays)
    except DataError:
        raise
    except LaterVersion as error:
        raise DataError(
            f"{path}: holds {error}, which this version of Subgrid does not know; use the later version that wrote it, "
            "or fit the model anew."
        ) from error
    except Exception as error:  # whatever the libraries below raise for a damaged store
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"{path}: is damaged and cannot be read ({said}); fit the model anew.") from error


def _digest(arrays: Arrays) -> str:
    """Of all arrays, by name."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        match array.dtype.kind:
            case "f" | "c":
                content = np.where(np.isnan(array), array.dtype.type(np.nan), array).tobytes()  # NaN has many forms
            case "m" | "M":
                content = array.astype(f"{array.dtype.kind}8[ns]").tobytes()  # as xarray reads them
            case "O" | "U":
                content = "\0".join(map(str, array.ravel())).encode()
            case _:
                content = array.astype(array.dtype.newbyteorder("=")).tobytes()
        digest.update(f"{name} {array.shape} ".encode() + content)
    return digest.hexdigest()
