"""A benchmark's rows, and the JSON document that holds them.

The document, ``"schema": 1``::

    kind        "seqtile bench"
    created     UTC, ISO 8601
    command     the arguments
    seed        of inputs, arrivals and bootstrap
    data        "golden", "random" or a FASTA file
    machine     host, processor, cores, affinity, threads, memory_bytes, load_average, system, gpus,
                driver (of the GPUs)
    versions    of seqtile, Python and the packages that compute
    rules       in words: warm_up, percentile, sustained, interval
    models      name -> sha256 of the model file
    skipped     what was asked for and not measured: [{"what", "why"}]
    rows        see `Row`; times in seconds, memory in bytes, energy in joules
    comparison  of ``--compare``: the file (``with``), rows, only_new, only_old, remarks; see
                `compare.Comparison`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from ..errors import BenchFileError
from .latency import Interval, Window, throughput

__all__ = ["KIND", "RULES", "SCHEMA", "Document", "Key", "Row", "read_document"]

SCHEMA = 1
KIND = "seqtile bench"

RULES = {
    "percentile": "a percentile needs ten samples beyond it, 10 / (1 - p)",
    "sustained": "at the end of a rate that is not sustained more requests wait in the queue than "
    "there are servers and than 5% of all arrivals",
    "interval": "half of the bootstrap 95% interval over up to 20 windows of the measurement: "
    "noise inside this run, not between runs",
}

Key: TypeAlias = tuple[str, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model on one engine under one load.

    Attributes
    ----------
    model, engine, device, precision, threads
        What ran where; CPU threads of one call.
    providers, graphs
        onnxruntime's execution providers in order, and whether it replays CUDA graphs, or why not;
        none for torch.
    shape
        Size of an item: ``"101"`` bases, or ``"256x256"`` pixels, height first.
    asked
        The batch size asked for: a number, or ``"auto"``.
    batch, items
        Items per call of the session; items per request, which is more in the loop ``"lanes"``.
    loop
        ``"closed"``: ``concurrency`` clients, each of which waits for its answer. ``"lanes"``: one
        client that sends many batches at once, which run in all lanes of the engine.
        ``"open"``: requests arrive at a rate and wait for one of ``concurrency`` servers.
    rate, rate_per_s
        Arrivals in an open loop: as asked for (``"200"``, or ``"80%"`` of the closed loop's
        throughput), and in requests per second.
    requests, seconds
        Answered in the measurement, and its length.
    items_per_s, interval, units_per_s, unit
        Throughput in items, with its bootstrap 95 % interval over the windows, None where they are
        fewer than five; and in ``"bases"`` or ``"pixels"``.
    latency
        ``mean``, ``max``, and percentiles, None where there are too few samples. In an open loop
        from the arrival on; if it was not sustained at least these.
    windows
        The measurement in up to twenty parts of equal numbers of requests.
    warm_up
        ``seconds``, ``spread``, ``stable``: see `warm_up.WarmUp`. An open loop has that of
        the closed one just before it.
    first_call_s
        The very first call of this batch size, with whatever is prepared in it.
    open
        How an open loop ended: ``sustained``, ``waiting``, ``unanswered``, ``busy``, ``late_s``;
        see `load_generator.OpenLoop`.
    stages
        `Profile.to_dict`, with ``other``: seconds of the calls in none of the stages (checks of the
        input, Python, waiting for a core). If that is more than half, the verdict is
        ``"overhead-limited"``. None for an engine that has no stages.
    memory
        Bytes of this process: ``before``, ``peak``, and whether the peak is the row's own
        (``reset``).
    gpu
        While it was measured, of all its devices: ``name``, ``utilization`` in per cent (mean),
        ``memory_peak`` (of all processes), ``energy``, ``power`` in watts, as far as NVML answers;
        else ``why`` it does not. None on the CPU.
    joules_per_item
        Energy of the device per item.
    parity
        For each output ``items`` compared with onnxruntime in fp32 on the CPU, ``difference`` and
        ``tolerance``.
    """

    model: str
    engine: str
    device: str
    precision: str
    threads: int
    providers: tuple[str, ...]
    graphs: str | None
    shape: str
    asked: str
    batch: int
    items: int
    loop: Literal["closed", "lanes", "open"]
    concurrency: int
    rate: str | None
    rate_per_s: float | None
    requests: int
    seconds: float
    items_per_s: float
    interval: Interval | None
    units_per_s: float
    unit: str
    latency: Mapping[str, float | None]
    windows: tuple[Window, ...]
    warm_up: Mapping[str, Any]
    first_call_s: float
    open: Mapping[str, Any] | None
    stages: Mapping[str, Any] | None
    memory: Mapping[str, Any]
    gpu: Mapping[str, Any] | None
    joules_per_item: float | None
    parity: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        if not throughput(self.windows) > 0:
            raise ValueError("no windows")

    @property
    def key(self) -> Key:
        """What must be equal in two rows that are compared."""
        return (
            self.model,
            self.engine,
            self.device,
            self.precision,
            str(self.threads),
            self.shape,
            self.asked,
            self.loop,
            str(self.concurrency),
            self.rate or "",
        )

    @property
    def load(self) -> str:
        """The load in a word: ``c2`` clients, ``lanes``, ``200/s c2`` or ``80% c2`` servers."""
        if self.loop == "lanes":
            return "lanes"
        clients = f"c{self.concurrency}"
        if self.rate is None:
            return clients
        return f"{self.rate}{'' if self.rate.endswith('%') else '/s'} {clients}"

    def __str__(self) -> str:
        return (
            f"{self.model} {self.shape} {self.engine} {self.device} {self.precision}, batch "
            f"{self.asked}, {self.load}, threads {self.threads}"
        )


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Rows with what they were measured on; see the module for the fields."""

    created: str
    command: tuple[str, ...]
    seed: int
    data: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    rules: Mapping[str, str]
    models: Mapping[str, str]
    skipped: tuple[Mapping[str, str], ...]
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        plain = msgspec.to_builtins(self, enc_hook=lambda number: number.item())  # of numpy
        return {"schema": SCHEMA, "kind": KIND, **plain}

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str) -> Document:
        """Read a document.

        Raises
        ------
        BenchFileError
            Not JSON, not written by ``seqtile bench``, of another schema, or damaged.
        """
        try:
            content = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BenchFileError(
                source, f"not JSON: {error}; expected what seqtile bench --json wrote"
            ) from None
        if not isinstance(content, dict) or content.get("kind") != KIND:
            raise BenchFileError(source, "not a file that seqtile bench --json wrote")
        if (schema := content.get("schema")) != SCHEMA:
            raise BenchFileError(
                source, f"schema {schema!r}, this version reads {SCHEMA}: measure it again"
            )
        try:
            return msgspec.convert(content, cls)
        except msgspec.ValidationError as error:
            raise BenchFileError(source, f"damaged: {error}: measure it again") from None


def read_document(path: str) -> Document:
    """Read a file that ``seqtile bench --json`` wrote.

    Raises
    ------
    BenchFileError
        See `Document.from_json`.
    OSError
        It cannot be read.
    """
    return Document.from_json(Path(path).read_bytes(), source=path)
