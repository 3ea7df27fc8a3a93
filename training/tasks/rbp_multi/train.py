"""Train `rbp-multi`: how strongly 21 RNA-binding proteins hold a short RNA, by one network.

    python -m training rbp-multi           # train all, report on validation
    python -m training rbp-multi --export  # and on test, and write exported/rbp-multi
    python -m training rbp-multi --smoke   # seconds, on some of the real probes

Data: `datasets.rnacompete`, all columns but RBP35, whose repeats do not agree at all. Set A is
split into train and validation, copies of a sequence together; set B is the test. Probes that lack
a value are learned from where they have one, and not scored.

A protein is an embedding that the network learns; its affinity is bilinear in that and in the RNA's
embedding. The loss is the squared error over the targets that are known. Three things are trained:

- ``single``: 21 networks of one protein each, and ``multi, same``: one network of the same trunk,
  for the same steps and batches each (``same_passes`` over the probes), so a 21st of the work;
- ``multi, longer``: that network again for ``longer_passes``, a quarter of the work of the 21;
- ``multi``, which is shipped: wider, and trained for less time than the 21 together;
- a network of the small size that never sees ``held`` proteins; they are then added by least
  squares for their embeddings alone, on 1,000 probes and on all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqtile.models.card import Baseline, Metric

from ...export import export
from ...export.report import Report
from ...lab import command, report
from ...lab.baselines import KmerRidge
from ...lab.loop import Fit, FitConfig, Shuffled, fit, seed_everything
from ...lab.metrics import pearson
from ...lab.pictures import plot_history, write_history
from ..rbp import data as rnacompete
from . import figures as table
from .card import NAME, make_contract
from .figures import Correlations
from .networks import MultiAffinity, ProteinHeads, RnaMulti, masked_mse
from .task import Config, Task

SINGLE, SAME, LONGER, MULTI = "single", "multi, same", "multi, longer", "multi"
RIDGE = "4-mer ridge"

Floats = NDArray[np.floating]


def make_network(config: Config, proteins: int, *, same: bool) -> RnaMulti:
    """A network of the shipped size, or of that of the comparison."""
    size = (
        (config.same_motifs, config.same_filters, config.same_depth)
        if same
        else (config.motifs, config.filters, config.depth)
    )
    return RnaMulti(
        proteins=proteins,
        identity=config.identity,
        motifs=size[0],
        filters=size[1],
        depth=size[2],
        width=config.width,
        hidden=config.hidden,
        dropout=config.dropout,
    )


def train(
    task: Task, targets: Tensor, checkpoint: Path, *, passes: int = 0, same: bool, seed: int
) -> Fit:
    """A network for the columns of targets, shape (probes, outputs), NaN where not to be seen."""
    config = task.config
    seed_everything(seed)
    network = make_network(config, targets.shape[1], same=same).to(task.device)
    batches = Shuffled(len(task.train), config.batch)
    valid = targets[torch.from_numpy(task.valid)].cpu()
    seen = ~torch.isnan(valid).all(0)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(task.train[batches(rng)])
        with torch.autocast(task.device.type, torch.bfloat16):
            affinity, _ = model(task.letters[rows])
        return masked_mse(affinity.float(), targets[rows])

    def validate(model: nn.Module) -> dict[str, float]:
        affinity, _ = task.run(model, task.valid)
        found = table.correlations(valid[:, seen].numpy(), affinity[:, seen].numpy(), rounds=0)
        return {"valid_loss": float(masked_mse(affinity, valid)), "pearson": found.mean}

    passes = passes or (config.same_passes if same else config.passes)
    epoch = batches.steps_per_epoch
    plan = FitConfig(
        steps=epoch * (1 if config.smoke else passes),
        evaluate_every=epoch,
        lr=config.lr,
        weight_decay=config.weight_decay,
        ema=config.ema,
        monitor="pearson",
        seed=seed,
    )
    result = fit(network, loss, validate, plan, checkpoint=checkpoint, label=checkpoint.stem)
    best = result.history[result.best_epoch - 1]
    print(
        f"{checkpoint.stem}: validation Pearson {best['pearson']:.4f} in epoch "
        f"{result.best_epoch}, {result.seconds:.0f} s",
        flush=True,
    )
    return result


def train_singles(task: Task, runs: Path) -> list[Fit]:
    """A network for each protein."""
    return [
        train(
            task,
            task.targets[:, i : i + 1],
            runs / f"single-{protein}.pt",
            same=True,
            seed=task.config.seed,
        )
        for i, protein in enumerate(task.proteins)
    ]


def _held(config: Config) -> list[str]:
    names = config.held.split(",")
    if odd := sorted(set(names) - set(rnacompete.PROTEINS)):
        raise ValueError(f"--held {odd[0]!r}: expected of {', '.join(rnacompete.PROTEINS)}")
    return names


def add_held(task: Task, runs: Path, parts: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """Pearson of proteins that a network never saw, added on 1,000 probes and on all."""
    held = [protein for protein in _held(task.config) if protein in task.proteins]
    targets = task.targets.clone()
    targets[:, [task.proteins.index(p) for p in held]] = torch.nan
    network = train(task, targets, runs / "held.pt", same=True, seed=task.config.seed).network
    known = task.train[task.complete[task.train]]
    order = np.random.default_rng(task.config.seed).permutation(known)
    learned = task.run(network, order)[1]
    embeddings = {name: task.run(network, rows)[1] for name, rows in parts.items()}
    heads = network.last.cpu()
    assert isinstance(heads, ProteinHeads)
    found: dict[str, Any] = {protein: {name: {} for name in parts} for protein in held}
    for protein in held:
        i = task.proteins.index(protein)
        goal = task.targets[torch.from_numpy(order), i].cpu()
        for count in (1000, len(order)):
            weights = heads.weigh(heads.identity_of(learned[:count], goal[:count])).detach()
            for name, rows in parts.items():
                answer = (embeddings[name] @ weights).numpy()
                r = pearson(task.known(rows)[:, i], answer)
                found[protein][name][f"{count:,} probes"] = round(r, 4)
    return found


def fit_ridge(task: Task) -> KmerRidge:
    """The trivial method, on the complete probes of train."""
    rows = task.train[task.complete[task.train]]
    goal = task.targets[torch.from_numpy(rows)].cpu().numpy()
    return KmerRidge(4, canonical=False).fit(task.probes.letters[rows], goal)


def compare(
    task: Task,
    networks: Mapping[str, Sequence[nn.Module]],
    rows: NDArray[np.int64],
    ridge: KmerRidge,
) -> dict[str, dict[str, Correlations]]:
    """Pearson and Spearman of every method on rows.

    Parameters
    ----------
    networks
        By method: one of all proteins, or one for each.
    ridge
        Fitted.
    """
    predictions = {RIDGE: ridge.predict(task.probes.letters[rows])} | {
        name: np.concatenate([task.predict(network, rows) for network in those], 1)
        for name, those in networks.items()
    }
    truth = task.known(rows)
    return {
        "pearson_mean": {
            name: table.correlations(truth, found) for name, found in predictions.items()
        },
        "spearman_mean": {
            name: table.correlations(table.ranks(truth), table.ranks(found))
            for name, found in predictions.items()
        },
    }


def figures(
    config: Config, split: str, n: int, found: Mapping[str, Mapping[str, Correlations]]
) -> tuple[list[Metric], list[Baseline]]:
    """Those of a split for the card; what the shipped network is compared with are baselines."""
    size = f"{config.same_motifs}-{config.same_filters} filters"
    methods = {
        SINGLE: f"a network for each protein, {size}, {config.same_passes} passes each",
        SAME: f"one network for all, {size}, {config.same_passes} passes",
        LONGER: f"one network for all, {size}, {config.longer_passes} passes",
        RIDGE: "ridge regression on 4-mers",
    }
    return (
        [table.metric(name, split, n, by[MULTI]) for name, by in found.items()],
        [
            table.baseline(name, split, n, by[method], text)
            for name, by in found.items()
            for method, text in methods.items()
        ],
    )


def architecture(config: Config) -> str:
    """The network in a line."""
    return (
        f"Conv(6->{config.motifs}, {config.width}) max pooling 2, Conv(->{config.filters}, 3), "
        f"{config.depth} residual dilated convolutions of 3, global max and mean, "
        f"Linear(->{config.hidden}) ReLU, weights of each protein from its embedding of "
        f"{config.identity}"
    )


def data_fields(task: Task) -> dict[str, Any]:
    """What it was trained, chosen and tested on."""
    return {
        "train": {"n": len(task.train)},
        "valid": {"n": len(task.valid)},
        "test": {"n": len(task.test)},
        "sha256": rnacompete.CHECKSUMS["all"],
    }


def golden_inputs(task: Task) -> dict[str, NDArray[np.uint8]]:
    """Probes of all lengths from validation, some in lower case, some with unknown letters."""
    rows = task.valid[np.linspace(0, len(task.valid) - 1, 24).astype(np.int64)]
    letters = task.probes.letters[rows].copy()
    letters[::4] |= 0x20
    letters[1::6, 10:13] = ord("N")
    return {"sequence": letters}


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    config, options = command.parse(Config, __doc__, arguments)
    _held(config)
    task = Task(config, options.device)
    runs = options.run_folder(NAME, config)
    print(
        f"{NAME}: {len(task.proteins)} proteins, {len(task.train):,} probes of train, device "
        f"{task.device}"
    )

    same = train(task, task.targets, runs / "same.pt", same=True, seed=config.seed)
    longer = train(
        task,
        task.targets,
        runs / "longer.pt",
        passes=config.longer_passes,
        same=True,
        seed=config.seed,
    )
    multi = train(task, task.targets, runs / "multi.pt", same=False, seed=config.seed)
    singles = train_singles(task, runs)
    networks = {
        SINGLE: [s.network for s in singles],
        SAME: [same.network],
        LONGER: [longer.network],
        MULTI: [multi.network],
    }
    ridge = fit_ridge(task)

    parts = {"test": task.test} if options.export and not config.smoke else {}
    parts |= {"valid": task.valid}
    metrics: list[Metric] = []
    base: list[Baseline] = []
    gains = {}
    for split, rows in parts.items():
        found = compare(task, networks, rows, ridge)
        own, others = figures(config, split, len(rows), found)
        metrics += own
        base += others
        by = found["pearson_mean"]
        whole = task.test if split == "test" else task.set_a
        repeats = table.agreement(task.probes, whole, task.columns)
        folder = runs / split
        folder.mkdir(exist_ok=True)
        table.write_table(folder / "proteins.csv", task.proteins, repeats, by)
        title = f"{NAME}: {len(rows):,} probes of {split}"
        table.draw(folder / "proteins.png", task.proteins, repeats, by, (MULTI, SINGLE), title)
        gains[split] = {
            f"{one} less {other}": {
                "mean": round((gain := by[one].minus(by[other])).mean, 4),
                "over probes": gain.interval(),
                "over proteins": gain.over_proteins(),
                "proteins gained": int((gain.values > 0).sum()),
            }
            for one, other in ((SAME, SINGLE), (LONGER, SINGLE), (MULTI, SINGLE))
        }
    added = add_held(task, runs, parts)
    report.show(metrics, base)
    print(f"gains: {gains}\nproteins added: {added}")
    seconds = {
        MULTI: multi.seconds,
        SAME: same.seconds,
        LONGER: longer.seconds,
        SINGLE: sum(s.seconds for s in singles),
    }
    report.write(runs / "report.json", metrics, base, gains=gains, added=added, seconds=seconds)
    write_history(runs / "history.csv", multi.history)
    plot_history(runs / "training.png", multi.history, f"{NAME} (targets scaled to deviation 1)")

    if options.export:
        shipped = MultiAffinity(
            multi.network.cpu(),
            torch.tensor([scale.mean for scale in task.scales]),
            torch.tensor([scale.deviation for scale in task.scales]),
        )
        first = runs / next(iter(parts))
        training = command.training_fields(
            NAME,
            config,
            options,
            seconds=multi.seconds,
            window=rnacompete.LENGTH,
            best_epoch=multi.best_epoch,
            single_networks_seconds=round(seconds[SINGLE]),
        )
        card = export.export(
            shipped,
            make_contract(task.proteins, config.hidden, kernel=config.width, depth=config.depth),
            Report.of(
                "rbp_multi",
                shipped.network,
                training,
                metrics,
                base,
                architecture=architecture(config),
                data=data_fields(task),
            ),
            golden_inputs(task),
            options.exported / NAME,
            files=[
                runs / "history.csv",
                runs / "training.png",
                first / "proteins.csv",
                first / "proteins.png",
            ],
            motif_letters=task.probes.letters[task.train[::10]],
        )
        print(f"wrote {options.exported / NAME}, sha256 {card.sha256}")
