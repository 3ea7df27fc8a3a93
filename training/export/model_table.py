"""The tables of models in README.md and training/README.md, written from the cards.

python -m training.model_table            # rewrite them
python -m training.model_table --check    # status 1 if one is stale
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence

from seqtile.models.card import Metric, ModelCard
from seqtile.models.zoo import card, list_models, model_folder

from ..lab.command import ROOT

METRICS = {
    "roc_auc": "ROC AUC",
    "pearson": "Pearson r",
    "pearson_mean": "mean Pearson r of 21",
    "accuracy": "accuracy",
    "codon_accuracy": "codons exact",
    "ap50": "AP at IoU 0.5",
}

# What the document a model comes from reports for it, or what is known of its data.
DOCUMENTS = {
    "bloodmnist-best": "MedMNIST's ResNet-18, official split: 0.958",
    "bloodmnist-cnn-pool": "a student's run, 200 epochs: 0.946",
    "codon-convnet": "none",
    "dna-binding-bilstm": "none; a three-layer ConvNet 0.967",
    "jund-cnn": "weighted accuracy 0.635; book ROC AUC 0.760",
    "jund-cnn-seq": "0.745 (validation, all of its rows)",
    "jund-lstm": "not legible",
    "jund-mlp": "weighted accuracy 0.640",
    "liver-enhancer-cnn": "> 0.75",
    "mnist-convnet": "none",
    "nuclei-unet": "none; StarDist's 0.86 on a like set",
    "rbp-bilstm": "RBFOX1: Spearman 0.671",
    "rbp-cnn": "RBFOX1: Spearman 0.622",
    "rbp-cnn-attention": "none",
    "rbp-multi": "244 experiments: 0.69",
}


def readme_table(cards: Sequence[ModelCard]) -> str:
    """Model, question, input, headline figure, size: for users."""
    rows = [
        [
            f"`{c.name}`",
            c.summary,
            _input(c),
            _headline(c),
            f"{c.parameters:,} parameters, {_size(c)}",
        ]
        for c in cards
    ]
    return _table(["model", "answers", "input", "on test, 95 % interval", "size"], rows)


def training_table(cards: Sequence[ModelCard]) -> str:
    """Model, data, split, figures, time, command: for those who train."""
    rows = [
        [
            f"`{c.name}`",
            f"{c.data['name']}: {c.data['source']}",
            str(c.data.get("split", "")),
            DOCUMENTS.get(c.name, "none"),
            _headline(c),
            _best_baseline(c),
            _time(c),
            f"`{c.training['command'].removeprefix('python -m training ')}`",
        ]
        for c in cards
    ]
    heads = [
        "model",
        "data, licence",
        "split",
        "document",
        "ours (test)",
        "best baseline",
        "training",
        "`python -m training`…",
    ]
    return _table(heads, rows)


def _input(c: ModelCard) -> str:
    first, *others = c.inputs
    if c.takes == "images":
        kind = "RGB image" if len(first.shape) == 4 else "grey image"
        height, width = first.shape[1:3]
        return f"{kind}, " + (f"{height} x {width}" if isinstance(height, int) else "any size")
    length = f"{c.window} bases" if c.window else "any length"
    if not c.window and first.length_multiple > 1:
        length += f" of {first.length_multiple}s"
    return ", ".join([f"{first.alphabet.upper()}, {length}", *(tensor.name for tensor in others)])


def _figure(metric: Metric) -> str:
    low, high = metric.ci95 or (metric.value, metric.value)
    return f"{metric.value:.3f} [{low:.3f}, {high:.3f}]"


def _headline(c: ModelCard) -> str:
    first = c.metrics[0]
    return f"{METRICS.get(first.name, first.name)} {_figure(first)}"


def _best_baseline(c: ModelCard) -> str:
    first = c.metrics[0]
    same = [b for b in c.baselines if (b.name, b.split) == (first.name, first.split)]
    best = max(same, key=lambda b: b.value)
    return f"{best.value:.3f} ({best.method})"


def _time(c: ModelCard) -> str:
    seconds = int(c.training["seconds"])
    text = f"{seconds} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    return f"{text}, {c.training['device']}"


def _size(c: ModelCard) -> str:
    return f"{(model_folder(c.name) / 'model.onnx').stat().st_size / 1000:,.0f} kB"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES: dict[str, Callable[[Sequence[ModelCard]], str]] = {
    "README.md": readme_table,
    "training/README.md": training_table,
}
_PLACE = re.compile(r"(<!-- models -->\n).*?(\n?<!-- /models -->)", re.DOTALL)


def updated(text: str, table: str) -> str:
    """The text with the table between ``<!-- models -->`` and ``<!-- /models -->``.

    Raises
    ------
    ValueError
        The text lacks the two comments.
    """
    if not _PLACE.search(text):
        raise ValueError("no <!-- models --> … <!-- /models --> to write between")
    return _PLACE.sub(lambda match: match[1] + table + match[2], text)


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 if stale")
    check = parser.parse_args(arguments).check
    cards = [card(name) for name in list_models()]
    stale = 0
    for name, table in TABLES.items():
        path = ROOT / name
        old = path.read_text(encoding="utf-8")
        new = updated(old, table(cards))
        if new == old:
            continue
        stale = 1
        print(f"{name}: {'stale' if check else 'written'}")
        if not check:
            path.write_text(new, encoding="utf-8")
    return stale if check else 0


if __name__ == "__main__":
    raise SystemExit(main())
