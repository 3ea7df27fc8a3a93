"""Benchmarks of models: shapes x batch sizes x devices x precisions x engines x loads."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import OutOfMemoryError, ProviderError
from ..execution.profile import Profile
from ..execution.providers import check_precision
from ..machine.threads import thread_count
from .engines import Answers, Engine, check_parity, open_engine, open_predictor
from .inputs import Batch, Source
from .plan import Case, Concurrency, Plan
from .rows import Row
from .timing import Timed
from .warm_up import WarmUp

__all__ = ["Bench"]

_CHECKED_ITEMS, _CHECKED_UNITS = 64, 1 << 20  # compared with the reference, at most
_MOST_ARRIVALS = 10_000_000  # of an open loop
_LANE_BATCHES = 8  # for each lane in a request of the loop "lanes"


class Bench:
    """Measures a plan.

    Before anything is timed every engine is opened once and every shape is predicted, so that what
    cannot work fails at once. Nothing runs beside a measurement. Each engine's outputs of a batch
    are compared with those of onnxruntime in fp32 on the CPU before that batch is timed.

    Parameters
    ----------
    plan
        What to measure.
    tell
        Called with what is measured next.

    Attributes
    ----------
    models
        Name and sha256 of the models of the rows so far.
    skipped
        What was asked for and not measured, and why.
    """

    def __init__(self, plan: Plan, tell: Callable[[str], object] = lambda what: None) -> None:
        self.plan = plan
        self.models: dict[str, str] = {}
        self.skipped: list[dict[str, str]] = []
        self._tell = tell

    def rows(self) -> Iterator[Row]:
        """The rows, each when it has been measured.

        Raises
        ------
        SeqtileError, ValueError, ImportError
            A model, device, precision, engine or shape that does not work here.
        EngineMismatchError
            An engine's outputs are not onnxruntime's.
        """
        plan = self.plan
        cases = {model: list(self._cases(model)) for model in plan.models}
        for model, wanted in cases.items():
            engines: dict[Any, Engine] = {}
            reference = open_predictor(model, "cpu", "fp32", plan.threads, plan.spec)
            source = Source(reference, model, plan.data, plan.seed)
            self.models[model] = reference.sha256

            def answer(
                batch: Batch, predict: Callable[..., Answers] = reference.predict
            ) -> Answers:
                return predict(batch.items, batch_size=len(batch), **batch.extra)

            for case in wanted:
                self._tell(str(case))
                key = (case.engine, case.device, case.precision, self._threads(case.concurrency))
                if key not in engines:
                    engines[key] = self._open(case)
                yield from self._measure(case, engines[key], source, answer)

    def _cases(self, model: str) -> Iterator[Case]:
        """All cases of a model that can run, after trying what they need."""
        plan = self.plan
        predictor = open_predictor(model, "cpu", "fp32", plan.threads, plan.spec)
        source = Source(predictor, model, plan.data, plan.seed)
        rank = 2 if predictor.takes == "images" else 1
        shapes = [s for s in plan.shapes if len(s) == rank] or [source.usual_shape()]
        for shape in shapes:
            batch = source.workload(shape, 1).batches[0]
            further: dict[str, Any] = dict(batch.extra)
            predictor.predict(batch.items, **further)
        tried = set()
        for case in itertools.starmap(
            Case,
            itertools.product(
                [model],
                shapes,
                plan.batch_sizes,
                plan.devices,
                plan.precisions,
                plan.engines,
                plan.concurrencies,
            ),
        ):
            if case.engine != "onnxruntime" and case.concurrency != 1:
                self._skip(case, f"{case.engine} answers one batch at a time")
            elif case.engine != "onnxruntime" and case.precision == "int8":
                self._skip(case, f"{case.engine} has no int8 of these models")
            elif why := self._refusal(case):
                self._skip(case, why)
            else:
                key = (case.engine, case.device, case.precision)
                if key not in tried:
                    self._open(case)
                    tried.add(key)
                yield case

    def _refusal(self, case: Case) -> str | None:
        """Why a device does not take a precision that another device of the plan does take."""

        def why(device: str) -> str | None:
            try:
                check_precision(case.precision, device)
            except ProviderError as error:
                return str(error)
            return None

        others = (why(device) for device in self.plan.devices if device != case.device)
        return why(case.device) if None in others else None

    def _threads(self, concurrency: Concurrency) -> int:
        if self.plan.threads is not None or concurrency == "lanes":
            return thread_count(self.plan.threads)
        return max(1, thread_count() // concurrency)

    def _open(self, case: Case) -> Engine:
        return open_engine(
            case.engine,
            case.model,
            device=case.device,
            precision=case.precision,
            threads=self._threads(case.concurrency),
            spec=self.plan.spec,
            program=self.plan.program,
        )

    def _skip(self, what: object, why: str) -> None:
        self.skipped.append({"what": str(what), "why": why})

    def _measure(
        self, case: Case, engine: Engine, source: Source, reference: Callable[[Batch], Answers]
    ) -> Iterator[Row]:
        size = case.asked
        if size == "auto":
            item = source.workload(case.shape, 1).batches[0].items.shape[1:]
            size = engine.auto(item, lambda count: source.workload(case.shape, count).batches[0])
        elif engine.fixed_batch not in (None, size):
            self._skip(case, f"the model's batch is fixed at {engine.fixed_batch}")
            return
        lanes = case.concurrency == "lanes"
        items = size * engine.lanes() * _LANE_BATCHES if lanes else size
        workload = source.workload(case.shape, items)
        first = workload.batches[0]
        checked = first.head(max(1, min(_CHECKED_ITEMS, _CHECKED_UNITS // workload.units)))
        try:
            begin = time.perf_counter()
            engine.run_once(first.head(size))
            first_call = time.perf_counter() - begin
            answers = engine.run(first, size, Profile())
        except OutOfMemoryError as error:
            self._skip(case, str(error))
            return
        parity = check_parity(
            answers,
            reference(checked),
            what=str(case),
            precision=case.precision,
            tolerance=source.tolerance,
        )
        timed = Timed(self.plan, case, engine, workload, size, first_call, parity)
        closed = timed.closed()
        yield closed
        if not lanes:
            for rate in self.plan.rates:
                per_s = rate.per_s or (rate.share or 0) * closed.items_per_s / items
                self._tell(f"{case}, {rate.text} = {per_s:.4g} requests/s")
                what = f"{case}, {rate.text}"
                if per_s * self.plan.seconds > _MOST_ARRIVALS:
                    self._skip(what, f"{per_s:.3g} requests/s are too many to count: lower --rate")
                    continue
                row = timed.open(rate, per_s, WarmUp(**closed.warm_up))
                if row is None:
                    self._skip(what, f"no request arrived at {per_s:.3g}/s: raise --seconds")
                else:
                    yield row
