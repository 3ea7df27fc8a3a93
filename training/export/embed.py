"""Write the ``contract.json`` of a model folder into its graphs, whose weights stay as they are.

Edit ``contract.json``, its version too, then ``python -m training.export.embed NAME``. Checksums in
``contract.json`` and ``parity.json`` follow; `training.export.cards` then writes the card.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import onnx
from msgspec import structs

from seqtile.errors import SeqtileError
from seqtile.models import contract
from seqtile.models.certificate import Certificate
from seqtile.models.contract import METADATA_KEY, Contract

from . import certificate_file
from .cards import EXPORTED


def with_contract(model: bytes, known: Contract) -> bytes:
    """The model with this contract in place of its own."""
    graph = onnx.load_model_from_string(model)
    others = {item.key: item.value for item in graph.metadata_props}
    others[METADATA_KEY] = known.to_json(checksum=False)
    onnx.helper.set_model_props(graph, others)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def embed(folder: Path) -> Contract:
    """Write the contract of a folder into its graphs; its contract, with the new checksum.

    Raises
    ------
    SeqtileError, OSError
        A file of the folder that is missing or malformed.
    """
    path = folder / contract.FILE
    known = Contract.from_json(path.read_bytes(), source=str(path))
    model = with_contract((folder / "model.onnx").read_bytes(), known)
    known = structs.replace(known, sha256=hashlib.sha256(model).hexdigest())
    found = Certificate.read(folder)
    files = {
        precision: with_contract((folder / variant.file).read_bytes(), known)
        for precision, variant in found.variants.items()
    }
    (folder / "model.onnx").write_bytes(model)
    path.write_text(known.to_json(), encoding="utf-8")
    versions = certificate_file.versions_of(found)
    certificate_file.write(folder, versions, files, found.rows, found.metrics)
    return known


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--exported", type=Path, default=EXPORTED, help="folder of model folders")
    options = parser.parse_args(arguments)
    for name in options.names:
        try:
            known = embed(options.exported / name)
        except (SeqtileError, OSError) as error:
            print(f"embed: error: {error}", file=sys.stderr)
            return 1
        print(f"{name} {known.version}: {known.sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
