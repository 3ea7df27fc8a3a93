"""Where the files of ``seqtile segment`` go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import OutputError
from ..images.finding import OUTPUT_ENDINGS, SUFFIXES
from ..manifest import manifest_beside
from ..outputs import check_target, check_targets, is_stream
from ..segmenting.files import FORMATS, check_format

__all__ = ["Targets"]


class Targets:
    """The files to write for each image.

    In a folder they are called as the image, without its suffix; with it where it is no usual one
    and another image has the same name without.

    Parameters
    ----------
    images
        All image files.
    outputs
        Files of a single image.
    folder, formats
        A folder for the files of all images, and their suffixes without dots.

    Raises
    ------
    ValueError
        Files for several images, a folder and files at once, an unknown format, one given twice,
        an output that would overwrite an input, two images whose files would have one name.
    OutputError
        A folder that is missing, cannot be made or written.
    """

    def __init__(
        self,
        images: Sequence[Path],
        outputs: Sequence[str],
        folder: Path | None,
        formats: str,
    ) -> None:
        if outputs and folder:
            raise ValueError("give files (-o) or a folder (-d), not both")
        if outputs and len(images) > 1:
            raise ValueError(
                f"-o is for a single image, here are {len(images)}: give a folder with -d"
            )
        self._outputs = [Path(output) for output in outputs]
        self._folder = folder
        stems = Counter(image.stem for image in images)
        self._names = {
            image: image.name
            for image in images
            if stems[image.stem] > 1 and image.suffix.lower() not in SUFFIXES
        }
        names = [name.strip().removeprefix(".").lower() for name in formats.split(",")]
        self._suffixes = [f".{name}" for name in names] if folder else []
        kinds: set[str] = set()
        for name, suffix in zip(names, self._suffixes, strict=False):
            if suffix not in FORMATS:
                known = ", ".join(known.removeprefix(".") for known in FORMATS)
                raise ValueError(f"--formats: expected some of {known}, not {name!r}")
            kind = check_format(Path(f"--formats{suffix}"))
            if kind in kinds:
                raise ValueError(f"--formats: {kind} twice")
            kinds.add(kind)
        for output in self._outputs:
            check_format(output)
        check_targets(self._outputs)
        owner: dict[str, Path] = {os.path.realpath(image): image for image in images}
        for image in images:
            for target in self(image):
                other = owner.setdefault(os.path.realpath(target), image)
                if other is not image or os.path.realpath(target) == os.path.realpath(image):
                    raise ValueError(f"{target}: {image} would overwrite what is of {other}")
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{folder}: cannot make the folder: {error.strerror}") from error
            check_target(folder / "x")

    def __call__(self, image: Path) -> list[Path]:
        """The files of one image."""
        if self._folder is None:
            return self._outputs
        name = self._names.get(image, image.stem)
        return [self._folder / f"{name}{OUTPUT_ENDINGS[suffix]}" for suffix in self._suffixes]

    def refusal(self, image: Path) -> str:
        """Why the files of an image cannot be written, which ends no other; empty if nothing is."""
        if self._folder is None:
            return ""
        longest = os.pathconf(self._folder, "PC_NAME_MAX")
        for target in self(image):
            length = len(os.fsencode(target.name))
            if length > longest:
                return (
                    f"{image}: the name of its file {OUTPUT_ENDINGS[target.suffix]} would have "
                    f"{length} bytes, {longest} are allowed there: give the image a shorter name"
                )
        return ""

    @property
    def manifest(self) -> Path | None:
        """The file that says how the others were made, None where there are none."""
        if self._folder is not None:
            return self._folder / "segment.manifest.json"
        files = [output for output in self._outputs if not is_stream(output)]
        return manifest_beside(files[0]) if files else None
