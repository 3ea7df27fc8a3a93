"""How to segment an image: thresholds, contrast, and where the tiles lie."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import structs

from ..execution.batching import BatchSize
from ..images.scaling import check_percentiles
from ..images.tiling import TilePlan
from ..models.contract import Contract, Segmentation

__all__ = ["SegmentOptions"]


@dataclass(frozen=True)
class SegmentOptions:
    """How to segment; what is None is the model's.

    Attributes
    ----------
    tile
        Largest height and width of a tile, a multiple of the network's stride. Tiles are made as
        small as their number allows; an image that fits in one is not cut.
    overlap
        Pixels that neighbouring tiles share, a multiple of the network's stride and smaller than
        ``tile``. Default: twice the radius of the receptive field, with which tiles give what the
        whole image gives; less is faster and inexact at the seams.
    level
        Of a pyramid: 0 is the full resolution.
    invert
        Dark objects on bright ground: grey levels are turned round first.
    percentiles, noise_floor, mask_threshold, marker_threshold, min_area
        Default: those of the model's card.
    batch_size
        Tiles per call of the session.
    """

    tile: int = 1024
    overlap: int | None = None
    level: int = 0
    invert: bool = False
    percentiles: tuple[float, float] | None = None
    noise_floor: float | None = None
    mask_threshold: float | None = None
    marker_threshold: float | None = None
    min_area: int | None = None
    batch_size: BatchSize = "auto"

    def settings(self, contract: Contract) -> Segmentation:
        """The contract's settings with those given here.

        Raises
        ------
        ValueError
            A threshold outside 0 to 1, a negative area or noise floor.
        """
        assert contract.segmentation is not None
        names = ("percentiles", "noise_floor", "mask_threshold", "marker_threshold", "min_area")
        given = {name: getattr(self, name) for name in names}
        for name in ("mask_threshold", "marker_threshold"):
            if given[name] is not None and not 0 <= given[name] <= 1:
                raise ValueError(f"{name} must be 0 to 1, not {given[name]}")
        low, high = (
            contract.segmentation.percentiles if self.percentiles is None else self.percentiles
        )
        check_percentiles(low, high)
        for name in ("min_area", "noise_floor"):
            if given[name] is not None and not 0 <= given[name] < float("inf"):
                raise ValueError(f"{name} must not be negative, not {given[name]}")
        chosen = {name: value for name, value in given.items() if value is not None}
        return structs.replace(contract.segmentation, **chosen)

    def plan(self, contract: Contract, height: int, width: int) -> TilePlan:
        """Where the tiles of an image of this size lie.

        Raises
        ------
        ValueError
            Tile or overlap no multiple of the network's stride; an overlap that is not smaller than
            the tile.
        """
        stride = contract.first.length_multiple
        overlap = self.overlap
        if overlap is None:
            overlap = -(-2 * (contract.receptive_field // 2) // stride) * stride
        if self.tile < 1 or self.tile % stride or overlap < 0 or overlap % stride:
            raise ValueError(
                f"tile and overlap must be multiples of the network's stride {stride}, "
                f"not {self.tile} and {overlap}"
            )
        if overlap >= self.tile:
            raise ValueError(
                f"overlap must be smaller than tile, not {overlap} with tile {self.tile}"
            )
        least = contract.first.min_length
        axes = [_axis(side, self.tile, overlap, stride, least) for side in (height, width)]
        size, shared = ((rows, columns) for rows, columns in zip(*axes, strict=True))
        return TilePlan((height, width), size, shared, stride)


def _axis(side: int, tile: int, overlap: int, stride: int, least: int) -> tuple[int, int]:
    """Size and overlap of the tiles along an axis: as few as can be, and those as small as can."""
    padded = max(-(-side // stride) * stride, least)
    if padded <= tile:
        return padded, 0
    count = -(-(padded - overlap) // (tile - overlap))
    wanted = -(-(padded + (count - 1) * overlap) // count)
    return min(tile, max(-(-wanted // stride) * stride, least)), overlap
