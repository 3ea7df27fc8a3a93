"""Make the precisions of exported models, prove them, and write their certificates.

    python -m training.certify [NAME ...] [--exported FOLDER]

Needs no torch and no checkpoint: ``model.onnx``, itself proven against torch, and the golden
outputs are the reference. ``model.onnx`` and its rows stay as they are. On a machine with CUDA the
same command adds the rows of CUDA.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from numpy.typing import NDArray

from seqtile import certificate, parity
from seqtile.cards import ModelCard
from seqtile.certificate import Certificate, ParityRow, Precision
from seqtile.errors import ModelIntegrityError, SeqtileError
from seqtile.loading import read_golden
from seqtile.session import Session
from seqtile.zoo import read_card

from . import half

FILES = {"fp16": "model.fp16.onnx"}
CPU = "CPUExecutionProvider"

Arrays = Mapping[str, NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class Proof:
    """What `prove` found.

    Attributes
    ----------
    files
        Bytes of the model in a precision that has a file of its own, if its rows pass.
    rows
        Of all precisions but fp32.
    """

    files: dict[str, bytes]
    rows: list[ParityRow]


def variant(model: bytes, precision: str) -> bytes:
    """The model's file in fp16; the same to the byte at every call.

    Raises
    ------
    ValueError
        A precision that needs no file of its own.
    HalfError
        A weight beyond fp16's range.
    """
    if precision != "fp16":
        raise ValueError(f"no file for precision {precision!r}, only for {', '.join(FILES)}")
    made = half.to_half(onnx.load_model_from_string(model))
    made.metadata_props.add(key=certificate.PRECISION_KEY, value=precision)
    return made.SerializeToString(deterministic=True)


def prove(model: bytes, card: ModelCard, golden: Arrays) -> Proof:
    """Make the model's files of other precisions, and compare them with fp32 on the CPU.

    On the CPU fp16 is proven twice: the file as onnxruntime runs it there, which rounds the weights
    but not every value between two operators, and emulated with every value rounded. TF32 is
    emulated.
    """
    proto = onnx.load_model_from_string(model)
    file = variant(model, "fp16")
    runs: list[tuple[Precision, bytes, bool]] = [
        ("fp16", file, False),
        ("fp16", half.emulate_half(proto).SerializeToString(), True),
        ("tf32", half.emulate_tf32(proto).SerializeToString(), True),
    ]
    rows = []
    reference = _Reference(model, card)
    for precision, other, emulated in runs:
        session = Session(other, threads=1, source=f"{card.name} ({precision})")
        rows += parity.compare(
            card, golden, precision, reference, _run(session, card), provider=CPU, emulated=emulated
        )
    passed = all(row.passed for row in rows if row.precision == "fp16")
    return Proof({"fp16": file} if passed else {}, rows)


def _run(session: Session, card: ModelCard) -> parity.Run:
    names = [tensor.name for tensor in card.outputs]
    return lambda feeds: session.run(feeds, names)


class _Reference:
    """fp32 on the CPU; remembers, because every precision asks for the same."""

    def __init__(self, model: bytes, card: ModelCard) -> None:
        self._run = _run(Session(model, threads=1, source=card.name), card)
        self._known: dict[bytes, Sequence[NDArray[Any]]] = {}

    def __call__(self, feeds: Arrays) -> Sequence[NDArray[Any]]:
        parts = (part for a in feeds.values() for part in (repr(a.shape).encode(), a.tobytes()))
        key = hashlib.sha256(b"\0".join(parts)).digest()
        if key not in self._known:
            self._known[key] = self._run(feeds)
        return self._known[key]


def write(
    folder: Path, versions: Mapping[str, str], files: Mapping[str, bytes], rows: Sequence[ParityRow]
) -> None:
    """Write ``parity.json`` and the files of the precisions, each whole or not at all.

    Parameters
    ----------
    folder
        Of the model; files of precisions that are not in ``files`` are removed.
    versions
        Of the programs that took part.
    files, rows
        As `prove` gives them; the rows of fp32 too.
    """
    entries = {
        precision: {"file": FILES[precision], "sha256": hashlib.sha256(content).hexdigest()}
        for precision, content in files.items()
    }
    lines = ",\n".join("  " + json.dumps(row.to_dict()) for row in rows)
    head = json.dumps({**versions, "variants": entries})[1:-1]
    for precision, content in files.items():
        _replace(folder / FILES[precision], content)
    _replace(folder / certificate.FILE, f'{{{head}, "rows": [\n{lines}\n]}}\n'.encode())
    for precision in FILES.keys() - files.keys():
        (folder / FILES[precision]).unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def certify(folder: Path) -> Certificate:
    """Prove the precisions of an exported model and write them into its folder.

    Raises
    ------
    ModelIntegrityError
        ``model.onnx`` is not the card's, or the folder has no rows of fp32.
    """
    card = read_card(folder)
    model = (folder / "model.onnx").read_bytes()
    if hashlib.sha256(model).hexdigest() != card.sha256:
        raise ModelIntegrityError(f"{folder / 'model.onnx'}: its sha256 is not the card's")
    before = Certificate.read(folder)
    kept = before.of("fp32")
    if not kept:
        raise ModelIntegrityError(f"{before.source}: no rows of fp32; export the model anew")
    proof = prove(model, card, read_golden(folder / "golden.npz"))
    versions = json.loads((folder / certificate.FILE).read_text(encoding="utf-8"))
    versions = {n: v for n, v in versions.items() if n not in ("rows", "variants")}
    versions["onnxruntime"] = onnxruntime.__version__
    write(folder, versions, proof.files, [*kept, *proof.rows])
    return Certificate.read(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Certify the models named, print a line for each output and precision; 1 if a row fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: every model")
    root = Path(__file__).resolve().parents[1] / "exported"
    parser.add_argument("--exported", type=Path, default=root, help="folder of model folders")
    options = parser.parse_args(arguments)
    names = options.names or sorted(p.parent.name for p in options.exported.glob("*/card.json"))
    status = 0
    for name in names:
        try:
            found = certify(options.exported / name)
        except (SeqtileError, OSError, ValueError) as error:
            print(f"certify: error: {error}", file=sys.stderr)
            status = 1
            continue
        status = max(status, _report(name, found))
    return status


def _report(name: str, found: Certificate) -> int:
    """Print the worst row of each precision and output."""
    for precision in certificate.PRECISIONS:
        rows = found.of(precision)
        for output in dict.fromkeys(row.output for row in rows):
            mine = [row for row in rows if row.output == output]
            verdict = "passes" if all(row.passed for row in mine) else "FAILS"
            print(f"{name} {precision} {verdict}, {len(mine)} rows: {certificate.worst(mine)}")
    return int(any(not row.passed for row in found.rows))


if __name__ == "__main__":
    sys.exit(main())
