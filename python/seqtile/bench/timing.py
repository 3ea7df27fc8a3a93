"""One engine with one workload, timed under a load, and watched meanwhile."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from .engines import Engine, Parity
from .inputs import Workload
from .latency import Floats, percentiles, split_windows, throughput, throughput_interval
from .load_generator import closed_loop, open_loop
from .plan import Case, Plan, Rate
from .rows import Row
from .warm_up import WarmUp
from .watch import Watch

__all__ = ["Timed"]


@dataclass
class Timed:
    """One engine with one workload, measured under several loads."""

    plan: Plan
    case: Case
    engine: Engine
    workload: Workload
    size: int
    first_call_s: float
    parity: list[Parity]

    def closed(self) -> Row:
        """Clients that wait for their answers, or one that sends many batches at once."""
        watch = Watch(self.engine.device)
        clients = self._clients
        with watch:
            result = closed_loop(
                self._sender(watch),
                clients,
                self.plan.seconds,
                rule=self.plan.rule,
                on_warm=watch.start,
            )
        loop: Literal["closed", "lanes"] = "lanes" if self.case.concurrency == "lanes" else "closed"
        service = float(result.latencies.sum())
        seen = _Seen(loop, result.begin, result.ends, result.latencies, result.latencies, service)
        return self._row(watch, seen, result.warm_up)

    def open(self, rate: Rate, per_s: float, warm_up: WarmUp) -> Row | None:
        """Requests that arrive at a rate, right after a closed loop; None if none was answered."""
        watch = Watch(self.engine.device)
        with watch:
            watch.start()
            result = open_loop(
                self._sender(watch), self._clients, per_s, self.plan.seconds, seed=self.plan.seed
            )
        if not len(result.ends):
            return None
        everyone = np.concatenate([result.latencies, result.unanswered])
        seen = _Seen("open", result.begin, result.ends, result.latencies, everyone, result.service)
        state = {
            "sustained": result.sustained,
            "waiting": result.waiting,
            "unanswered": len(result.unanswered),
            "busy": result.busy,
            "late_s": result.late,
        }
        row = self._row(watch, seen, warm_up)
        return msgspec.structs.replace(row, rate=rate.text, rate_per_s=per_s, open=state)

    @property
    def _clients(self) -> int:
        return 1 if self.case.concurrency == "lanes" else self.case.concurrency

    def _sender(self, watch: Watch) -> Callable[[int, int], object]:
        batches, run, size = self.workload.batches, self.engine.run, self.size
        step = max(1, len(batches) // self._clients)  # clients begin at different batches

        def send(client: int, request: int) -> None:
            run(batches[(client * step + request) % len(batches)], size, watch.profile)

        return send

    def _row(self, watch: Watch, seen: _Seen, warm_up: WarmUp) -> Row:
        case, engine = self.case, self.engine
        items = len(self.workload.batches[0])
        windows = split_windows(seen.begin, seen.ends, seen.latencies)
        per_s = items * throughput(windows)
        interval = throughput_interval(windows, self.plan.seed)
        energy = (watch.gpu or {}).get("energy")
        return Row(
            model=case.model,
            engine=case.engine,
            device=engine.device,
            precision=case.precision,
            threads=engine.threads,
            providers=engine.providers,
            graphs=engine.graphs,
            shape="x".join(map(str, case.shape)),
            asked=str(case.asked),
            batch=self.size,
            items=items,
            loop=seen.loop,
            concurrency=self._clients,
            rate=None,
            rate_per_s=None,
            requests=len(seen.ends),
            seconds=float(seen.ends.max()) - seen.begin,
            items_per_s=per_s,
            interval=interval and (items * interval[0], items * interval[1]),
            units_per_s=per_s * self.workload.units,
            unit=self.workload.unit,
            latency={
                "mean": float(seen.everyone.mean()),
                **percentiles(seen.everyone),
                "max": float(seen.everyone.max()),
            },
            windows=tuple(windows),
            warm_up=dataclasses.asdict(warm_up),
            first_call_s=self.first_call_s,
            open=None,
            stages=watch.stages(seen.service),
            memory=watch.memory,
            gpu=watch.gpu,
            joules_per_item=None if energy is None else energy / (items * len(seen.ends)),
            parity=tuple(parity.to_dict() for parity in self.parity),
        )


@dataclass(frozen=True)
class _Seen:
    """Requests of a loop; ``everyone``: the latencies with those of the unanswered."""

    loop: Literal["closed", "lanes", "open"]
    begin: float
    ends: Floats
    latencies: Floats
    everyone: Floats
    service: float
