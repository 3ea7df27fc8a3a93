"""The command line: ``seqtile models | predict | embed | scan | segment | kmers | ...``.

Data goes to standard output, progress and messages to standard error. Exit status 0, 1 for a
failure, 2 for a wrong call, 128 and its number for a signal.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from . import interrupts, streams
from .errors import one_line
from .escaping import escaped

__all__ = ["main"]

# The verbs, and what `seqtile --help` says of each. `commands` has a module of each name, which is
# imported when its verb is called: `add_arguments(parser)`, and `run(options)`, whose answer is the
# exit status (None: 0).
VERBS = {
    "models": "list, show, verify the models",
    "predict": "predict each FASTA record or each image",
    "embed": "the penultimate layer for each FASTA record or image",
    "scan": "score windows along sequences",
    "segment": "find objects in images",
    "kmers": "count k-mers",
    "motifs": "what a network's filters look for",
    "bench": "throughput and latency of models",
    "doctor": "what runs on this machine",
}
# What a user's call can meet; anything else is a fault of ours and shows its traceback.
_FAILURES = (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, MemoryError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Without ``arguments`` it is that of the process, which a signal then ends.
    """
    streams.prepare()
    words = sys.argv[1:] if arguments is None else arguments
    return interrupts.heeding(lambda: _run(words), ends=arguments is None)


def _run(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    messages = logging.StreamHandler()
    messages.setFormatter(_Message("seqtile: %(message)s"))
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.WARNING, handlers=[messages]
    )
    if not options.debug:  # it warns of what it then raises
        logging.getLogger("pyvips").setLevel(logging.ERROR)
    run: Callable[[argparse.Namespace], int | None] = options.run
    try:
        streams.require_output()
        status = run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except _FAILURES as error:
        interrupts.check()  # which may be what made it fail
        if options.debug:
            raise
        print(f"seqtile: error: {one_line(error)}", file=sys.stderr)
        return 1
    return status or 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    from . import __version__

    parser = _Parser(
        prog="seqtile", description="Ready-trained predictors for biological sequences and images."
    )
    parser.add_argument("--version", action="version", version=f"seqtile {__version__}")
    parser.set_defaults(debug=False)
    verbs = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=_Verb
    )
    called = next((word for word in arguments if word in VERBS), None)
    for name, text in VERBS.items():
        verb = verbs.add_parser(name, help=text)
        if name == called:
            module = import_module(f".commands.{name}", __package__)
            module.add_arguments(verb)
            verb.set_defaults(run=module.run)
    return parser.parse_args(arguments)


class _Message(logging.Formatter):
    """A message of a logger, on one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return escaped(super().formatMessage(record))


class _Parser(argparse.ArgumentParser):
    """Arguments, of which an error shows no controls."""

    def error(self, message: str) -> NoReturn:
        super().error(escaped(message))


class _Verb(_Parser):
    """A verb's arguments; options are spelled out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        self.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,
            help="messages, and tracebacks of errors",
        )


if __name__ == "__main__":
    raise SystemExit(main())
