"""What names the inputs of a fit, so that an unfinished one goes on with the same inputs or not at all."""

import json
from typing import Any

import numpy as np
import xarray as xr

from subgrid.downscaling.stored.codec import encode
from subgrid.training.origin import digest
from subgrid.types import Coarsening


def digest_of_coordinates(dataset: xr.Dataset) -> str:
    """A short name of all coordinates with their attributes, and of those of the variables.

    Args:
        dataset: an archive.

    Returns:
        32 hexadecimal digits.
    """
    coordinates = sorted(dataset.coords.items(), key=lambda item: str(item[0]))
    described = [[str(name), each.dims, str(each.attrs), str(each.dtype)] for name, each in coordinates]
    variables = [[str(name), str(each.attrs)] for name, each in dataset.data_vars.items()]
    return digest(_text([described, variables]), *(_bits(each.values) for _, each in coordinates))


def digest_of_operator(operator: Coarsening) -> str:
    """A short name of C′: its kind, its settings and its arrays.

    Args:
        operator: of a known kind.

    Returns:
        32 hexadecimal digits.

    Raises:
        TypeError: for an operator that cannot be stored.
    """
    description, arrays = encode(operator)
    return digest(_text(description), *arrays.values())


def _bits(values: np.ndarray) -> np.ndarray:
    """Numbers as they are; dates, texts and objects as text."""
    return values if values.dtype.kind in "biufc" else _text(values.astype(str).tolist())


def _text(content: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(content, default=str).encode(), np.uint8)
