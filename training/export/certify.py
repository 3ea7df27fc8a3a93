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
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from seqtile.errors import ModelIntegrityError, ProviderError, SeqtileError
from seqtile.execution.providers import PRECISIONS, Precision
from seqtile.execution.session import Session
from seqtile.machine.cuda import check_cuda
from seqtile.models import certificate, parity
from seqtile.models.certificate import Certificate, ParityRow
from seqtile.models.contract import Contract
from seqtile.models.loading import model_bytes, read_golden
from seqtile.models.zoo import read_card

from . import half
from .certificate_file import update

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class Proof:
    """What `prove` found.

    Attributes
    ----------
    files
        Bytes of the model in a precision that has a file of its own, if its rows pass.
    rows
        Of all precisions; of fp32 on CUDA alone.
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
        raise ValueError(f"no file for precision {precision!r}, only for 'fp16'")
    made = half.to_half(onnx.load_model_from_string(model))
    made.metadata_props.add(key=certificate.PRECISION_KEY, value=precision)
    return made.SerializeToString(deterministic=True)


def prove(model: bytes, contract: Contract, golden: Arrays) -> Proof:
    """Make the model's files of other precisions, and compare them with fp32 on the CPU.

    On the CPU fp16 is proven twice: the file as onnxruntime runs it there, which rounds the weights
    but not every value between two operators, and emulated with every value rounded. TF32 is
    emulated. Where CUDA runs, fp32, TF32 and fp16 are proven on it as well. A model that cannot be
    put into these precisions has no rows of them.

    Raises
    ------
    ProviderError
        CUDA is here, and did not take the model.
    """
    file: bytes | None = None
    sessions: list[tuple[Precision, Session, bool]] = []
    try:
        file = variant(model, "fp16")
        proto = onnx.load_model_from_string(model)
        emulated = {"fp16": half.emulate_half(proto), "tf32": half.emulate_tf32(proto)}
    except half.HalfError as error:
        log.warning("%s: only in fp32: %s", contract.name, error)
    else:
        sessions += [
            ("fp16", Session(file, threads=1, source=f"{contract.name} (fp16)"), False),
            ("fp16", Session(emulated["fp16"].SerializeToString(), threads=1), True),
            ("tf32", Session(emulated["tf32"].SerializeToString(), threads=1), True),
        ]
    if cuda_runs():
        on_cuda: list[tuple[Precision, bytes]] = [("fp32", model), ("tf32", model)]
        if file:
            on_cuda.append(("fp16", file))
        for precision, content in on_cuda:
            session = Session(
                content, device="cuda", precision=precision, graphs=False, source=contract.name
            )
            sessions.append((precision, session, False))
    reference = _Reference(model, contract)
    rows = []
    for precision, session, rounded in sessions:
        rows += parity.compare(
            contract,
            golden,
            precision,
            reference,
            _run(session, contract),
            provider=session.providers[0],
            emulated=rounded,
        )
    passed = all(row.passed for row in rows if row.precision == "fp16")
    return Proof({"fp16": file} if file and passed else {}, rows)


def cuda_runs() -> bool:
    """Whether this machine has CUDA, as far as can be seen without using it."""
    try:
        check_cuda()
    except ProviderError:
        return False
    return True


def _run(session: Session, contract: Contract) -> parity.Run:
    names = [tensor.name for tensor in contract.outputs]
    return lambda feeds: session.run(feeds, names)


class _Reference:
    """fp32 on the CPU; remembers, because every precision asks for the same."""

    def __init__(self, model: bytes, contract: Contract) -> None:
        self._run = _run(Session(model, threads=1, source=contract.name), contract)
        self._known: dict[bytes, Sequence[NDArray[Any]]] = {}

    def __call__(self, feeds: Arrays) -> Sequence[NDArray[Any]]:
        parts = (part for a in feeds.values() for part in (repr(a.shape).encode(), a.tobytes()))
        key = hashlib.sha256(b"\0".join(parts)).digest()
        if key not in self._known:
            self._known[key] = self._run(feeds)
        return self._known[key]


def certify(folder: Path) -> Certificate:
    """Prove the precisions of an exported model and write them into its folder.

    Raises
    ------
    ModelIntegrityError
        ``model.onnx`` is not the contract's, or the folder has no rows of fp32.
    """
    contract = read_card(folder)
    model = model_bytes(folder, contract)
    if not Certificate.read(folder).of("fp32"):
        raise ModelIntegrityError(
            f"{folder / certificate.FILE}: no rows of fp32; export the model anew"
        )
    proof = prove(model, contract, read_golden(folder / "golden.npz"))
    update(folder, {"fp16", "tf32"}, proof.files, proof.rows)
    return Certificate.read(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Certify the models named, print a line for each output and precision; 1 if a row fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: every model")
    root = Path(__file__).resolve().parents[2] / "exported"
    parser.add_argument("--exported", type=Path, default=root, help="folder of model folders")
    options = parser.parse_args(arguments)
    names = options.names or sorted(p.parent.name for p in options.exported.glob("*/contract.json"))
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
    for precision in PRECISIONS:
        rows = found.of(precision)
        for output in dict.fromkeys(row.output for row in rows):
            mine = [row for row in rows if row.output == output]
            verdict = "passes" if all(row.passed for row in mine) else "FAILS"
            print(f"{name} {precision} {verdict}, {len(mine)} rows: {certificate.worst(mine)}")
    return int(any(not row.passed for row in found.rows))


if __name__ == "__main__":
    sys.exit(main())
