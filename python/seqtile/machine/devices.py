"""Names of devices."""

from __future__ import annotations

import re

__all__ = ["parse_devices"]


def parse_devices(device: str) -> list[str]:
    """The devices that a string names, one by one.

    Parameters
    ----------
    device
        ``"cpu"``, ``"cuda"`` (the first GPU), ``"cuda:N"``, or several GPUs, ``"cuda:0,1"``.

    Returns
    -------
    list of str
        ``["cpu"]``, or ``"cuda:N"`` for each GPU, in the order given.

    Raises
    ------
    ValueError
        No such device, or one GPU named twice.
    """
    if device == "cpu":
        return ["cpu"]
    match = re.fullmatch(r"cuda(?::([0-9]{1,4}(?:,[0-9]{1,4})*))?", device)
    if match is None:
        raise ValueError(
            "device must be 'auto', 'cpu', 'cuda', 'cuda:N' or several as 'cuda:0,1', "
            f"not {device!r}"
        )
    numbers = [int(number) for number in (match[1] or "0").split(",")]
    for number in numbers:
        if numbers.count(number) > 1:
            raise ValueError(f"device names cuda:{number} more than once: {device!r}")
    return [f"cuda:{number}" for number in numbers]
