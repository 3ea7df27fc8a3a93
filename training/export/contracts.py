"""What the contracts of several tasks have in common."""

from __future__ import annotations

from seqtile.models.contract import Contract, Input, Output, Threshold

__all__ = ["embedding", "letters", "site_contract"]


def letters(alphabet: str, length: int | None = None, *, min_length: int) -> Input:
    """The input ``sequence``: ASCII letters of this length, None for any from ``min_length`` on."""
    return Input(
        name="sequence",
        kind="letters",
        shape=("batch", "length" if length is None else length),
        dtype="uint8",
        alphabet=alphabet,
        unknown="zero",
        min_length=min_length,
    )


def embedding(width: int) -> Output:
    """The output ``embedding``: the layer before the last, of this width."""
    return Output(name="embedding", kind="embedding", shape=("batch", width), dtype="float32")


def site_contract(
    name: str,
    length: int,
    labels: tuple[str, str],
    threshold: float,
    width: int,
    *further: Input,
    tolerance: float,
    receptive_field: int | None = None,
    assembly: str = "",
) -> Contract:
    """The contract of a model that says of a DNA segment which of two kinds it is.

    Parameters
    ----------
    length
        Of the segments, in bases.
    labels
        Names of what lies below the threshold and from it on.
    threshold
        Of the probability.
    width
        Of the embedding.
    further
        Inputs beside the letters.
    tolerance, receptive_field, assembly
        As of a `Contract`; default of the receptive field: all of the segment.
    """
    return Contract(
        name=name,
        version="1.1.0",
        inputs=(letters("dna", length, min_length=length), *further),
        outputs=(
            Output(
                name="probability", kind="score", shape=("batch",), dtype="float32", labels=labels
            ),
            embedding(width),
        ),
        assembly=assembly,
        receptive_field=length if receptive_field is None else receptive_field,
        training_window=length,
        threshold=Threshold(threshold),
        tolerance=tolerance,
    )
