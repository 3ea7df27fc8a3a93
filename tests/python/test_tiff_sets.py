"""TIFFs with more than one image, or of a set in several files: the plane in the file named."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from PIL import Image

from seqtile.errors import ImageError
from seqtile.images.reading import open_image, read_image
from tests.python.pictures import Array, picture

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def uuid(number: int) -> str:
    return f"urn:uuid:{UUID(int=number)}"


def write_set(folder: Path, planes: dict[str, Array], *, images: bool, **sizes: str) -> None:
    """One OME-XML in all files: a channel of one image in each, or an image in each."""
    places = {
        name: f'<UUID FileName="{name}">{uuid(number)}</UUID>' for number, name in enumerate(planes)
    }

    def image(number: int, pixels: Array, channels: int, data: str) -> str:
        height, width = pixels.shape
        size = sizes.get(f"image{number}", "")
        return (
            f'<Image ID="Image:{number}"><Pixels ID="Pixels:{number}" DimensionOrder="XYCZT" '
            f'Type="{pixels.dtype}" SizeX="{width}" SizeY="{height}" SizeC="{channels}" '
            f'SizeZ="1" SizeT="1" {size}>'
            + "".join(f'<Channel ID="Channel:{number}:{c}"/>' for c in range(channels))
            + f"{data}</Pixels></Image>"
        )

    def planes_of(first: int, name: str) -> str:
        return f'<TiffData FirstC="{first}" IFD="0" PlaneCount="1">{places[name]}</TiffData>'

    if images:
        described = [
            image(number, pixels, 1, planes_of(0, name))
            for number, (name, pixels) in enumerate(planes.items())
        ]
    else:
        data = "".join(planes_of(channel, name) for channel, name in enumerate(planes))
        described = [image(0, next(iter(planes.values())), len(planes), data)]
    for number, (name, pixels) in enumerate(planes.items()):
        xml = f'<?xml version="1.0"?><OME xmlns="{OME}" UUID="{uuid(number)}">'
        tifffile.imwrite(
            folder / name,
            pixels,
            description=xml + "".join(described) + "</OME>",
            metadata=None,
        )


def check_each(folder: Path, planes: dict[str, Array]) -> None:
    for name, pixels in planes.items():
        with open_image(folder / name) as image:
            assert image.levels == (pixels.shape,)
            assert image.dtype == pixels.dtype
            np.testing.assert_array_equal(image.read(), pixels)
        with Image.open(folder / name) as pillow:
            np.testing.assert_array_equal(np.asarray(pillow), pixels)


def test_a_channel_in_each_file(tmp_path: Path) -> None:
    planes = {f"c{channel}.ome.tif": picture(40, 30) + channel for channel in (1, 2, 3)}
    write_set(tmp_path, planes, images=False)
    check_each(tmp_path, planes)


def test_images_of_other_sizes_and_kinds_in_each_file(tmp_path: Path) -> None:
    planes = {
        "overview.ome.tif": picture(50, 60),
        "field.ome.tif": picture(45, 57, 1, np.uint16),
        "large.ome.tif": picture(90, 80),
    }
    write_set(tmp_path, planes, images=True)
    check_each(tmp_path, planes)
    (tmp_path / "overview.ome.tif").unlink()
    check_each(tmp_path, {name: planes[name] for name in ("field.ome.tif", "large.ome.tif")})


def test_the_pixel_size_is_of_the_image_in_the_file(tmp_path: Path) -> None:
    planes = {name: picture(20, 30) for name in ("a.ome.tif", "b.ome.tif")}
    sizes = {
        "image0": 'PhysicalSizeX="0.5" PhysicalSizeY="0.5"',
        "image1": 'PhysicalSizeX="250" PhysicalSizeXUnit="nm"',
    }
    write_set(tmp_path, planes, images=True, **sizes)
    for name, expected in (("a.ome.tif", 0.5), ("b.ome.tif", 0.25)):
        with open_image(tmp_path / name) as image:
            assert image.pixel_size == expected


def test_several_planes_in_a_file_of_a_set_are_a_stack(tmp_path: Path) -> None:
    write_set(tmp_path, {"a.ome.tif": picture(20, 30), "b.ome.tif": picture(20, 30)}, images=False)
    tifffile.imwrite(tmp_path / "b.ome.tif", picture(20, 30), append="force", metadata=None)
    with pytest.raises(ImageError, match="a stack of 2 planes of 20 x 30"):
        read_image(tmp_path / "b.ome.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif"), picture(20, 30))


def write_slide(path: Path, **beside: Array) -> Array:
    """An Aperio slide of one level, with what else its file holds."""
    slide = picture(64, 48, 3)
    names = {"thumbnail": 0, "label": 1, "macro": 9}
    with tifffile.TiffWriter(path) as writer:
        options: dict[str, Any] = {"photometric": "rgb", "metadata": None}
        text = "Aperio Image Library v12.0\r\n48x64 [0,0 48x64] (16x16)|AppMag = 20|MPP = 0.5"
        writer.write(slide, tile=(16, 16), description=text, **options)
        for name, kind in names.items():
            pixels = beside.get(name, picture(8, 6, 3))
            about = f"Aperio Image Library v12.0\r\n{name}"
            writer.write(pixels, subfiletype=kind, description=about, rowsperstrip=8, **options)
    return slide


@pytest.mark.parametrize("name", ["thumbnail", "label", "macro"])
def test_a_small_slide_beside_a_larger_picture(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    slide = write_slide(path, **{name: picture(100, 90, 3)})
    with open_image(path) as image:
        assert (image.levels, image.pixel_size) == (((64, 48),), 0.5)
        np.testing.assert_array_equal(image.read(), slide)


@pytest.mark.parametrize(("channels", "ground"), [(1, 0), (3, 255)])
def test_tiles_never_written_are_ground(channels: int, ground: int, tmp_path: Path) -> None:
    """Black beside fluorescence, white beside a stained section."""
    path = tmp_path / "a.tif"
    shape = (16, 16, channels) if channels > 1 else (16, 16)
    tiles = iter([np.full(shape, 7, np.uint8), None, None, np.full(shape, 9, np.uint8)])
    options: dict[str, Any] = {"photometric": "rgb" if channels > 1 else "minisblack"}
    whole = (32, 32, *shape[2:])
    options |= {"shape": whole, "dtype": np.uint8, "tile": (16, 16), "compression": "zlib"}
    tifffile.imwrite(path, tiles, **options)
    expected = np.full(whole, ground, np.uint8)
    expected[:16, :16], expected[16:, 16:] = 7, 9
    np.testing.assert_array_equal(read_image(path), expected)
