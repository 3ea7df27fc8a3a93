"""Write the cards of exported models from their reports and the words of their tasks.

    python -m training.export.cards [NAME ...]           # rewrite card.json
    python -m training.export.cards [NAME ...] --check   # change nothing; status 1 if one is stale

Scores nothing and needs no data: figures are those of ``report.json``. ``model.onnx`` stays as it
is, since its metadata hold the contract alone.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from seqtile.errors import SeqtileError
from seqtile.models import card, contract
from seqtile.models.card import ModelCard
from seqtile.models.contract import Contract, json_text

from .report import Report

EXPORTED = Path(__file__).resolve().parents[2] / "exported"


def make_card(contract: Contract, report: Report) -> ModelCard:
    """The card of a model: its contract, what was measured, and the words of its task.

    Raises
    ------
    ModelCardError
        Words that do not fit the contract, as the meaning of an output that it has not.
    """
    if not report.task:
        words = report.words(task="", summary="", meaning={}, limits=(), data={})
    else:
        task = importlib.import_module(f"training.tasks.{report.task}.card")
        words = task.words(contract, report)
    return ModelCard.of(contract, words, source=f"{contract.name}: card")


def text_of(made: ModelCard) -> str:
    """The text of ``card.json``."""
    return json_text(made.words())


def refresh(folder: Path, *, check: bool) -> bool:
    """Write the card of a model folder anew; whether it was stale.

    Raises
    ------
    SeqtileError, OSError
        A file of the folder that is missing or malformed.
    """
    path = folder / contract.FILE
    known = Contract.from_json(path.read_bytes(), source=str(path))
    text = text_of(make_card(known, Report.read(folder)))
    path = folder / card.FILE
    stale = not path.exists() or path.read_text(encoding="utf-8") != text
    if stale and not check:
        path.write_text(text, encoding="utf-8")
    return stale


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: every model")
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 if stale")
    parser.add_argument("--exported", type=Path, default=EXPORTED, help="folder of model folders")
    options = parser.parse_args(arguments)
    found = options.exported.glob(f"*/{contract.FILE}")
    status = 0
    for name in options.names or sorted(path.parent.name for path in found):
        try:
            stale = refresh(options.exported / name, check=options.check)
        except (SeqtileError, OSError) as error:
            print(f"cards: error: {error}", file=sys.stderr)
            status = 1
            continue
        if stale:
            print(f"{name}: {'stale' if options.check else 'written'}")
            status = max(status, int(options.check))
    return status


if __name__ == "__main__":
    sys.exit(main())
