"""How well a segmentation finds objects: pixels by Dice and IoU, objects by AP and PQ.

Objects of truth and prediction are matched one to one where the IoU of their pixels is at least a
threshold. AP is TP / (TP + FP + FN), counted over all images before dividing, as in Schmidt et al.
(StarDist, MICCAI 2018); PQ, panoptic quality, is the sum of the matches' IoU over
TP + FP / 2 + FN / 2 (Kirillov et al., CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Labels = NDArray[np.integer]
Floats = NDArray[np.float64]


def overlaps(truth: Labels, predicted: Labels) -> Floats:
    """IoU of each pair of objects.

    Parameters
    ----------
    truth, predicted
        Shape (H, W): 0 is background, every other number one object; numbers may be left out.

    Returns
    -------
    float64, shape (objects of truth, objects of prediction), in the order of their numbers.

    Raises
    ------
    ValueError
        Shapes that differ.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has the shape {truth.shape}, prediction {predicted.shape}")
    (a, rows), (b, columns) = _numbered(truth), _numbered(predicted)
    common = np.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns)
    union = common.sum(1)[:, None] + common.sum(0) - common
    # An object has a pixel, so that no union is empty but that of the backgrounds, perhaps.
    return common[1:, 1:] / np.maximum(union[1:, 1:], 1)


def _numbered(labels: Labels) -> tuple[NDArray[np.int64], int]:
    """The pixels with objects numbered from 1 without gaps, flat, and the count with background.

    Counted, not sorted: two images of 256 x 256 take 0.7 ms and not 2.7.
    """
    present = np.bincount(labels.ravel(), minlength=1) > 0
    present[0] = True
    numbers = np.cumsum(present) - 1
    return numbers[labels.ravel()], int(numbers[-1]) + 1


def matched(iou: Floats, threshold: float) -> Floats:
    """The IoU of the pairs that are matched: as many pairs as can be, none below the threshold.

    Parameters
    ----------
    iou
        Of `overlaps`.
    threshold
        Above 0.

    Returns
    -------
    float64, shape (matches,).
    """
    good = iou >= threshold
    if (good.sum(0) <= 1).all() and (good.sum(1) <= 1).all():
        return iou[good]
    # A pair counts 1, and the IoU, which adds up to less than 1, decides between equal numbers.
    worth = np.where(good, 1 + iou / (2 * min(iou.shape)), 0)
    rows, columns = linear_sum_assignment(-worth)
    chosen = iou[rows, columns]
    return chosen[good[rows, columns]]


def count(truth: Labels, predicted: Labels, thresholds: Sequence[float]) -> Floats:
    """What one image adds to the figures.

    Returns
    -------
    float64, shape (thresholds, 4): matches, objects of truth, objects of prediction, sum of the
    matches' IoU. Counts of images may be added.
    """
    iou = overlaps(truth, predicted)
    pairs = [matched(iou, threshold) for threshold in thresholds]
    return np.array([[len(p), *iou.shape, p.sum()] for p in pairs], np.float64)


def average_precision(counts: NDArray[Any]) -> Any:
    """TP / (TP + FP + FN) of counts, shape (..., 4); 1 where there is nothing, and nothing found.

    To pool images, add their counts first.
    """
    hits, truth, found = (counts[..., i] for i in range(3))
    total = truth + found - hits
    return np.where(total > 0, hits / np.maximum(total, 1), 1.0)


def panoptic_quality(counts: NDArray[Any]) -> Any:
    """Sum of IoU / (TP + FP / 2 + FN / 2) of counts, shape (..., 4); 1 where there is nothing."""
    truth, found, iou = counts[..., 1], counts[..., 2], counts[..., 3]
    total = (truth + found) / 2
    return np.where(total > 0, iou / np.maximum(total, 0.5), 1.0)


def pixels(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> Floats:
    """Pixels of both, of truth, of prediction: float64, shape (3,). May be added."""
    return np.array([(truth & predicted).sum(), truth.sum(), predicted.sum()], np.float64)


def dice(counts: NDArray[Any]) -> Any:
    """2 |A and B| / (|A| + |B|) of `pixels`, shape (..., 3); 1 where both are empty."""
    total = counts[..., 1] + counts[..., 2]
    return np.where(total > 0, 2 * counts[..., 0] / np.maximum(total, 1), 1.0)


def iou(counts: NDArray[Any]) -> Any:
    """|A and B| / |A or B| of `pixels`, shape (..., 3); 1 where both are empty."""
    total = counts[..., 1] + counts[..., 2] - counts[..., 0]
    return np.where(total > 0, counts[..., 0] / np.maximum(total, 1), 1.0)
