"""Where data sets lie: a local copy, or a cache that the official source fills."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pooch
from numpy.typing import NDArray

from seqtile.errors import SeqtileError


class DataError(SeqtileError, ValueError):
    """Data that are missing, or are not those a checksum names."""


def local_copy(name: str) -> Path | None:
    """Folder ``$SEQTILE_DATA/<name>``, None if the variable is not set.

    Raises
    ------
    DataError
        The variable is set, but there is no such folder.
    """
    root = os.environ.get("SEQTILE_DATA")
    if not root:
        return None
    folder = Path(root) / name
    if not folder.is_dir():
        raise DataError(f"SEQTILE_DATA is {root!r}, but {folder} is no folder")
    return folder


def cache_folder(name: str) -> Path:
    """Folder of a data set in the user's cache (``$XDG_CACHE_HOME/seqtile/<name>``)."""
    folder = Path(pooch.os_cache("seqtile")) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def download(url: str, path: Path, checksum: str | None = None) -> None:
    """Fetch a file with a progress bar; it appears under its name when it is whole.

    Parameters
    ----------
    checksum
        SHA-256 of the file, or ``md5:`` and its MD5; None where any file will do and the caller
        checks what it holds. A file that is there and will do is not fetched again.

    Raises
    ------
    DataError
        The file cannot be had, or is not that of the checksum; names the address.
    """
    pooch.get_logger().setLevel("WARNING")
    http = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=1 << 20, timeout=60)
    try:
        pooch.retrieve(url, checksum, path.name, path.parent, downloader=http)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot download {url}: {error}") from error


def check_file(path: Path, checksum: str) -> None:
    """Compare a file's checksum, as `download` takes it, with the expected one.

    Raises
    ------
    DataError
        There is no such file, or they differ; names the file.
    """
    kind, _, expected = checksum.rpartition(":")
    kind = kind or "sha256"
    try:
        digest = pooch.file_hash(str(path), alg=kind)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if digest != expected:
        raise DataError(f"{path}: {kind} is {digest}, expected {expected}")


def check_content(what: str, expected: str, *arrays: NDArray[np.generic]) -> None:
    """Compare the SHA-256 of arrays' bytes with the expected one.

    Raises
    ------
    DataError
        They differ.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    if digest.hexdigest() != expected:
        raise DataError(f"{what}: sha256 is {digest.hexdigest()}, expected {expected}")
