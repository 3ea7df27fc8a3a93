"""The manifest of `seqtile segment`: which images were made into which files, and how."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs

from .. import interrupts
from ..errors import OutputError
from ..execution.profile import Profile
from ..manifest import manifest, model_entry, read_manifest, sha256_of, write_manifest
from ..models.predictor import Predictor
from ..outputs import Outputs, output_errors
from ..unfinished import locked
from .options import SegmentOptions
from .report import SegmentReport
from .segmentation import contract_of

__all__ = ["SegmentManifest"]

# Images are entered at most this often, and so that it takes at most this share of the time: a
# manifest of many images is long. What a killed run has not entered is made again.
_LEAST_S = 1.0
_SHARE = 0.02


class SegmentManifest:
    """The manifest of a run, which is up to date while it goes on.

    An image is entered with its checksum and those of its outputs. In a folder it is that of all
    runs there, also at the same time: each enters its images and strikes out whose files they
    replace. An image that was made with another model, precision or parameters than the manifest
    says has them in an entry ``made`` of its own.

    Parameters
    ----------
    path
        The file.
    predictor, options
        What the run uses.
    is_shared
        Whether it keeps what other runs have entered.
    profile
        Time of each stage.

    Raises
    ------
    ValueError
        The file is there, and is no such manifest.
    """

    def __init__(
        self,
        path: Path,
        predictor: Predictor,
        options: SegmentOptions,
        *,
        is_shared: bool,
        profile: Profile | None = None,
    ) -> None:
        self._path = path
        self._predictor = predictor
        self._profile = profile
        self._is_shared = is_shared
        self._has_begun = False
        self._made: dict[str, Any] = {
            "model": model_entry(predictor),
            "precision": predictor.precision,
            "parameters": _parameters(predictor, options),
        }
        self._new: list[SegmentReport] = []
        self._next = 0.0
        self._last_made: Mapping[str, Any] | None = None
        self._known: dict[str, _Entry] = {}
        if is_shared:
            for entry in self._read():
                self._known |= dict.fromkeys(entry.files, entry)

    def refuse_other(self) -> None:
        """Raise `ValueError` if files were made with another model, precision or parameters."""
        made = [self._last_made, *(entry.made for entry in self._known.values())]
        if any(other not in (None, self._made) for other in made):
            raise ValueError(
                f"{self._path}: made with another model or other parameters: choose another "
                "folder, or do without --skip-done"
            )

    def is_done(self, image: Path, targets: Sequence[Path]) -> bool:
        """Whether the files are there that were made of this very image in the same way."""
        interrupts.check()
        entries = [(target, self._known.get(target.name)) for target in targets]
        try:
            checksum = sha256_of(image) if all(entry for _, entry in entries) else ""
            return all(
                entry is not None
                and entry.made == self._made
                and entry.image["sha256"] == checksum
                and entry.files[target.name] == sha256_of(target)
                for target, entry in entries
            )
        except OSError:  # which is told when the image's turn comes
            return False

    def begin(self, targets: Iterable[Path]) -> None:
        """Say what the run uses, and strike out the outputs that it replaces by others.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        names = {target.name for target in targets}

        def struck(entries: Sequence[_Entry]) -> list[_Entry]:
            left = [e if e.made == self._made else e.without(names) for e in entries]
            return [entry for entry in left if entry]

        self._update(struck)
        self._has_begun = True

    def add(self, report: SegmentReport) -> None:
        """Enter an image, now or soon."""
        self._new.append(report)
        if time.monotonic() >= self._next:
            with suppress(OutputError):  # a full disk may have room at the end
                self._enter()

    def close(self) -> None:
        """Enter what is left.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        self._enter()

    def _enter(self) -> None:
        began = time.monotonic()
        try:
            self._update(self._entered)
            self._new.clear()
        finally:
            now = time.monotonic()
            self._next = now + max(_LEAST_S, (now - began) / _SHARE)

    def _entered(self, entries: Sequence[_Entry]) -> list[_Entry]:
        """The entries with those of new images, whose outputs are struck out of the others."""
        new = [_Entry(self._made, report.to_dict()) for report in self._new]
        here = [kept for entry in new if (kept := entry.without(entry.replaced()))]
        names = {name for entry in here for name in entry.files}
        images = {entry.image["image"] for entry in new}
        old = [e for e in entries if not e.image["error"] or e.image["image"] not in images]
        return [kept for entry in old if (kept := entry.without(names))] + here

    def _update(self, change: Callable[[Sequence[_Entry]], Sequence[_Entry]]) -> None:
        """Write it with changed entries; other runs wait until it is written."""
        with locked([self._path]):
            before = self._read() if self._is_shared or self._has_begun else []
            images = [
                {**entry.image, **({} if entry.made == self._made else {"made": entry.made})}
                for entry in change(before)
            ]
            content = manifest(
                self._predictor,
                parameters=self._made["parameters"],
                profile=self._profile.to_dict() if self._profile is not None else None,
                results={"images": images},
            )
            with Outputs() as files, output_errors(self._path):
                write_manifest(files.open(self._path), content)

    def _read(self) -> list[_Entry]:
        if not self._path.exists():
            return []
        try:
            content = read_manifest(self._path)
            self._last_made = made = {key: content[key] for key in self._made}
            return [_Entry.read(image, made) for image in content["images"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(
                f"{self._path}: not a manifest of seqtile segment, and one would take its place: "
                "move it, or choose another folder"
            ) from None


class _Entry(NamedTuple):
    """An image, and the model, precision and parameters that its outputs were made with."""

    made: Mapping[str, Any]
    image: Mapping[str, Any]

    @classmethod
    def read(cls, image: Mapping[str, Any], made: Mapping[str, Any]) -> _Entry:
        """An entry as the manifest has it; ``made`` is what holds where it does not say."""
        known = {"image": "", "error": "", "outputs": [], "output_sha256": [], **image}
        if not known["output_sha256"]:  # of before there were any
            known["output_sha256"] = [""] * len(known["outputs"])
        return cls(known.pop("made", made), known)

    @property
    def files(self) -> dict[str, str]:
        """Checksum of each output, by its name."""
        return {Path(output).name: checksum for output, checksum in self._pairs()}

    def _pairs(self) -> list[tuple[str, str]]:
        return list(zip(self.image["outputs"], self.image["output_sha256"], strict=True))

    def replaced(self) -> set[str]:
        """Names of the outputs in whose place other files are."""
        names = set()
        for output, checksum in self._pairs():
            with suppress(OSError):  # moved elsewhere meanwhile
                if checksum and sha256_of(output) != checksum:
                    names.add(Path(output).name)
        return names

    def without(self, names: Collection[str]) -> _Entry | None:
        """What is left of it without outputs of these names; None where that is no output."""
        pairs = self._pairs()
        left = [(output, checksum) for output, checksum in pairs if Path(output).name not in names]
        if len(left) == len(pairs):
            return self
        outputs, checksums = ([pair[i] for pair in left] for i in (0, 1))
        changed = {**self.image, "outputs": outputs, "output_sha256": checksums}
        return self._replace(image=changed) if left else None


def _parameters(predictor: Predictor, options: SegmentOptions) -> dict[str, Any]:
    """As JSON has them; what does not change the result is left out."""
    parameters = asdict(options)
    del parameters["batch_size"]
    parameters["settings"] = structs.asdict(options.settings(contract_of(predictor)))
    plain: dict[str, Any] = json.loads(json.dumps(parameters))
    return plain
