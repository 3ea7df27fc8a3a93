"""The command line: ``seqtile models | predict | embed | scan | segment | kmers | ...``.

Data goes to standard output, progress and messages to standard error. Exit status 0, 1 for a
failure, 2 for a wrong call, 128 and its number for a signal.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from . import interrupts, streams
from .commands.wording import in_options, near
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
            lines = traceback.format_exc().rstrip("\n").split("\n")
            print(*map(escaped, lines), sep="\n", file=sys.stderr)
            return 1
        message = in_options(one_line(error), options.option_names)
        print(f"seqtile: error: {message}", file=sys.stderr)
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
    called = arguments[0] if arguments else ""
    if arguments and called not in VERBS and not called.startswith("-"):
        parser.refuse(f"no command {called!r}" + (near(called, VERBS) or f": {', '.join(VERBS)}"))
    for name, text in VERBS.items():
        verb = verbs.add_parser(name, help=text)
        if name == called:
            module = import_module(f".commands.{name}", __package__)
            module.add_arguments(verb)
            verb.set_defaults(run=module.run, verb=name, option_names=verb.option_names())
    options, left = parser.parse_known_args(arguments)
    if left and called not in VERBS:
        parser.refuse(f"no option {called}: the command comes first")
    if left:
        verbs.choices[called].refuse_left(left)
    return options


class _Message(logging.Formatter):
    """A message of a logger, on one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return escaped(super().formatMessage(record))


class _Parser(argparse.ArgumentParser):
    """Arguments, of which an error shows no controls."""

    def error(self, message: str) -> NoReturn:
        super().error(escaped(message))

    def refuse(self, message: str) -> NoReturn:
        """End with one line that says the mend, for which the usage would be too much."""
        self.exit(2, f"{self.prog}: error: {escaped(message)} (see {self.prog} --help)\n")


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

    def option_names(self) -> dict[str, str]:
        """By what Python calls an argument its option."""
        return {
            action.dest: max(action.option_strings, key=len)
            for action in self._actions
            if action.option_strings
        }

    def refuse_left(self, left: Sequence[str]) -> NoReturn:
        """End for words that are no arguments."""
        odd = next((word for word in left if word.startswith("-") and word != "-"), None)
        if odd is not None:
            name = odd.partition("=")[0]
            self.refuse(f"no option {name}{near(name, self._option_string_actions)}")
        if any(action.nargs == "+" for action in self._actions if not action.option_strings):
            self.refuse(f"{left[0]!r} stands apart from the others: put all of them together")
        mend = ": one file at a time, or join them with cat and give -" if "." in left[0] else ""
        self.refuse(f"{left[0]!r} is one too many{mend}")


if __name__ == "__main__":
    raise SystemExit(main())
