"""The size of a TIFF's pixels in micrometres, as microscopes and slide scanners write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

__all__ = ["pixel_size"]

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
# Coarser resolution tags than this are those of a screen or a printer (72 to 1000 per inch).
COARSEST = 25.0


def pixel_size(tiff: TiffFile, series: TiffPageSeries, level: int) -> float | None:
    """Side of a pixel at a level of the pyramid in micrometres; None where the file is silent.

    Taken from Aperio's ``MPP``, OME's ``PhysicalSizeX``, ImageJ's unit, or else the resolution tags
    where they say less than 25 um.
    """
    page = series.keyframe
    try:
        size = _stated(tiff, page)
    except (ValueError, KeyError, IndexError, TypeError, ZeroDivisionError):
        return None  # a description that is not what it says it is
    if size is None or not 0 < size < 1e6:
        return None
    return size * float(page.imagewidth / series.levels[level].keyframe.imagewidth)


def _stated(tiff: TiffFile, page: Any) -> float | None:
    import tifffile

    if tiff.is_svs:
        size = tifffile.tifffile.svs_description_metadata(page.description).get("MPP")
        return float(size) if size is not None else None
    if tiff.is_ome and tiff.ome_metadata:
        images = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
        pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
        unit = UNITS[pixels.get("PhysicalSizeXUnit", "µm")]
        return float(pixels["PhysicalSizeX"]) * unit
    per_unit = _pixels_per_unit(page)
    if per_unit is None:
        return None
    if tiff.is_imagej and tiff.imagej_metadata:
        unit = UNITS.get(str(tiff.imagej_metadata.get("unit", "")).lower(), 0.0)
        return unit / per_unit
    tag = page.tags.get(296)
    size = RESOLUTION_UNITS.get(int(tag.value) if tag is not None else 2, 0.0) / per_unit
    return size if size < COARSEST else None


def _pixels_per_unit(page: Any) -> float | None:
    tag = page.tags.get(282)  # XResolution
    if tag is None:
        return None
    numerator, denominator = tag.value
    return float(numerator) / float(denominator) or None
