"""Load a model: find it, verify it, open a session, test it."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelCardError, ModelIntegrityError, PrecisionError
from ..execution.cuda.placement import Graphs
from ..execution.engine import Engine
from ..execution.graph_file import GraphFile, read_file, read_graph
from ..execution.limits import LIMITS, Limits
from ..execution.providers import check_precision
from ..execution.session import Session
from ..sequences.batch import Alphabet
from . import old_card
from .card import ModelCard
from .certificate import PRECISION_KEY, Certificate, tolerances
from .contract import METADATA_KEY, Contract, Input, Output
from .inputs import InputSpec
from .misfits import refuse_misfit, refuse_pointer
from .predictor import Predictor
from .zoo import model_folder, read_card

__all__ = ["load"]

_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


def load(
    name_or_path: str | PathLike[str],
    *,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "fp32",
    graphs: Graphs = "auto",
    input: InputSpec | None = None,
    limits: Limits = LIMITS,
) -> Predictor:
    """Load a model and prove that it is the one its contract describes.

    Parameters
    ----------
    name_or_path
        Name of a shipped model (`seqtile.list_models`), a model folder, or an ``.onnx`` file. Of a
        shipped model or a folder the checksum is verified and the golden inputs are predicted; a
        lone file exported by seqtile carries its contract in its metadata. Weights outside of the
        graph are read beside the file alone; see `seqtile.execution.graph_file`.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:N"``, several as ``"cuda:0,1"``, or ``"auto"``: CUDA where it
        runs, else the CPU (logged). The device asked for is the device used, or an error.
    threads
        Threads on the CPU; default: what affinity and cgroup grant this process.
    precision
        ``"fp32"``; or, for a model whose certificate vouches for it (see
        `seqtile.models.certificate`),
        ``"tf32"`` or ``"fp16"`` on CUDA, ``"int8"`` on the CPU. The golden inputs are then
        predicted within that precision's tolerance, and ``device="auto"`` is its device or an
        error. A lone file has no certificate, so that it runs in fp32 only.
    graphs
        CUDA graphs: ``"auto"`` where the model allows (``predictor.engine.graphs`` says), True
        always or an error, False never.
    input
        For a third-party ``.onnx``: how it wants its sequences.
    limits
        Sizes of what is taken at once; see `seqtile.execution.limits`. Results do not depend on it.

    Raises
    ------
    ValueError
        ``input`` for a model that has a contract; an unknown precision.
    PrecisionError
        A precision that the model's certificate does not vouch for; a lone file in another
        precision than fp32.
    ModelNotFoundError
        No such name or path; suggests the nearest name.
    ModelIntegrityError
        A wrong checksum, a file that is no ONNX model (says what it is), golden outputs that
        differ.
    ModelCardError
        A malformed contract or card, or one that does not fit its model; a lone file without
        contract or ``input``.
    ProviderError
        The device cannot run here, or not in this precision; says what is missing and the mend.

    Examples
    --------
    >>> predictor = load("jund-cnn-seq", device="cpu")
    >>> predictor.predict(["ACGT" * 25 + "A"])["probability"].shape
    (1,)
    """
    check_precision(precision, device)
    if device == "auto" and precision != "fp32":
        device = "cpu" if precision == "int8" else "cuda"
    open_engine = partial(
        Engine,
        device=device,
        threads=threads,
        precision=precision,
        graphs=graphs,
        limits=limits,
    )
    path = Path(name_or_path)
    if path.suffix == ".onnx" and precision != "fp32":
        raise PrecisionError(
            f"{path}: precision {precision!r} needs a certificate, and a lone file has none: load "
            "its model folder, or use precision='fp32'"
        )
    if path.suffix == ".onnx" and input is not None:
        return _load_foreign(path, open_engine, input)
    if path.suffix == ".onnx":
        return _load_file(path, open_engine)
    folder = path if path.is_dir() else model_folder(fspath(name_or_path))
    if input is not None:
        raise ValueError(f"{folder.name}: its card says how it takes sequences, not input=")
    card = read_card(folder)
    found = _verified(folder, card, precision)
    golden = read_golden(folder / "golden.npz")
    predictor = _predictor(found, card, open_engine)
    if missing := sorted({t.name for t in card.outputs} - golden.keys()):
        raise ModelIntegrityError(f"{card.name}: the golden arrays lack {missing[0]!r}")
    predictor.self_test(golden, tolerances(card, golden, precision))
    return predictor


def model_bytes(folder: Path, contract: Contract, precision: str = "fp32") -> bytes:
    """The graph that a precision runs, with all its weights, verified.

    Parameters
    ----------
    folder, contract
        Of the model.
    precision
        TF32 runs the file of fp32.

    Raises
    ------
    PrecisionError
        The certificate does not vouch for the precision.
    ModelNotFoundError
        The file is missing.
    ModelIntegrityError
        The file is not the one that the contract, or the certificate, speaks of.
    """
    return _verified(folder, contract, precision).model


def _verified(folder: Path, contract: Contract, precision: str) -> GraphFile:
    name, wanted, witness = "model.onnx", contract.sha256, "the contract"
    if precision != "fp32":
        certificate = Certificate.read(folder)
        certificate.check(contract.name, precision)
        if precision in certificate.variants:
            variant = certificate.variants[precision]
            name, wanted, witness = variant.file, variant.sha256, "the certificate"
        elif precision != "tf32":
            raise PrecisionError(
                f"{contract.name}: {certificate.source} names no file of {precision}"
            )
    found = _graph(folder / name)
    if found.sha256 != wanted:
        raise ModelIntegrityError(
            f"{folder / name}: sha256 is {found.sha256[:12]}…, {witness} says "
            f"{wanted[:12]}…: the file is corrupt or another model's; install seqtile again"
        )
    return found


def _graph(path: Path) -> GraphFile:
    found = read_graph(path)
    refuse_misfit(found.model, path)
    return found


def read_golden(path: Path) -> dict[str, NDArray[Any]]:
    """The golden inputs and outputs.

    Raises
    ------
    ModelIntegrityError
        Missing or damaged.
    """
    try:
        content = read_file(path)
        refuse_pointer(content, path)
        with np.load(io.BytesIO(content)) as golden:
            return dict(golden)
    except ModelIntegrityError:
        raise
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise ModelIntegrityError(f"{path}: no golden outputs to test: {error}") from None


def _predictor(
    found: GraphFile, contract: Contract, open_engine: Callable[..., Engine]
) -> Predictor:
    engine = open_engine(found.model, source=contract.name)
    _check_contract(engine, contract)
    return Predictor(engine, contract, sha256=found.sha256)


def _check_contract(engine: Engine, contract: Contract) -> None:
    """Names, types and fixed axes of the graph must be the contract's."""
    for what, actual, tensors in (
        ("input", engine.inputs, contract.inputs),
        ("output", engine.outputs, contract.outputs),
    ):
        if set(actual) != {t.name for t in tensors}:
            raise ModelCardError(
                f"{contract.name}: the contract's {what}s are {[t.name for t in tensors]}, the "
                f"model's {list(actual)}"
            )
        for tensor in tensors:
            _check_tensor(contract.name, what, tensor, *actual[tensor.name])


def _check_tensor(
    model: str,
    what: str,
    tensor: Input | Output,
    type_name: str,
    shape: list[int | str | None],
) -> None:
    fixed = [axis if isinstance(axis, int) else None for axis in tensor.shape]
    found = [axis if isinstance(axis, int) else None for axis in shape]
    if _DTYPES.get(type_name) != tensor.dtype or fixed != found:
        raise ModelCardError(
            f"{model}: {what} {tensor.name!r} is {type_name} {shape} in the model, "
            f"{tensor.dtype} {list(tensor.shape)} in the contract"
        )


def _load_file(path: Path, open_engine: Callable[..., Engine]) -> Predictor:
    found = _graph(path)
    metadata = Session(found.model, threads=1, source=str(path)).metadata
    if PRECISION_KEY in metadata:
        raise PrecisionError(
            f"{path}: a model in {metadata[PRECISION_KEY]}, which needs its certificate: load its "
            f"model folder with precision={metadata[PRECISION_KEY]!r}"
        )
    if METADATA_KEY in metadata:
        card = ModelCard.of(Contract.from_json(metadata[METADATA_KEY], source=str(path)))
    elif old_card.METADATA_KEY in metadata:
        card = ModelCard.from_json(metadata[old_card.METADATA_KEY], source=str(path))
    else:
        raise ModelCardError(
            f"{path}: not exported by seqtile (no contract in its metadata): say how it takes its "
            "sequences with input=InputSpec(...)"
        )
    return _predictor(found, card, open_engine)


def _load_foreign(path: Path, open_engine: Callable[..., Engine], spec: InputSpec) -> Predictor:
    found = _graph(path)
    engine = open_engine(found.model, source=str(path))
    return Predictor(engine, _foreign(path, engine, spec), sha256=found.sha256)


def _foreign(path: Path, engine: Engine, spec: InputSpec) -> Contract:
    """The contract of a third-party model, from its graph and what was said of its input."""
    name = spec.name or next(iter(engine.inputs), "")
    if name not in engine.inputs:
        raise ModelCardError(f"{path}: no input {name!r}; it has {list(engine.inputs)}")
    type_name, shape = engine.inputs[name]
    rank, wanted = (2, "tensor(uint8)") if spec.layout == "bytes" else (3, "tensor(float)")
    if type_name != wanted or len(shape) != rank:
        raise ModelCardError(
            f"{path}: layout {spec.layout!r} needs a {wanted} input of {rank} axes, {name!r} is "
            f"{type_name} {shape}"
        )
    axis = 2 if spec.layout == "NCL" else 1
    channels = shape[3 - axis] if rank == 3 else None
    letters = len(Alphabet(spec.alphabet).letters)
    swapped = rank == 3 and shape[axis] == letters
    if channels != letters and (isinstance(channels, int) or swapped):
        raise ModelCardError(
            f"{path}: {name!r} has {channels} channels, alphabet {spec.alphabet!r} has {letters}; "
            "is the layout right?"
        )
    length = shape[axis]
    if isinstance(length, int) and spec.length not in (None, length):
        raise ModelCardError(f"{path}: {name!r} has length {length}, InputSpec {spec.length}")
    inputs = []
    for other, (type_name, shape) in engine.inputs.items():
        dtype, axes = _DTYPES.get(type_name, type_name), _named(shape)
        if other != name:
            inputs.append(Input(name=other, kind="number", shape=axes, dtype=dtype))
            continue
        inputs.append(
            Input(
                name=name,
                kind="letters",
                shape=axes,
                dtype=dtype,
                alphabet=spec.alphabet,
                layout=spec.layout,
                unknown=spec.unknown,
            )
        )
    return Contract(
        name=path.stem,
        inputs=tuple(inputs),
        outputs=tuple(
            Output(name=n, kind="score", shape=_named(axes), dtype=_DTYPES.get(kind, kind))
            for n, (kind, axes) in engine.outputs.items()
        ),
        window=length if isinstance(length, int) else spec.length,
    )


def _named(shape: list[int | str | None]) -> tuple[int | str, ...]:
    """A graph's axes as a contract has them: the first is the batch, the open ones have names."""
    axes = (f"axis_{i}" if axis is None else axis for i, axis in enumerate(shape[1:], 1))
    return ("batch", *axes)
