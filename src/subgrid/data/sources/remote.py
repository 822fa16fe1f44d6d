"""Archives that are addressed by a URL, such as s3://bucket/store.zarr, read through fsspec.

Credentials and options are those of fsspec: its configuration files, or variables of the environment such as
FSSPEC_S3='{"anon": true}' for a public bucket.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

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
VERSION = "?versionId="
"""Of an object of S3: no pattern."""
ARCHIVES = {"zip", "tar", "libarchive"}
"""File systems inside a file."""
WHOLE_AT_MOST = 2 * 2**30
"""Bytes fetched of a file whose server sends no parts of it."""


def url_of(path: str | Path) -> str | None:
    """The URL that a path is, with both its slashes; None for a path of this machine, as file:// is one."""
    text = str(path)
    scheme = SCHEME.match(text)
    if "::" in text and ("://" in text or _is_known(text.split("::")[0])):
        return text
    if scheme is None or scheme[1] in ("file", "local"):
        return None
    if scheme[2] == "//":
        return text
    return f"{scheme[1]}://{text[scheme.end() :]}" if _is_known(scheme[1]) else None


def local_path(path: str | Path) -> Path:
    """The path of a file:// URL, and any other path as it is."""
    scheme = SCHEME.match(str(path))
    if scheme is None or scheme[1] not in ("file", "local"):
        return Path(path)
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
    parts = url.split("::")
    schemes = [part.split("://")[0] for i, part in enumerate(parts) if "://" in part or i + 1 < len(parts)]
    if unknown := [each for each in schemes if not _is_known(each)]:
        raise DataError(
            f"{url}: no file system is known for {unknown[0]}://; use a path, or a URL such as s3://, gs:// or "
            "https://."
        )
    if schemes[-1:] and schemes[-1] in ARCHIVES and len(schemes) == len(parts):
        raise DataError(
            f"{url}: names what is in an archive, but not the archive; add it, as in {url}::archive.{schemes[-1]}."
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
    return [url_in(fs, match, url) for match in found]


def url_in(fs: Any, path: str, url: str) -> str:
    """The URL of a path that was found behind another one, through the same archives and caches."""
    parts = url.split("::")
    at = next((i for i, part in enumerate(parts) if "://" in part or part in ARCHIVES), None)
    if len(parts) == 1 or at is None:
        return fs.unstrip_protocol(path)
    parts[at] = path if "://" in path else f"{parts[at].split('://')[0]}://{path}"
    return "::".join(parts)


def is_pattern(url: str) -> bool:
    """Whether a URL has a "*", "?" or "[" that stands for other letters."""
    marks = "*[" if is_web(url) else MARKS
    return any(mark in bare_path(url) for mark in marks)


def is_web(url: str) -> bool:
    """Whether a URL, or a path of fsspec, is an address on the web, through a cache or not."""
    return re.search(r"(^|::)https?://", url) is not None


def bare_path(url: str) -> str:
    """A URL without its query and its fragment, which say nothing of what the file is called.

    Of other schemes, in whose names "?" and "#" may stand, all but the version of an object.
    """
    if is_web(url):
        return urlunsplit((*urlsplit(url)[:3], "", ""))
    return url.partition(VERSION)[0]


def store_of(url: str, *, asynchronous: bool = False) -> tuple[Any, str]:
    """The file system and the root of a Zarr store; a query, such as a token, goes with each of its files.

    Args:
        url: of the store.
        asynchronous: for zarr, which reads side by side.

    Returns:
        The file system of fsspec and the path in it.
    """
    import fsspec

    if not is_web(url) or "::" in url or not urlsplit(url).query:
        return fsspec.core.url_to_fs(url, asynchronous=True) if asynchronous else filesystem_of(url)
    query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    fs = fsspec.filesystem(urlsplit(url).scheme, asynchronous=asynchronous, params=query, skip_instance_cache=True)
    return fs, bare_path(url)


def sends_parts(fs: Any, path: str) -> bool:
    """Whether the end of a file can be read by itself: some web servers send files whole only, as archives do.

    Args:
        fs: the file system of fsspec.
        path: in it.

    Returns:
        True for all but archives and such servers.
    """
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if not protocols & {"http", "https"}:
        return not protocols & ARCHIVES
    try:
        with fs.open(path, "rb") as stream:
            if not stream.size:
                return False
            stream.seek(stream.size - 1)
            return stream.size == 1 or len(stream.read(1)) == 1
    except (ValueError, OSError):
        return False


def whole_copy(fs: Any, path: str, url: str) -> Path:
    """A temporary copy of a file that is sent whole only; it goes when Python ends.

    Args:
        fs: the file system of fsspec.
        path: in it.
        url: for messages.

    Returns:
        The copy.

    Raises:
        DataError: for a file that is too large to be fetched unasked, or cannot be.
    """
    try:
        size = fs.size(path)
        if size is None or size <= WHOLE_AT_MOST:
            return Path(_copied(fs, path).name) / file_name(path)
    except Exception as error:
        raise unreachable(url, error) from error
    raise DataError(
        f"{url}: it is sent whole only ({size / 1e9:.3g} GB), not in parts; {fetch_first(url)}, and give the copy."
    )


@cache
def _copied(fs: Any, path: str) -> TemporaryDirectory:
    """The folder that holds a copy of a file, fetched once; it goes with the process."""
    folder = TemporaryDirectory(prefix="subgrid-")
    fs.get_file(path, str(Path(folder.name) / file_name(path)))
    return folder


def fetch_first(url: str) -> str:
    """How a file behind a URL comes to this machine: a clause."""
    import shlex

    if is_web(url):
        return f"fetch it, `curl -L -o {shlex.quote(file_name(url))} {shlex.quote(url)}`"
    return "copy it here first"


def file_name(url: str) -> str:
    """What a file behind a URL is called, without its folders."""
    return bare_path(url).rstrip("/").rpartition("/")[2] or "data"


def unreachable(url: str, error: BaseException) -> DataError:
    """What is said where a URL cannot be read.

    Args:
        url: that was asked for.
        error: of the file system, which may hide the one of the network: that there is no file, where there was no
            answer.

    Returns:
        The error to raise.
    """
    every = list(_causes(error))
    scheme = url.split("://")[0].split("::")[-1]
    answers = [each for each in every if getattr(each, "status", None) is not None]  # of a server that was reached
    status = next((getattr(each, "status", None) for each in answers), None)
    refused = (isinstance(each, PermissionError) or "redentials" in f"{type(each).__name__} {each}" for each in every)
    if status in (401, 407) or any(refused):
        option = f"; for public data set FSSPEC_{scheme.upper()}='{{\"anon\": true}}'" if scheme == "s3" else ""
        return DataError(f"{url}: access is refused; log in to the store{option}.")
    if answers and status not in (404, 410):
        return DataError(
            f"{url}: the server answers {status} {getattr(answers[0], 'message', '')}. Many list no folders: name each "
            "file instead of a pattern, and of a Zarr store give one with consolidated metadata, or one on a disk."
        )
    network = next((each for each in every if _is_of_network(each)), None)
    if network is None and isinstance(error, FileNotFoundError):
        return DataError(f"{url}: no such file or store.")
    name = type(network or error).__name__
    return DataError(f"{url}: cannot be reached ({name}); check the address and the network.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_of_network(error: BaseException) -> bool:
    """Connections that fail, by the classes of Python and, by their names, those of packages."""
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return any(word in type(error).__name__ for word in ("Connect", "Timeout", "Disconnected", "gaierror", "SSL"))


def _is_known(scheme: str) -> bool:
    import fsspec

    return scheme in fsspec.available_protocols()
