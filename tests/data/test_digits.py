"""MNIST's files: read as they were written, and named where they are not what they should be."""

import gzip

import numpy as np
import pytest

from subgrid.data.digits import IMAGES, LABELS, digit_shapes, read_digits
from subgrid.data.fields import DataError


def write(folder, images, labels):
    for name, values in ((IMAGES, images), (LABELS, labels)):
        head = np.array([{3: 2051, 1: 2049}[values.ndim], *values.shape], ">i4").tobytes()
        (folder / name).write_bytes(gzip.compress(head + values.tobytes()))


@pytest.fixture
def digits(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (3, 28, 28), np.uint8), np.array([7, 2, 1], np.uint8)
    write(tmp_path, images, labels)
    return tmp_path, images, labels


def test_a_round_trip(digits):
    folder, images, labels = digits
    found = read_digits(folder)
    assert (found[0] == images).all() and (found[1] == labels).all()
    shapes = digit_shapes(found[0])
    assert shapes.shape == (3, 32, 32) and shapes.sum() == (images > 127).sum()
    assert (shapes[:, 2:-2, 2:-2] == (images > 127)).all()


def test_files_that_are_not_what_they_should_be_are_named(digits):
    folder, images, labels = digits
    write(folder, images, labels[:2])
    with pytest.raises(DataError, match=r"holds 3 images, and .* 2 labels"):
        read_digits(folder)
    (folder / LABELS).write_bytes(gzip.compress(b"nothing of the kind"))
    with pytest.raises(DataError, match=r"t10k-labels.*is no idx file of 1 axes"):
        read_digits(folder)
    (folder / LABELS).write_bytes(b"plain")
    with pytest.raises(DataError, match="is no whole gzip file"):
        read_digits(folder)
    (folder / LABELS).unlink()
    with pytest.raises(DataError, match="no such file; the folder needs"):
        read_digits(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda packed: packed[:-12], "is no whole gzip file"),
        (lambda packed: packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:], "is no whole gzip file"),  # the checksum
        (lambda packed: packed[:12] + bytes(8) + packed[20:], "is no whole gzip file"),  # the stream itself
        (lambda packed: gzip.compress(b""), "is no idx file of 3 axes, or it is cut short"),
        (lambda packed: gzip.compress(gzip.decompress(packed)[:9]), "cut short"),  # within its header
        (lambda packed: gzip.compress(gzip.decompress(packed)[:-1]), "cut short"),
        (lambda packed: gzip.compress(gzip.decompress(packed) + b"x"), "is no idx file"),
        (lambda packed: gzip.compress(b"\0\0\x08\x01" + gzip.decompress(packed)[4:]), "is no idx file of 3 axes"),
    ],
)
def test_damage_is_named(digits, damage, message):
    path = digits[0] / IMAGES
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message) as error:
        read_digits(digits[0])
    assert str(path) in str(error.value)


def test_ink_is_what_is_brighter_than_half():
    images = np.zeros((1, 28, 28), np.uint8)
    images[0, 0, 0], images[0, 27, 27], images[0, 5, 6] = 128, 255, 127
    assert np.argwhere(digit_shapes(images)[0]).tolist() == [[2, 2], [29, 29]]
