"""Where data sets lie: a local copy, or a cache that the official source fills."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from http.client import HTTPException
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

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
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "seqtile" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def download(url: str, path: Path) -> None:
    """Fetch a file, with a progress bar; it appears under its name when it is whole."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with urllib.request.urlopen(url, timeout=60) as response, partial.open("wb") as file:
            total = int(response.headers.get("Content-Length") or 0) or None
            with tqdm(
                total=total, unit="B", unit_scale=True, desc=path.name, leave=False, disable=None
            ) as bar:
                while block := response.read(1 << 20):
                    file.write(block)
                    bar.update(len(block))
            if total is not None and file.tell() != total:  # `read` takes a cut for the end
                raise OSError(f"{file.tell()} of {total} bytes came")
        partial.replace(path)
    except (OSError, HTTPException) as error:
        raise DataError(f"cannot download {url}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


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
