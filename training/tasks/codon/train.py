"""Train `codon-convnet`: DNA of any number of codons to the residues they stand for.

    python -m training codon-convnet                  # half a minute; report
    python -m training codon-convnet --export         # and write exported/
    python -m training codon-convnet --preset course  # the homework's own procedure
    python -m training codon-convnet --smoke

"Deep learning workshop", question 4: learn translation from three sequences, in which two of
proline's four codons, CCA and CCG, never occur. Preset ``course`` takes them one at a time for
1,000 epochs, by Adam. Preset ``best`` takes them together, with a wider first layer and weight
decay. That choice was made on codons that are to other residues what CCA and CCG are to proline:
of each of the seven other residues with four codons alike but for the last base, those with A and G
are cut out of the sequences, and asked for afterwards. The unseen codons of proline are looked at
in the report only.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import seqtile
from seqtile.models.card import Baseline, Metric

from ...export import export
from ...export.report import Report
from ...lab import command, report
from ...lab.loop import Fit, FitConfig, fit, seed_everything
from ...lab.pictures import canvas, plot_history, write_history
from . import data
from .card import LENGTH, NAME, data_fields, make_contract
from .networks import RESIDUES, CodonNet, residues

Pairs = list[tuple[str, str]]
Table = dict[str, NDArray[np.float32]]  # codon to its distribution over RESIDUES


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    first, second
        Channels of the first two convolutions; 0 is the preset's: 256 and 32, course 64 and 32.
    epochs
        Passes over the three sequences; 0 is the preset's: 500, course 1,000.
    """

    preset: str = dataclasses.field(default="best", metadata={"choices": ("best", "course")})
    seed: int = 0
    first: int = 0
    second: int = 32
    activation: str = "relu"
    epochs: int = 0
    smoke: bool = False


def train(
    pairs: Pairs, config: Config, device: torch.device, held: Mapping[str, str] | None = None
) -> Fit:
    """A network of these sequences, of its last epoch.

    ``held`` are codons that are not in them, and their residues; the history says how it does on
    these.
    """
    seed_everything(config.seed)
    course = config.preset == "course"
    first = config.first or (64 if course else 256)
    network = CodonNet(first=first, second=config.second, activation=config.activation).to(device)
    examples = [_example(pair, device) for pair in pairs]
    if not course:  # one pass of all codons, so that the norms see all of them
        x, y = zip(*examples, strict=True)
        examples = [(torch.cat(x, 1), torch.cat(y, 2))]
    turn = iter(range(1 << 40))

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        letters, target = examples[next(turn) % len(examples)]
        return functional.binary_cross_entropy(model(letters)[0], target)

    def validate(model: nn.Module) -> dict[str, float]:
        table = distributions(model, device)
        row = {"seen_codons": _share(table, data.seen_codons(pairs))}
        if held:
            given = torch.from_numpy(np.stack([table[codon] for codon in held], 1))
            loss = functional.binary_cross_entropy(given, residues("".join(held.values())))
            row |= {"valid_loss": float(loss), "left_out_codons": _share(table, held)}
        return row

    epochs = 20 if config.smoke else config.epochs or (1000 if course else 500)
    plan = FitConfig(
        steps=epochs * len(examples),
        evaluate_every=10 * len(examples),
        lr=1e-3 if course else 1e-2,
        weight_decay=0.0 if course else 0.1,
        optimizer="adam" if course else "adamw",
        schedule="constant",
        monitor="epoch",
        seed=config.seed,
    )
    return fit(network, loss, validate, plan, label=config.preset)


def _example(pair: tuple[str, str], device: torch.device) -> tuple[Tensor, Tensor]:
    dna, protein = pair
    letters = torch.from_numpy(data.letters(dna).copy())
    return letters.to(device), residues(protein)[None].to(device)


def distributions(network: nn.Module, device: torch.device) -> Table:
    """What a network in ``eval()`` says of each of the 64 codons."""
    letters = torch.from_numpy(data.letters("".join(data.CODONS)).copy()).to(device)
    with torch.inference_mode():
        probability = network.eval()(letters)[0][0].T.cpu().numpy()
    return dict(zip(data.CODONS, probability, strict=True))


def translate(network: nn.Module, dna: str, device: torch.device) -> str:
    """The protein a network in ``eval()`` reads in a sequence."""
    with torch.inference_mode():
        probability = network.eval()(torch.from_numpy(data.letters(dna).copy()).to(device))[0]
    return str(seqtile.decode(probability[0].cpu().numpy(), alphabet="protein"))


def _residue(distribution: NDArray[np.float32]) -> str:
    return str(seqtile.decode(distribution[:, None], alphabet="protein"))


def _share(table: Table, truth: Mapping[str, str]) -> float:
    return float(np.mean([_residue(table[codon]) == residue for codon, residue in truth.items()]))


def left_out(
    pairs: Pairs, config: Config, device: torch.device
) -> tuple[Table, dict[str, str], list[Fit]]:
    """Distributions of codons that a network of the same recipe never saw; residues; the fits."""
    table: Table = {}
    seen, fits = data.seen_codons(pairs), []
    twins = data.hidden_twins()
    for pair in twins[:1] if config.smoke else twins:
        held = {codon: seen[codon] for codon in pair}
        fits.append(train(data.without(pairs, set(pair)), config, device, held))
        found = distributions(fits[-1].network, device)
        table |= {codon: found[codon] for codon in pair}
    return table, {codon: seen[codon] for codon in table}, fits


def joined(result: Fit, fits: list[Fit]) -> list[dict[str, float]]:
    """A history with the means of the left-out fits in each epoch beside its own figures."""
    rows = []
    for row, *others in zip(result.history, *(each.history for each in fits), strict=True):
        mean = {
            key: float(np.mean([other[key] for other in others]))
            for key in ("valid_loss", "left_out_codons")
        }
        rows.append(row | mean)
    return rows


def figures(
    network: nn.Module, pairs: Pairs, others: tuple[Table, dict[str, str]], device: torch.device
) -> tuple[list[Metric], list[Baseline]]:
    """Share of codons and residues that are right, and of two rules of thumb."""
    table, seen = distributions(network, device), data.seen_codons(pairs)
    unseen = dict.fromkeys(data.PROLINE[2:], "P")
    left, truth = others
    dna, protein = ("".join(part) for part in zip(*pairs, strict=True))
    right = np.mean([a == b for a, b in zip(translate(network, dna, device), protein, strict=True)])
    every = "every one counted, none drawn"
    metrics = [
        Metric(
            "codon_accuracy",
            "seen codons",
            len(seen),
            round(_share(table, seen), 4),
            (round(_share(table, seen), 4),) * 2,
            every,
        ),
        Metric(
            "residue_accuracy",
            "three sequences",
            len(protein),
            round(float(right), 4),
            (round(float(right), 4),) * 2,
            every,
        ),
        _counted("left-out codons", left, truth),
        _counted("unseen codons", table, unseen),
    ]
    common = Counter(protein).most_common(1)[0][0]
    base = []
    for split, codons in (
        ("seen codons", seen),
        ("left-out codons", truth),
        ("unseen codons", unseen),
    ):
        rules = {
            f"always {common}, the commonest residue": dict.fromkeys(codons, common),
            "the other codons with the same first two letters": {
                codon: _neighbours(codon, seen, set(codons) if split != "seen codons" else {codon})
                for codon in codons
            },
        }
        for method, said in rules.items():
            value = round(float(np.mean([said[c] == r for c, r in codons.items()])), 4)
            base.append(Baseline("codon_accuracy", split, len(codons), value, None, "", method))
    return metrics, base


def _counted(split: str, table: Table, truth: Mapping[str, str]) -> Metric:
    value, n = _share(table, truth), len(truth)
    chance = np.mean([table[codon][RESIDUES.index(r)] for codon, r in truth.items()])
    # Wilson's interval: a bootstrap of figures that are all alike has no width.
    z2 = 1.96**2
    middle, half = (value + z2 / 2 / n), 1.96 * np.sqrt(value * (1 - value) / n + z2 / 4 / n**2)
    interval = tuple(float(np.clip((middle + s * half) / (1 + z2 / n), 0, 1)) for s in (-1, 1))
    interval = (min(round(interval[0], 4), value), max(round(interval[1], 4), value))
    note = f"mean probability of the right residue {chance:.3f}"
    return Metric("codon_accuracy", split, n, round(value, 4), interval, note)


def _neighbours(codon: str, seen: Mapping[str, str], without: set[str]) -> str:
    """The commonest residue of the seen codons that differ in the last letter alone."""
    known = [
        seen[codon[:2] + c]
        for c in "ACGT"
        if codon[:2] + c in seen and codon[:2] + c not in without
    ]
    return Counter(known).most_common(1)[0][0] if known else ""


def proline(table: Table, least: float = 0.005) -> dict[str, dict[str, float]]:
    """The distribution of each of proline's codons: residues from a probability of ``least`` on."""
    return {
        codon: {
            RESIDUES[i]: round(float(table[codon][i]), 4)
            for i in np.argsort(-table[codon])
            if table[codon][i] >= least
        }
        for codon in data.PROLINE
    }


def draw_proline(path: Path, table: Table, title: str) -> None:
    """Probabilities of all residues for proline's codons, as PNG."""
    figure, paper = canvas(9, 4.2)
    for axis, codon in zip(
        figure.subplots(2, 2, sharex=True, sharey=True).flat, data.PROLINE, strict=True
    ):
        seen = "seen" if codon in data.PROLINE[:2] else "never seen"
        colours = ["#d55e00" if residue == "P" else "#888888" for residue in RESIDUES]
        axis.bar(range(len(RESIDUES)), table[codon], color=colours)
        axis.set_title(f"{codon}, {seen} in training", fontsize=9)
        axis.set_xticks(range(len(RESIDUES)), list(RESIDUES), fontsize=8)
        axis.set_ylim(0, 1.05)
        axis.spines[["top", "right"]].set_visible(False)
        place = RESIDUES.index("P")
        axis.annotate(f"P {table[codon][place]:.3f}", (place + 0.6, 0.9), fontsize=8)
    figure.supylabel("probability", fontsize=9)
    figure.suptitle(title, fontsize=10)
    paper.print_figure(path, format="png")


def architecture(network: CodonNet, activation: str) -> str:
    """The network in a line."""
    first, second = network.trunk[0].out_channels, network.trunk[3].out_channels
    return (
        f"Conv(4->{first}, 3, stride 3) BatchNorm {activation}, Conv({first}->{second}, 1) "
        f"BatchNorm {activation}, Conv({second}->{len(RESIDUES)}, 1), softmax"
    )


def golden_inputs(pairs: Pairs) -> dict[str, NDArray[np.uint8]]:
    """Stretches of the three sequences in frame, and proline's codons: uint8 (12, LENGTH)."""
    whole = "".join(dna for dna, _ in pairs)
    step = (len(whole) - LENGTH) // 10 // data.CODON * data.CODON
    rows = [whole[i : i + LENGTH] for i in range(0, 11 * step, step)]
    rows.append(("".join(data.PROLINE) * LENGTH)[:LENGTH])
    return {"sequence": np.concatenate([data.letters(row) for row in rows])}


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    config, options = command.parse(Config, __doc__, arguments)
    started = time.perf_counter()
    runs = options.run_folder(NAME, config)
    pairs = data.load()
    result = train(pairs, config, options.device)
    left, truth, fits = left_out(pairs, config, options.device)
    history = joined(result, fits)
    title = f"{NAME}, preset {config.preset} (valid_loss: codons left out of seven other trainings)"
    write_history(runs / "history.csv", history)
    plot_history(runs / "training.png", history, title)

    network = result.network
    table = distributions(network, options.device)
    metrics, base = figures(network, pairs, (left, truth), options.device)
    report.show(metrics, base)
    said = proline(table)
    for codon, row in said.items():
        print(f"{codon}  " + "  ".join(f"{residue} {p:.3f}" for residue, p in row.items()))
    draw_proline(runs / "proline.png", table, f"{NAME}, preset {config.preset}")
    exact = [translate(network, dna, options.device) == protein for dna, protein in pairs]
    print(f"translated letter for letter: {sum(exact)} of {len(exact)} sequences")
    report.write(
        runs / "report.json",
        metrics,
        base,
        proline=said,
        left_out=told(left, truth),
        exact=exact,
        seconds=round(result.seconds, 1),
    )
    print(
        f"trained in {result.seconds:.0f} s, all in {time.perf_counter() - started:.0f} s; {runs}"
    )

    if options.export:
        if not config.smoke and not (all(exact) and metrics[0].value == 1):
            raise ValueError(f"{NAME} is not exact on what it was trained on; it is not shipped")
        fields = command.training_fields(
            NAME,
            config,
            options,
            seconds=result.seconds,
            window=LENGTH,
            best_epoch=result.best_epoch,
            proline=said,
        )
        assert isinstance(network, CodonNet)
        card = export.export(
            network,
            make_contract(RESIDUES, network.trunk[3].out_channels),
            Report.of(
                "codon",
                network,
                fields,
                metrics,
                base,
                architecture=architecture(network, config.activation),
                data=data_fields(),
            ),
            golden_inputs(pairs),
            options.exported / NAME,
            files=[runs / "history.csv", runs / "training.png", runs / "proline.png"],
        )
        print(f"wrote {options.exported / NAME}, sha256 {card.sha256}")


def told(table: Table, truth: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """For each left-out codon its residue, what is said, and the probability of the right one."""
    return {
        codon: {
            "residue": residue,
            "said": _residue(table[codon]),
            "probability": round(float(table[codon][RESIDUES.index(residue)]), 4),
        }
        for codon, residue in truth.items()
    }
