"""What was found in each image, and the manifest that says how."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from ..execution.profile import Profile
from ..manifest import manifest, model_entry, read_manifest, write_manifest
from ..models.predictor import Predictor
from ..outputs import Outputs, output_errors
from .options import SegmentOptions
from .segmentation import contract_of

__all__ = ["SegmentReport", "earlier_images", "write_segment_manifest"]


@dataclass(frozen=True)
class SegmentReport:
    """What was found in one image.

    Attributes
    ----------
    image
        Its path.
    height, width
        In pixels.
    objects
        Number of objects.
    median_area
        Of the objects, in pixels; 0 without objects.
    covered
        Share of the image's pixels that are of an object.
    seconds
        Wall time since the image before.
    outputs
        Files written.
    sha256
        Of the image file.
    error
        What went wrong, empty if nothing; the other figures are 0 then.
    """

    image: str
    height: int = 0
    width: int = 0
    objects: int = 0
    median_area: float = 0.0
    covered: float = 0.0
    seconds: float = 0.0
    outputs: tuple[str, ...] = ()
    sha256: str = ""
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def write_segment_manifest(
    path: Path,
    predictor: Predictor,
    options: SegmentOptions,
    reports: Sequence[SegmentReport],
    earlier: Sequence[Mapping[str, Any]] = (),
    profile: Profile | None = None,
) -> None:
    """What was run on which images, as JSON: model and images by SHA-256, parameters, versions.

    ``profile`` is the time of each stage; ``earlier`` are entries of `earlier_images`; those of an
    image that has a new report are left out.
    """
    again = {report.image for report in reports}
    images = [
        *(entry for entry in earlier if entry["image"] not in again),
        *(report.to_dict() for report in reports),
    ]
    content = manifest(
        predictor,
        parameters=_parameters(predictor, options),
        profile=profile.to_dict() if profile is not None else None,
        results={"images": images},
    )
    with Outputs() as files, output_errors(path):
        write_manifest(files.open(path), content)


def _parameters(predictor: Predictor, options: SegmentOptions) -> dict[str, Any]:
    """As JSON has them; what does not change the result is left out."""
    parameters = asdict(options)
    del parameters["batch_size"]
    parameters["settings"] = structs.asdict(options.settings(contract_of(predictor)))
    plain: dict[str, Any] = json.loads(json.dumps(parameters))
    return plain


def earlier_images(
    path: Path, predictor: Predictor, options: SegmentOptions
) -> list[dict[str, Any]]:
    """Entries of the manifest of an earlier run that this one goes on with; none without a file.

    Raises
    ------
    ValueError
        It is no manifest, or of another model or other parameters.
    """
    if not path.exists():
        return []
    try:
        content = read_manifest(path)
        images: list[dict[str, Any]] = [entry for entry in content["images"] if entry["image"]]
        made = content["model"], content["parameters"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: not a manifest of seqtile segment") from None
    if made != (model_entry(predictor), _parameters(predictor, options)):
        raise ValueError(
            f"{path}: made with another model or other parameters: choose another folder, or do "
            "without --skip-done"
        )
    return images
