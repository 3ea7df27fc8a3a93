"""Names of any kind in tables and on terminals: no cell, line or terminal is broken by one."""

from __future__ import annotations

import re

__all__ = ["escaped", "has_controls", "in_utf8"]

# Controls; what separates lines, or turns the direction of the text that follows.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n"))


def escaped(text: str) -> str:
    r"""A text with what is not to be printed as ``\x1b``, ``\n`` and so on; the rest as it is.

    >>> escaped("chr1\t\x1b[31m \u00e9")
    'chr1\\t\\x1b[31m \u00e9'
    """
    return text if text.isprintable() else _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    sign = found[0]
    return _NAMED.get(sign) or (f"\\x{ord(sign):02x}" if sign < "\xff" else f"\\u{ord(sign):04x}")


def in_utf8(name: str) -> str:
    r"""A name for a format that takes UTF-8 alone: a byte that is none is written ``\xe9``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def has_controls(table: bytes) -> bool:
    """Whether `escaped` would change more of a table in UTF-8 than its tabs and line ends."""
    if len(table.translate(None, _CONTROLS)) != len(table):
        return True
    if table.isascii():
        return False
    text = table.decode("utf-8", "surrogateescape")
    return len(_UNSAFE.findall(text)) > text.count("\t") + text.count("\n")
