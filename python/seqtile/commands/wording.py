"""What the command line says: of its own options, and of words that are nearly its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["in_options", "near"]

# What messages say of Python's calls alone.
_CALLS = {
    "input=InputSpec(...)": "--input-layout",
    "not input=": "not --input-layout",
    "with window=": "with --window",
    ", or open with Fasta(path, rebuild_index=True)": "",
    "(on the command line --": "(--",
    "must be 'auto' or at least 1": "must be at least 1",
}


def in_options(message: str, options: Mapping[str, str]) -> str:
    """A message about arguments of Python's calls, about the options that stand for them.

    Parameters
    ----------
    message
        As ``merge_gap must not be negative`` or ``use device='cpu'``.
    options
        By the argument's name the option: ``{"merge_gap": "--merge-gap"}``.

    Returns
    -------
    ``--merge-gap must not be negative``, ``use --device cpu``.
    """
    for call, words in _CALLS.items():
        message = message.replace(call, words)

    def value(found: re.Match[str]) -> str:
        option = options.get(found[1])
        return found[0] if option is None else f"{option} {found[3]}"

    def subject(found: re.Match[str]) -> str:
        return " and ".join(options.get(word, word) for word in found[0].split(" and "))

    message = re.sub(r"\b(\w+)=(['\"]?)([\w:,.-]+)\2", value, message)
    return re.sub(r"^\w+(?: and \w+)?(?= must\b|: )", subject, message)


def near(word: str, words: Iterable[str]) -> str:
    """``; did you mean ...?`` with the nearest of some words; nothing where none is near."""
    import difflib  # which takes a while, and is for wrong calls alone

    found = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""
