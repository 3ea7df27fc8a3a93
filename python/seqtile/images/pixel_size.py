"""The size of a TIFF's pixels in micrometres, as microscopes and slide scanners write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

__all__ = ["pixel_sides"]

# Units of OME-XML and ImageJ in micrometres.
UNITS = {
    "nm": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "inch": 25400.0,
}
RESOLUTION_UNITS = {2: 25400.0, 3: 1e4}  # of the tag ResolutionUnit: inch, centimetre
# Coarser than this are the resolutions of a screen or a printer (72 to 1000 per inch), which ImageJ
# takes over from the image that it opened, as pixels per inch or cm.
COARSEST = 25.0
PRINTED = ("inch", "cm")

Sides: TypeAlias = tuple[float, float]


def pixel_sides(tiff: TiffFile, series: TiffPageSeries, level: int) -> Sides | None:
    """Height and width of a pixel at a level of the pyramid in micrometres; None where the file is
    silent.

    Taken from Aperio's ``MPP``, OME's ``PhysicalSizeY`` and ``X``, ImageJ's unit, or else the
    resolution tags where they say less than 25 um.
    """
    page = series.keyframe
    try:
        sides = _stated(tiff, page)
    except (ValueError, KeyError, IndexError, TypeError, ZeroDivisionError):
        return None  # a description that is not what it says it is
    if sides is None or not all(0 < side < 1e6 for side in sides):
        return None
    factor = float(page.imagewidth / series.levels[level].keyframe.imagewidth)
    return sides[0] * factor, sides[1] * factor


def _stated(tiff: TiffFile, page: Any) -> Sides | None:
    import tifffile

    if tiff.is_svs:
        size = tifffile.tifffile.svs_description_metadata(page.description).get("MPP")
        return (float(size), float(size)) if size is not None else None
    if tiff.is_ome and tiff.ome_metadata:
        return _of_ome(tiff, tifffile.xml2dict(tiff.ome_metadata)["OME"])
    across = _pixels_per_unit(page, 282)  # XResolution
    down = _pixels_per_unit(page, 283) or across
    if across is None or down is None:
        return None
    if tiff.is_imagej and tiff.imagej_metadata:
        name = str(tiff.imagej_metadata.get("unit", "")).lower()
        unit, printed = UNITS.get(name, 0.0), name in PRINTED
    else:
        tag = page.tags.get(296)
        unit, printed = RESOLUTION_UNITS.get(int(tag.value) if tag is not None else 2, 0.0), True
    sides = unit / down, unit / across
    return None if printed and max(sides) >= COARSEST else sides


def _of_ome(tiff: TiffFile, ome: dict[str, Any]) -> Sides:
    """The sides that OME-XML tells of the image whose pixels this file holds."""
    images = ome["Image"]
    images = images if isinstance(images, list) else [images]
    own = [image["Pixels"] for image in images if _holds(image["Pixels"], ome, tiff.filename)]
    pixels = own[0] if own else images[0]["Pixels"]
    across = float(pixels["PhysicalSizeX"]) * UNITS[pixels.get("PhysicalSizeXUnit", "µm")]
    if "PhysicalSizeY" not in pixels:
        return across, across
    return float(pixels["PhysicalSizeY"]) * UNITS[pixels.get("PhysicalSizeYUnit", "µm")], across


def _holds(pixels: dict[str, Any], ome: dict[str, Any], name: str) -> bool:
    """Whether the file of this name has planes of an image, which of a set may lie in others."""
    planes = pixels.get("TiffData", [])
    for plane in planes if isinstance(planes, list) else [planes]:
        uuid = plane.get("UUID") if isinstance(plane, dict) else None
        if uuid is None:
            return True
        text = uuid.get("value") if isinstance(uuid, dict) else uuid
        if text == ome.get("UUID") or (isinstance(uuid, dict) and uuid.get("FileName") == name):
            return True
    return False


def _pixels_per_unit(page: Any, tag: int) -> float | None:
    found = page.tags.get(tag)
    if found is None:
        return None
    numerator, denominator = found.value
    return float(numerator) / float(denominator) or None
