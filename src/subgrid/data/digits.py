"""Handwritten digits: the idx files of MNIST, and the shapes in them."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from subgrid.data.fields import DataError

IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
MAGIC = {3: 2051, 1: 2049}
"""The first number of an idx file of bytes, by its number of axes."""
MARGIN = 2
"""Pixels around an image of 28, which make it one of 32."""


def read_digits(folder: str | Path) -> tuple[UInt8[np.ndarray, "n y x"], UInt8[np.ndarray, " n"]]:
    """Images and labels of a folder of MNIST's test files.

    Args:
        folder: with the two gzip files.

    Returns:
        Images of 28 × 28 grey values, and their digits.

    Raises:
        DataError: for a file that is missing or is no idx file, naming it.

    Examples:
        >>> images, labels = read_digits("mnist")
    """
    images, labels = (_read_idx(Path(folder) / name, axes) for name, axes in ((IMAGES, 3), (LABELS, 1)))
    if len(images) != len(labels):
        raise DataError(f"{folder}: {IMAGES} holds {len(images)} images, and {LABELS} {len(labels)} labels.")
    return images, labels


def digit_shapes(images: UInt8[np.ndarray, "n y x"]) -> Bool[np.ndarray, "n wide wide"]:
    """Where images are brighter than a half, with a margin of 2 pixels.

    Args:
        images: of grey values.

    Returns:
        True inside the digits.
    """
    return np.pad(images > 127, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))


def _read_idx(path: Path, axes: int) -> UInt8[np.ndarray, "..."]:
    """An idx file: a magic number, sizes as 32-bit integers, bytes (LeCun's format)."""
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; the folder needs {IMAGES} and {LABELS}, as MNIST has them.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: is no whole gzip file ({error}).") from error
    n_head = 4 * (1 + axes)
    head = np.frombuffer(content[:n_head].ljust(n_head, b"\0"), ">i4")
    sizes = tuple(int(size) for size in head[1:])
    if head[0] != MAGIC[axes] or len(content) != n_head + int(np.prod(sizes)):
        raise DataError(f"{path}: is no idx file of {axes} axes, or it is cut short.")
    return np.frombuffer(content[n_head:], np.uint8).reshape(sizes)
