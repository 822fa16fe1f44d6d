"""Archives that are addressed by a URL, such as s3://bucket/store.zarr, read through fsspec.

Credentials and options are those of fsspec: its configuration files, or variables of the environment such as
FSSPEC_S3='{"anon": true}' for a public bucket.
"""

import re
from pathlib import Path
from typing import Any

from subgrid.data.fields import DataError

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//|/(?!/))")
"""Of a URL; a `Path` leaves one of its two slashes. One letter alone is a drive of Windows."""
PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp",
    "abfs": "adlfs", "az": "adlfs", "hf": "huggingface_hub", "sftp": "paramiko", "ssh": "paramiko",
}  # fmt: skip
"""What fsspec needs beside itself, by scheme."""
MARKS = "*?["
"""Of a pattern; in an address on the web "?" begins its query."""


def url_of(path: str | Path) -> str | None:
    """The URL that a path is, with both its slashes; None for a path of this machine.

    Args:
        path: as given by the user; file:// is a path of this machine.

    Returns:
        The URL, or None.

    Examples:
        >>> url_of(Path("s3://bucket/fine.zarr"))
        's3://bucket/fine.zarr'
    """
    text = str(path)
    scheme = SCHEME.match(text)
    if "::" in text and "://" in text:
        return text
    if scheme is None or scheme[1] in ("file", "local"):
        return None
    if scheme[2] == "//":
        return text
    return f"{scheme[1]}://{text[scheme.end() :]}" if _is_known(scheme[1]) else None


def local_path(path: str | Path) -> Path:
    """The path of a file:// URL, and any other path as it is.

    Args:
        path: no URL of another scheme.

    Returns:
        The path.

    Examples:
        >>> local_path("file:///data/fine.nc")
        PosixPath('/data/fine.nc')
    """
    scheme = SCHEME.match(str(path))
    if scheme is None or scheme[1] not in ("file", "local"):
        return Path(path)
    from urllib.parse import unquote, urlsplit

    return Path(unquote(urlsplit(f"file:{str(path)[len(scheme[1]) + 1 :]}").path))


def filesystem_of(url: str) -> tuple[Any, str]:
    """The file system of fsspec that serves a URL, and the path in it.

    Args:
        url: of a file, a store, a folder or a pattern.

    Returns:
        The file system and the path.

    Raises:
        DataError: for a scheme that fsspec does not know, and for one whose package is missing.

    Examples:
        >>> filesystem_of("memory://fine.zarr")[1]
        '/fine.zarr'
    """
    import fsspec

    scheme = url.split("://")[0].split("::")[-1]
    if not all(_is_known(part.split("://")[0]) for part in url.split("::")):
        raise DataError(
            f"{url}: no file system is known for {scheme}://; use a path, or a URL such as s3://, gs:// or https://."
        )
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = PACKAGES.get(scheme, scheme)
        raise DataError(
            f"{url}: reading {scheme}:// needs the package {package}; install it with `pip install {package}`."
        ) from error
    except Exception as error:
        raise unreachable(url, error) from error


def remote_paths(url: str) -> list[str]:
    """The URLs that a pattern stands for, or the one that is given.

    Args:
        url: of a file, a store, a folder or a pattern.

    Returns:
        URLs in the order of their names.

    Raises:
        DataError: if nothing matches, or the store cannot be reached.

    Examples:
        >>> remote_paths("s3://bucket/tas_*.nc")
        ['s3://bucket/tas_1951.nc', 's3://bucket/tas_1952.nc']
    """
    if not is_pattern(url):
        return [url]
    fs, path = filesystem_of(url)
    try:
        found = sorted(fs.glob(path))
    except Exception as error:
        raise unreachable(url, error) from error
    if not found:
        raise DataError(f"{url}: no file matches; check the folder and the pattern.")
    return [fs.unstrip_protocol(match) for match in found]


def is_pattern(url: str) -> bool:
    """Whether a URL has a "*", "?" or "[" that stands for other letters."""
    marks = "*[" if url.startswith("http") else MARKS
    return any(mark in url for mark in marks)


def unreachable(url: str, error: BaseException) -> DataError:
    """What is said where a URL cannot be read.

    Args:
        url: that was asked for.
        error: of the file system.

    Returns:
        The error to raise.
    """
    if isinstance(error, FileNotFoundError):
        return DataError(f"{url}: no such file or store.")
    scheme = url.split("://")[0].split("::")[-1]
    if isinstance(error, PermissionError) or "redentials" in f"{type(error).__name__} {error}":
        option = f"; for public data set FSSPEC_{scheme.upper()}='{{\"anon\": true}}'" if scheme == "s3" else ""
        return DataError(f"{url}: access is refused; log in to the store{option}.")
    if (status := getattr(error, "status", None)) is not None:  # of a server that was reached
        return DataError(
            f"{url}: the server answers {status} {getattr(error, 'message', '')}. Many list no folders: name each file "
            "instead of a pattern, and of a Zarr store give one with consolidated metadata, or one on a disk."
        )
    return DataError(f"{url}: cannot be reached ({type(error).__name__}); check the address and the network.")


def _is_known(scheme: str) -> bool:
    import fsspec

    return scheme in fsspec.available_protocols()
