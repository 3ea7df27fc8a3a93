"""Image files that files, folders and patterns name."""

from __future__ import annotations

import glob
import logging
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import ImageError
from ..manifest import read_manifest
from .raster import raster_format
from .reading import open_image
from .tiff import is_tiff

__all__ = ["OUTPUT_ENDINGS", "SUFFIXES", "find_images", "outputs_in"]

# What is an image in a folder, whatever it holds; a file of another suffix is one if it can be read
# as one. A file that is named itself may be called anything.
SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .bmp .dib .gif .tif .tiff .btf .tf8 .svs".split()  # noqa: SIM905
)
# Raw files of cameras: TIFF files that begin with a thumbnail.
_RAW = frozenset(".arw .cr2 .dng .nef .nrw .orf .pef .rw2 .srw".split())  # noqa: SIM905
_HEAD = 4096  # bytes, in which the tags of a TIFF file of labels lie, but for its tiles' places
# What `seqtile segment` adds to the name of an image, for each suffix that it writes in a folder.
OUTPUT_ENDINGS = {
    ".tif": ".labels.tif",
    ".tiff": ".labels.tiff",
    ".geojson": ".outlines.geojson",
    ".csv": ".objects.csv",
    ".parquet": ".objects.parquet",
    ".png": ".overlay.png",
}


def find_images(
    sources: Sequence[str | os.PathLike[str]],
    *,
    passed_over: Callable[[str], object] = lambda line: None,
) -> list[Path]:
    """Find the images that files, folders and patterns name.

    Parameters
    ----------
    sources
        Files; folders, of which the files with an image's suffix (in any case) are taken, and those
        of other suffixes that can be read as images, sorted by name, without subfolders and without
        names that begin with a dot, but with what cannot be looked at, as a link that leads
        nowhere, so that opening it says so; patterns with ``*``, ``?``, ``[...]`` and ``**``, of
        which the files are taken that match, sorted. What exists under its name is never taken as
        a pattern. Of folders and patterns, outputs of ``seqtile segment`` are left out.
    passed_over
        Called with a line for each folder that holds other files: how many of each kind.

    Returns
    -------
    the files in the order of the sources; one that was found before is not repeated, and a link
    stands aside for the file it leads to.

    Raises
    ------
    ImageError
        A source that names no file, or a folder without images.
    """
    found: dict[Path, str] = {}
    best: dict[str, Path] = {}  # of those that are one file
    for source in sources:
        for path in _found(os.fspath(source), passed_over):
            file = found[path] = os.path.realpath(path)
            if file not in best or (best[file].is_symlink() and not path.is_symlink()):
                best[file] = path
    return [path for path, file in found.items() if best[file] == path]


def _found(source: str, passed_over: Callable[[str], object]) -> Iterator[Path]:
    path = Path(source)
    if os.path.isdir(path):  # noqa: PTH112 - False, whatever the error
        yield from _in_folder(path, passed_over)
    elif os.path.lexists(path):
        yield path
    else:
        names = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
        files = [file for file in map(Path, names) if _may_be_file(file)]
        outputs = {folder: outputs_in(folder) for folder in {file.parent for file in files}}
        files = [file for file in files if file.name not in outputs[file.parent]]
        if not files:
            raise ImageError(path, "no such file or folder, and no file matches it as a pattern")
        yield from files


def _in_folder(folder: Path, passed_over: Callable[[str], object]) -> Iterator[Path]:
    outputs = outputs_in(folder)
    images, kinds = [], Counter[str]()
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or file.name in outputs or not _may_be_file(file):
            continue
        if _is_image(file):
            images.append(file)
        else:
            kinds[file.suffix.lower() or "without suffix"] += 1
    count = kinds.total()
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{number:,} {kind}" for kind, number in ordered)
    if not images:
        what = f"{listed} cannot be read" if kinds else "expected " + " ".join(sorted(SUFFIXES))
        raise ImageError(folder, f"a folder without images ({what})")
    if kinds:
        files = "1 file" if count == 1 else f"{count:,} files"
        passed_over(f"{folder}: passed over {files} that cannot be read as images: {listed}")
    yield from images


def _may_be_file(path: Path) -> bool:
    """Whether it is a file, or cannot be looked at, which opening it tells."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _is_image(path: Path) -> bool:
    """Whether a file in a folder is called as images are, or can be opened as one."""
    if path.suffix.lower() in SUFFIXES:
        return True
    if not _may_be_image(path):
        return False
    log = logging.getLogger("tifffile")  # it tells of what is but tried here
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        open_image(path).close()
    except (ImageError, OSError):
        return False
    finally:
        log.setLevel(level)
    return True


def _may_be_image(path: Path) -> bool:
    """Whether a file is called as images are, or begins as one."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix in _RAW:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError:
        return False
    return is_tiff(head) or raster_format(head) is not None


def outputs_in(folder: Path) -> frozenset[str]:
    """Names of the files in a folder that `seqtile segment` wrote, which are no images to take.

    A manifest there lists them; or they are called as its outputs are, stand beside an image of
    that name, and of labels say that it wrote them. None are known of a folder that cannot be
    listed.
    """
    try:
        files = [file for file in folder.iterdir() if _may_be_file(file)]
    except OSError:
        return frozenset()
    names = {file.name for file in files}
    found = set[str]()
    for name in names:
        if name.endswith(".manifest.json"):
            found |= _listed(folder / name)
    endings = {file: _ending(file.name) for file in files}
    if any(endings.values()):
        images = [file for file, ending in endings.items() if not ending and _may_be_image(file)]
        stems = {file.stem for file in images} | {file.name for file in images}
        found |= {
            file.name
            for file, ending in endings.items()
            if ending and file.name.removesuffix(ending) in stems and _is_ours(file)
        }
    return frozenset(found & names)


def _listed(path: Path) -> set[str]:
    """The name of a manifest of `seqtile segment`, and of the outputs beside it."""
    try:
        entries = read_manifest(path)["images"]
        outputs = [Path(output) for entry in entries for output in entry["outputs"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # is no manifest of it
        return set()
    return {path.name} | {file.name for file in outputs if file.parent == outputs[0].parent}


def _is_ours(path: Path) -> bool:
    """Whether labels are of `seqtile segment`, as their head says, and not from elsewhere."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return True
    return not is_tiff(head) or b"seqtile\0" in head


def _ending(name: str) -> str:
    return next((end for end in OUTPUT_ENDINGS.values() if name.endswith(end)), "")
