"""Export a trained network to ONNX, prove that it is the same, and write its model folder.

A model that fails the proof is not written. The file takes raw bytes, holds its contract, and is
the same to the byte when exported twice. Its other precisions are made and proven with it; one that
fails is refused when it is asked for.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from seqtile.errors import SeqtileError, ShapeError
from seqtile.execution.session import LEVELS, Session
from seqtile.machine.cuda import check_cuda
from seqtile.models import parity
from seqtile.models.card import ModelCard
from seqtile.models.certificate import ParityRow, finite
from seqtile.models.contract import METADATA_KEY, Contract, Input

from ..lab import motifs
from . import cards
from .certificate_file import write as write_certificate
from .certify import prove
from .report import OPSET, Report

# The oldest format that holds what we use: onnxruntime from 1.15 on reads it.
IR_VERSION = 9
_RESULT = "result."

Arrays = Mapping[str, NDArray[Any]]


class ExportError(SeqtileError, ValueError):
    """A network whose export broke the model contract; nothing was written."""


def export(
    network: nn.Module,
    contract: Contract,
    report: Report,
    examples: Arrays,
    folder: Path,
    *,
    files: Sequence[Path] = (),
    motif_letters: NDArray[np.uint8] | None = None,
) -> ModelCard:
    """Export, prove, and write a model folder.

    Parameters
    ----------
    network
        Takes the contract's inputs in their order, gives its outputs as a tuple in theirs; put in
        ``eval()`` here.
    contract
        Without checksum.
    report
        Of the training; the card is made of it and of the words of its task.
    examples
        Real inputs by name, at least 8 rows: the golden inputs.
    folder
        ``exported/<name>``; replaced as a whole.
    files
        ``history.csv``, ``training.png`` and further ones to put beside the model.
    motif_letters
        Of a model of sequences, uint8, shape (n, L): sequences of train in which to look for what
        the first convolutions fit; written as ``motifs.meme``, which is not written without them.

    Returns
    -------
    The card, with the checksum.

    Raises
    ------
    ExportError
        The graph breaks the contract or differs from the network; says where.
    """
    cards.make_card(contract, report)  # what is wrong in it is not to be found after the proof
    network = network.cpu().eval()
    model = convert(fused(network), contract, examples)
    if model != convert(fused(network), contract, examples):
        raise ExportError(f"{contract.name}: two exports of the same network differ")
    check_graph(model, contract)
    rows = certify(model, network, contract, examples)
    contract = msgspec.structs.replace(contract, sha256=hashlib.sha256(model).hexdigest())
    golden = dict(examples) | dict(
        zip(_outputs(contract), _torch(network, contract, examples), strict=True)
    )
    with tempfile.TemporaryDirectory() as name:
        further = [*files]
        if motif_letters is not None:
            further.append(Path(name) / "motifs.meme")
            layer = motifs.first_layer(onnx.load_model_from_string(model))
            motifs.write(
                layer.kernels,
                motif_letters,
                further[-1],
                bias=layer.bias,
                alphabet="rna" if contract.first.alphabet == "rna" else "dna",
                both_strands=layer.both_strands,
            )
        proof = prove(model, contract, golden)
        texts = {
            "contract.json": contract.to_json(),
            "report.json": report.to_json(),
            "card.json": cards.text_of(cards.make_card(contract, report)),
        }
        _write(folder, model, texts, golden, proof.files, [*rows, *proof.rows], further)
    return cards.make_card(contract, report)


def fused(network: nn.Module) -> nn.Module:
    """A copy in ``eval()`` in which a batch norm right behind a convolution is part of it.

    In an `nn.Sequential` alone; one elsewhere is left to the exporter, which cannot fold where both
    strands share a layer.
    """
    network = copy.deepcopy(network).eval()
    for layers in network.modules():
        if isinstance(layers, nn.Sequential):
            for i, (first, second) in enumerate(itertools.pairwise(layers)):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    layers[i] = fuse_conv_bn_eval(first, second)
                    layers[i + 1] = nn.Identity()
    return network


def convert(network: nn.Module, contract: Contract, examples: Arrays) -> bytes:
    """The network as the bytes of an ONNX file with the contract in its metadata.

    The example batch has two rows or more, and differs from every length, so that the exporter
    cannot take one axis for another or a dynamic one for fixed.
    """
    names = [tensor.name for tensor in contract.inputs]
    inputs = tuple(sample(t, examples[t.name]) for t in contract.inputs)
    dynamic = tuple(
        {i: _axis(axis, t) for i, axis in enumerate(t.shape) if isinstance(axis, str)}
        for t in contract.inputs
    )
    program = torch.onnx.export(
        network.eval(),
        inputs,
        dynamo=True,
        opset_version=OPSET,
        external_data=False,
        input_names=names,
        output_names=[_RESULT + name for name in _outputs(contract)],
        dynamic_shapes=dynamic,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    strip(model)
    _name_outputs(model.graph, _outputs(contract))
    model.ir_version = IR_VERSION
    model.metadata_props.add(key=METADATA_KEY, value=contract.to_json(checksum=False))
    return model.SerializeToString(deterministic=True)


def sample(tensor: Input, values: NDArray[Any]) -> torch.Tensor:
    """Three rows to export with; an image of any size is higher than wide."""
    values = values[:3]
    if tensor.kind == "image" and None in tensor.size and values.shape[1] == values.shape[2]:
        values = values[:, :, : -tensor.length_multiple]
    return torch.from_numpy(np.ascontiguousarray(values))


def _name_outputs(graph: onnx.GraphProto, names: Sequence[str]) -> None:
    """Give the outputs their names.

    The exporter calls inner values after their operator, so that one of them may have an output's
    name (a look-up is called ``embedding``): such a value is renamed first.
    """
    renamed = {name: f"inner.{name}" for name in names} | {_RESULT + n: n for n in names}
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [renamed.get(value, value) for value in values]
    for item in (*graph.output, *graph.initializer):
        item.name = renamed.get(item.name, item.name)


def _axis(name: str, tensor: Input) -> Any:
    """A dynamic axis as the exporter wants it."""
    if name == "batch":
        return torch.export.Dim(name)
    step = tensor.length_multiple
    if step == 1:
        return torch.export.Dim(name, min=tensor.min_length)
    return step * torch.export.Dim(f"{name}_{step}", min=max(1, tensor.min_length // step))


def strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter leaves of the place it ran at: traces, paths, its own names."""
    model.producer_name, model.producer_version, model.doc_string = "seqtile", "", ""
    model.graph.name, model.graph.doc_string = "model", ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for item in (
        *model.graph.node,
        *model.graph.initializer,
        *model.graph.input,
        *model.graph.output,
    ):
        item.doc_string = ""
        del item.metadata_props[:]


def check_graph(model: bytes, contract: Contract) -> None:
    """Check what can be seen in the file.

    Raises
    ------
    ExportError
        External data, a build path or trace, an old opset, a 1-D convolution, an input that is not
        raw bytes, an axis that is fixed where the contract says dynamic.
    """
    proto = onnx.load_model_from_string(model)
    problems = list(_graph_problems(proto, model, contract))
    if problems:
        raise ExportError(f"{contract.name}: " + "; ".join(problems))
    onnx.checker.check_model(proto, full_check=True)


def _graph_problems(proto: onnx.ModelProto, model: bytes, contract: Contract) -> Iterator[str]:
    opset = max(o.version for o in proto.opset_import if o.domain == "")
    if opset < OPSET:
        yield f"opset {opset}, expected {OPSET} or later"
    initializers = {tensor.name: tensor for tensor in proto.graph.initializer}
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in initializers.values()):
        yield "weights in external data, expected a single file"
    if any(node.doc_string or node.metadata_props for node in proto.graph.node):
        yield "nodes carry stack traces"
    places = {str(Path.cwd()), str(Path.home()), sys.prefix, "site-packages", '.py"'}
    yield from (f"build path {p!r} in the file" for p in sorted(places) if p.encode() in model)
    for node in proto.graph.node:
        weight = initializers.get(node.input[1]) if node.op_type == "Conv" else None
        if weight is not None and len(weight.dims) == 3:
            yield f"{node.name} is a 1-D convolution, expected 2-D of height 1"
    found = {value.name: value.type.tensor_type for value in proto.graph.input}
    if list(found) != [tensor.name for tensor in contract.inputs]:
        yield f"inputs {list(found)}, expected {[t.name for t in contract.inputs]}"
        return
    for tensor in contract.inputs:
        kind = onnx.helper.tensor_dtype_to_np_dtype(found[tensor.name].elem_type)
        if kind != np.dtype(tensor.dtype):
            yield f"input {tensor.name!r} is {kind}, expected {tensor.dtype}"
        axes = [d.dim_param or d.dim_value for d in found[tensor.name].shape.dim]
        for axis, wanted in zip(axes, tensor.shape, strict=True):
            if isinstance(axis, str) != isinstance(wanted, str):
                yield f"input {tensor.name!r} has axes {axes}, expected {list(tensor.shape)}"
                break


def certify(
    model: bytes, network: nn.Module, contract: Contract, examples: Arrays
) -> list[ParityRow]:
    """Compare torch and onnxruntime over batches, lengths, optimisation levels and providers.

    Raises
    ------
    ExportError
        A difference beyond the contract's tolerance, a shape that differs, a run that fails; names
        the first case.
    """
    devices = ["cpu"]
    try:
        check_cuda()
        devices.append("cuda")
    except SeqtileError:
        pass
    cases = parity.cases(contract, examples)
    rows: list[ParityRow] = []
    for device in devices:
        for level in LEVELS:
            session = Session(
                model, device=device, threads=1, optimization=level, source=contract.name
            )
            for case in cases:
                rows += _compare(session, level, network, contract, case)
    failed = [row for row in rows if not row.passed]
    if failed:
        raise ExportError(
            f"{contract.name}: {len(failed)} of {len(rows)} comparisons with torch fail, "
            f"first {failed[0]!r}"
        )
    return rows


def _compare(
    session: Session, level: str, network: nn.Module, contract: Contract, case: Arrays
) -> Iterator[ParityRow]:
    n, size = parity.case_size(contract, case)
    where = f"{contract.name}: batch {n}, " + ", ".join(f"{axis} {m}" for axis, m in size.items())
    expected = _torch(network, contract, case)
    try:
        actual: Sequence[NDArray[Any]] = session.run(case, _outputs(contract))
    except Exception as error:  # whatever onnxruntime raises, the model failed
        raise ExportError(f"{where}, optimisation {level}: {str(error)[:300]}") from error
    for name, want, got in zip(_outputs(contract), expected, actual, strict=True):
        try:
            largest, relative = parity.difference(want, got)
        except ShapeError as error:
            raise ExportError(f"{where}: output {name!r}: {error}") from None
        yield ParityRow(
            output=name,
            batch=n,
            **size,
            optimization=level,
            provider=session.providers[0],
            precision="fp32",
            max_abs=finite(largest),
            max_rel=finite(relative),
            tolerance=contract.tolerance,
            passed=bool(largest <= contract.tolerance),
        )


def _outputs(contract: Contract) -> list[str]:
    return [tensor.name for tensor in contract.outputs]


def _torch(network: nn.Module, contract: Contract, inputs: Arrays) -> list[NDArray[Any]]:
    tensors = [torch.from_numpy(np.ascontiguousarray(inputs[t.name])) for t in contract.inputs]
    with torch.inference_mode():
        results = network(*tensors)
    return [r.numpy() for r in (results if isinstance(results, tuple) else (results,))]


def _write(
    folder: Path,
    model: bytes,
    texts: Mapping[str, str],
    golden: Arrays,
    files: Mapping[str, bytes],
    rows: Sequence[ParityRow],
    further: Sequence[Path],
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        (fresh / "model.onnx").write_bytes(model)
        for name, text in texts.items():
            (fresh / name).write_text(text, encoding="utf-8")
        np.savez_compressed(fresh / "golden.npz", **golden)  # type: ignore[arg-type]
        versions = {"torch": torch.__version__, "onnx": onnx.__version__}
        write_certificate(fresh, versions, files, rows)
        for path in further:
            shutil.copyfile(path, fresh / path.name)
        if folder.exists():
            old = fresh.with_name(f"{fresh.name}.old")
            folder.replace(old)
            fresh.replace(folder)
            shutil.rmtree(old)
        else:
            fresh.replace(folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
