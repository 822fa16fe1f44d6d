"""What a file is, by its first bytes and not by its name; and for what is neither NetCDF nor Zarr, how to open it."""

import bz2
import gzip
import io
import json
import lzma
import re
import shlex
import zipfile
from collections.abc import Callable
from pathlib import PurePosixPath

from subgrid.data.sources.remote import fetch_first, file_name, url_of

HEAD_BYTES = 4096
"""Read of a file to tell what it is."""
CLASSIC, HDF5, ZIP, EMPTY, UNKNOWN = "classic NetCDF", "NetCDF or HDF5", "a zip archive", "empty", "unknown"
READABLE = (CLASSIC, HDF5)
PAGE, CUT, DAP, NCML = "an HTML page", "cut", "a reply of OPeNDAP", "NcML"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
HDF5_PLACES = (0, 512, 1024, 2048)
"""Where it may stand: behind a block of the user."""
MAGIC = {
    b"CDF\x01": CLASSIC, b"CDF\x02": CLASSIC, b"CDF\x05": CLASSIC,
    b"\x0e\x03\x13\x01": "HDF4",
    b"GRIB": "GRIB", b"BUFR": "BUFR",
    b"II*\x00": "GeoTIFF", b"MM\x00*": "GeoTIFF", b"II+\x00": "GeoTIFF", b"MM\x00+": "GeoTIFF",
    b"PK\x03\x04": ZIP, b"PK\x05\x06": ZIP,
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4", b"\x1f\x9d": "compress", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "rar",
    b"\xcd\xf3\x00\x01": "CDF of NASA", b"\x93NUMPY": "an array of NumPy", b"PAR1": "Parquet",
    b"MATLAB 5": "MATLAB", b"%PDF": "PDF", b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF",
    b"\x80\x04\x95": "a pickle of Python", b"\x80\x05\x95": "a pickle of Python",
}  # fmt: skip
UNPACKERS = {
    "gzip": "gzip -dc {file} > {unpacked}", "bzip2": "bzip2 -dc {file} > {unpacked}",
    "xz": "xz -dc {file} > {unpacked}", "zstd": "zstd -dc {file} > {unpacked}", "lz4": "lz4 -dc {file} > {unpacked}",
    "compress": "gzip -dc {file} > {unpacked}", "7z": "7z x {file}", "rar": "unrar x {file}",
}  # fmt: skip
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z")
ADVICE = {
    "tar": "unpack it with `tar -xf {file}` and give what was in it",
    "GRIB": "convert it, for instance with `cdo -f nc copy {file} {netcdf}`, or `pip install cfgrib`, open it with "
    "xarray.open_dataset({name!r}, engine='cfgrib') and pass the Dataset, or write that with .to_netcdf",
    "HDF4": "convert it, for instance with `h4tonccf_nc4 {file} {netcdf}` of The HDF Group",
    "GeoTIFF": "convert it, for instance with `gdal_translate -of netCDF {file} {netcdf}`, and add its time",
    "CDL": "turn it into NetCDF with `ncgen -o {netcdf} {file}`",
    "CDF of NASA": "convert it, for instance with the cdf-to-netcdf tools of NASA's CDF office",
    "an array of NumPy": "name its dimensions and write it with xarray.DataArray(numpy.load({name!r}), dims=[…], "
    "name=…).to_netcdf({netcdf!r})",
    "a table of text": "put it on a grid and write it with pandas.read_csv({name!r}).set_index(['time', 'lat', 'lon'])"
    ".to_xarray().to_netcdf({netcdf!r}), with the names of its own columns",
    "references of kerchunk": "`pip install kerchunk`, open it with xarray.open_dataset({name!r}, engine='kerchunk') "
    "and pass the Dataset",
    "a pointer of Git LFS": "fetch the file itself with `git lfs pull`",
    PAGE: "as a server sends in place of a file where a login is needed or the address is wrong; fetch the file again",
    "an XML document": "as a server sends with an error; fetch the file again",
    DAP: "give what xarray.open_dataset makes of the address without {dap}, or the address from which the server sends "
    "the file itself",
    NCML: "which describes other files and holds no values; give the files that it names{located}",
    EMPTY: "fetch or write it again",
    "zeros": "its transfer did not end; fetch it again",
}
OTHER = "convert it to NetCDF with a program that reads it"
Unpacker = Callable[[bytes], bytes]


def kind_of(head: bytes) -> str:
    """What a file is, by how it begins.

    Args:
        head: its first `HEAD_BYTES`, or all of it where it is shorter.

    Returns:
        One of `READABLE`, `ZIP`, or the name of what Subgrid does not read.

    Examples:
        >>> kind_of(b"GRIB\\x00\\x00\\x00\\x01")
        'GRIB'
    """
    if not head:
        return EMPTY
    if 2 <= len(head) < 8 and any(magic.startswith(head) for magic in (HDF5_MAGIC, *MAGIC)):
        return CUT if len(head) < 4 or head not in MAGIC else MAGIC[head]
    if any(head[place:].startswith(HDF5_MAGIC) for place in HDF5_PLACES):
        return HDF5
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return "tar"
    if not head.strip(b"\x00"):
        return "zeros"
    if b"GRIB" in head[:512] and not _is_text(head):
        return "GRIB"  # behind a bulletin's heading
    return _kind_of_text(head) if _is_text(head) else UNKNOWN


def refusal(name: str, head: bytes) -> str:
    """One sentence on a file that is neither NetCDF nor Zarr: what it is, and how to open it.

    Args:
        name: its path or URL.
        head: its first `HEAD_BYTES`.

    Returns:
        The sentence.

    Examples:
        >>> refusal("fine.nc.gz", b"\\x1f\\x8b")
        'fine.nc.gz: is packed with gzip; unpack it with `gzip -dc fine.nc.gz > fine.nc` and give fine.nc.'
    """
    kind = kind_of(head)
    if kind in UNPACKERS:
        return _packed(name, head, kind)
    if kind == EMPTY:
        return f"{name}: is empty (0 bytes); {ADVICE[EMPTY]}."
    if kind == CUT:
        return f"{name}: ends after {len(head)} bytes, the first of a file that was cut short; {ADVICE[EMPTY]}."
    if kind == "zeros":
        return f"{name}: begins with {len(head)} zeros; {ADVICE['zeros']}."
    if kind == UNKNOWN:
        return f"{name}: is neither NetCDF nor Zarr (it begins with the bytes {head[:8].hex(' ')}); {OTHER}."
    advice = ADVICE.get(kind, OTHER)
    fetch, local = _fetched(name) if "{file}" in advice or "{name" in advice else ("", name)
    names = {"name": local, "file": shlex.quote(local), "netcdf": beside(local, ".nc")}
    names |= {"dap": _dap_suffix(name), "located": _located(head)}
    shown = _shown_line(head, kind)
    return f"{name}: is {kind}{shown}, and neither NetCDF nor Zarr; {fetch}{advice.format(**names)}."


def _fetched(name: str) -> tuple[str, str]:
    """How what is behind a URL comes here, before any other advice; and what it is called then."""
    if url_of(name) is None:
        return "", name
    return f"{fetch_first(name)}, and ", file_name(name)


def _dap_suffix(name: str) -> str:
    return PurePosixPath(file_name(name)).suffix or "its ending"


def _located(head: bytes) -> str:
    """The first files that NcML names."""
    found = re.findall(rb'location\s*=\s*"([^"]+)"', head)
    return f", {', '.join(each.decode('utf-8', 'replace') for each in found[:3])}" if found else ""


def zip_refusal(name: str, members: list[str]) -> str:
    """One sentence on a zip archive that holds no Zarr store.

    Args:
        name: its path or URL.
        members: the names in it.

    Returns:
        The sentence.
    """
    shown = ", ".join(members[:3]) + (f" and {len(members) - 3} more" if len(members) > 3 else "")
    fetch, local = _fetched(name)
    folder = beside(local, "")
    return (
        f"{name}: is a zip archive (it holds {shown or 'nothing'}); {fetch}unpack it with `python -m zipfile -e "
        f"{shlex.quote(local)} {shlex.quote(folder)}` and give {folder}."
    )


def beside(name: str, suffix: str) -> str:
    """A name for what is made of a file, beside it: with another suffix, and never the file itself."""
    bare = name
    for ending in (*PACKED_SUFFIXES, ".zip"):
        bare = bare.removesuffix(ending)
    stem = bare.removesuffix(PurePosixPath(bare).suffix)
    return f"{stem}{suffix}" if f"{stem}{suffix}" != name else f"{stem}_converted{suffix}"


def zip_members(content: io.IOBase | str) -> list[str]:
    """The names in a zip archive, without those of folders; none if it is damaged."""
    try:
        with zipfile.ZipFile(content) as archive:  # pyright: ignore[reportArgumentType]
            return [name for name in archive.namelist() if not name.endswith("/")]
    except (zipfile.BadZipFile, OSError):
        return []


def _packed(name: str, head: bytes, kind: str) -> str:
    """The command that unpacks, and what to give then."""
    fetch, local = _fetched(name)
    bare = next((local.removesuffix(s) for s in PACKED_SUFFIXES if local.endswith(s)), None)
    unpacked = bare if bare else beside(local, ".nc")
    inside = kind_of(_unpacked(head, kind))
    if inside == "tar" or local.endswith((".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tbz2")):
        return f"{name}: is a tar archive packed with {kind}; {fetch}{ADVICE['tar'].format(file=shlex.quote(local))}."
    command = UNPACKERS[kind].format(file=shlex.quote(local), unpacked=shlex.quote(unpacked))
    what = f"{inside} packed with {kind}" if inside not in (UNKNOWN, EMPTY, CUT) else f"packed with {kind}"
    give = unpacked if "{unpacked}" in UNPACKERS[kind] else "what was in it"
    return f"{name}: is {what}; {fetch}unpack it with `{command}` and give {give}."


def _unpacked(head: bytes, kind: str) -> bytes:
    """The beginning of what is packed, as far as the standard library unpacks it."""
    readers = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    if kind not in readers:
        return b""
    content = b""
    try:
        with readers[kind](io.BytesIO(head)) as stream:
            while len(content) < 512 and (part := stream.read1(512)):
                content += part
    except (OSError, EOFError, lzma.LZMAError):
        pass  # cut off where the head ends
    return content


def _is_text(head: bytes) -> bool:
    """No control codes, and letters: of ASCII, of UTF-8, or some of another alphabet between those of ASCII."""
    strange = sum(byte < 9 or 13 < byte < 32 for byte in head)
    if strange or b"\x00" in head:
        return False
    beyond = sum(byte > 126 for byte in head)
    whole_letters = "\ufffd" not in head[:-3].decode("utf-8", "replace")
    return whole_letters or 4 * beyond <= len(head)


def _kind_of_text(head: bytes) -> str:
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    start = text[:200].lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<body")) or "<html" in start:
        return PAGE
    if start.startswith("<") and "<netcdf" in start:
        return NCML
    if start.startswith("<"):
        return "an XML document"
    if start.startswith("version https://git-lfs"):
        return "a pointer of Git LFS"
    if re.match(r"netcdf\s+\S+\s*\{", start):
        return "CDL"
    if re.match(r"(dataset|attributes|error)\s*\{", start):
        return DAP
    if start.startswith("{") and (re.search(r'"refs"\s*:', text) or re.search(r'"\.z(group|metadata)"\s*:', text)):
        return "references of kerchunk"
    if start.startswith(("{", "[")) and _is_json(text):
        return "JSON"
    return "a table of text" if re.search(r"[,;\t].*\n", text) else "text"


def _is_json(text: str) -> bool:
    """Whether text is JSON, or may be where it is cut off."""
    try:
        json.loads(text)
    except ValueError:
        return len(text.encode()) >= HEAD_BYTES
    return True


def _shown_line(head: bytes, kind: str) -> str:
    """The first words of a text, which often say what went wrong."""
    text = head.decode("utf-8", "replace")
    if kind == PAGE:
        title = re.search(r"<title[^>]*>\s*(.*?)\s*</title>", text, re.I | re.S)
        return f" ({' '.join(title[1].split())!r})" if title else ""
    if kind in ("an XML document", "JSON", "text", "a table of text", DAP):
        first = (text.strip().splitlines() or [""])[0]
        return f" ({first[:60]!r}{' …' if len(first) > 60 else ''})"
    return ""
