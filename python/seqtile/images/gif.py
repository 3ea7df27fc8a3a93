"""GIF: its transparent colour."""

from __future__ import annotations

__all__ = ["opaque"]

EXTENSION, IMAGE, CONTROL = 0x21, 0x2C, 0xF9
HEADER, DESCRIPTOR = 13, 10  # bytes of the file's header, and of an image's


def opaque(data: bytes) -> bytes:
    """A GIF without its transparent colour: libvips makes those pixels black, PNG keeps theirs.

    What follows damage stays as it is.
    """
    changed = bytearray(data)
    try:
        place = HEADER + _colours(data[10])
        while data[place] in (EXTENSION, IMAGE):
            if data[place] == EXTENSION:
                if data[place + 1] == CONTROL:
                    changed[place + 3] &= ~1
                place += 2
            else:
                place += DESCRIPTOR + _colours(data[place + 9]) + 1
            while size := data[place]:
                place += 1 + size
            place += 1
    except IndexError:
        pass
    return bytes(changed)


def _colours(flags: int) -> int:
    """Bytes of a table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
