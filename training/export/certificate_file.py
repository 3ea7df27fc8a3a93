"""Write ``parity.json`` and the files of precisions beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import onnxruntime

from seqtile.execution.providers import PRECISIONS
from seqtile.models.certificate import FILE, Certificate, MetricRow, ParityRow

FILES = {"fp16": "model.fp16.onnx", "int8": "model.int8.onnx"}


def write(
    folder: Path,
    versions: Mapping[str, str],
    files: Mapping[str, bytes],
    rows: Sequence[ParityRow],
    metrics: Sequence[MetricRow] = (),
) -> None:
    """Write all of it; each file is there whole or not at all.

    Parameters
    ----------
    folder
        Of the model; files of precisions that are not in ``files`` are removed.
    versions
        Of the programs that took part, by name.
    files
        Bytes by precision, of those that have a file of their own.
    rows, metrics
        Of all precisions.
    """
    entries = {
        precision: {"file": FILES[precision], "sha256": hashlib.sha256(content).hexdigest()}
        for precision, content in sorted(files.items())
    }
    ordered = sorted(rows, key=lambda row: PRECISIONS.index(row.precision))
    figures = sorted(metrics, key=lambda row: PRECISIONS.index(row.precision))
    head = json.dumps({**versions, "variants": entries})[1:-1]
    if figures:
        head += f', "metrics": [\n{_lines(figures)}\n]'
    for precision, content in files.items():
        _replace(folder / FILES[precision], content)
    _replace(folder / FILE, f'{{{head}, "rows": [\n{_lines(ordered)}\n]}}\n'.encode())
    for precision in FILES.keys() - files.keys():
        (folder / FILES[precision]).unlink(missing_ok=True)


def update(
    folder: Path,
    precisions: Set[str],
    files: Mapping[str, bytes],
    rows: Sequence[ParityRow],
    metrics: Sequence[MetricRow] = (),
) -> None:
    """Replace what the certificate has of some precisions.

    What was found elsewhere stays while it is true: rows of a provider that is not here, and
    figures of the metric, as long as the precision's file is the same.

    Parameters
    ----------
    folder
        Of the model.
    precisions
        Those whose files are ``files``, or that have none.
    files, rows
        As `write` takes them; rows replace those of the same precision and provider.
    metrics
        Replace those of the same precisions.
    """
    before = Certificate.read(folder)
    here = {(row.precision, row.provider) for row in rows}
    known = {p: v.sha256 for p, v in before.variants.items()}
    digests = {p: hashlib.sha256(content).hexdigest() for p, content in files.items()}
    changed = {p for p in precisions if known.get(p) != digests.get(p)}
    kept = [
        row
        for row in before.rows
        if row.precision not in changed and (row.precision, row.provider) not in here
    ]
    figures = [
        row
        for row in before.metrics
        if row.precision not in changed | {m.precision for m in metrics}
    ]
    others = {
        p: (folder / v.file).read_bytes() for p, v in before.variants.items() if p not in precisions
    }
    versions = versions_of(before) | {"onnxruntime": onnxruntime.__version__}
    write(folder, versions, {**others, **files}, [*kept, *rows], [*figures, *metrics])


def versions_of(found: Certificate) -> dict[str, str]:
    """The versions that a certificate names, as `write` takes them."""
    versions = {"torch": found.torch, "onnx": found.onnx, "onnxruntime": found.onnxruntime}
    return {name: version for name, version in versions.items() if version}


def _lines(rows: Sequence[ParityRow] | Sequence[MetricRow]) -> str:
    return ",\n".join("  " + json.dumps(row.to_dict()) for row in rows)


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
