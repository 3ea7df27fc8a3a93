"""The models shipped inside the package."""

from __future__ import annotations

import difflib
from pathlib import Path

from ..errors import ModelNotFoundError
from ..execution.graph_file import graph_files, read_file
from . import card as cards
from . import contract
from .card import ModelCard
from .contract import Contract
from .misfits import refuse_no_model, refuse_pointer

__all__ = ["card", "list_models", "model_files", "model_folder"]

_MOST_TEXT = 1 << 26  # bytes of a contract or card

_FILES = (contract.FILE, cards.FILE, "parity.json", "golden.npz", "motifs.meme")


def _folders() -> dict[str, Path]:
    import seqtile

    # An installed package holds exported/ itself; in an editable install it is in the checkout,
    # which is then a further entry of the package's path.
    roots = [Path(root) / "exported" for root in seqtile.__path__]
    found = (file for root in roots for file in sorted(root.glob("*/contract.json")))
    return {file.parent.name: file.parent for file in found}


def list_models() -> list[str]:
    """Names of the shipped models, sorted."""
    return sorted(_folders())


def model_folder(name: str) -> Path:
    """Folder of a shipped model.

    Raises
    ------
    ModelNotFoundError
        No such model; suggests the nearest name.
    ModelIntegrityError
        A file: says what it is.
    """
    folders = _folders()
    if name not in folders:
        refuse_no_model(Path(name))
        is_path = Path(name).name != name or Path(name).suffix != ""
        cutoff = 0.8 if is_path else 0.4
        near = difflib.get_close_matches(name.lower(), folders, n=1, cutoff=cutoff)
        there = ", ".join(sorted(folders)) or "none"
        hint = f"did you mean {near[0]!r}?" if near else f"there is {there}"
        if is_path and not near:
            hint = "there is no such file or folder"
        raise ModelNotFoundError(f"no model {name!r}; {hint}")
    return folders[name]


def model_files(name_or_path: str) -> list[Path]:
    """The files that `seqtile.load` would read, or a reader of the model's folder; none without.

    They are its graphs, the weights beside them, and what else a model's folder is made of.
    """
    path = Path(name_or_path)
    if path.suffix == ".onnx":
        return graph_files(path)
    folder = path if path.is_dir() else _folders().get(name_or_path)
    if folder is None:
        return []
    graphs = (file for graph in folder.glob("*.onnx") for file in graph_files(graph))
    return [*graphs, *(folder / name for name in _FILES)]


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder: of its contract and ``card.json``, which may be missing.

    Without a contract ``card.json`` is an older model's, which holds everything.

    Raises
    ------
    ModelNotFoundError
        The folder has neither.
    ModelCardError
        One of them is malformed.
    ModelIntegrityError
        One of them is a Git LFS pointer.
    """
    path = folder / cards.FILE
    try:
        words = read_file(path, _MOST_TEXT)
    except FileNotFoundError:
        words = None
    try:
        text = read_file(folder / contract.FILE, _MOST_TEXT)
    except FileNotFoundError:
        if words is None:
            graph = next(iter(sorted(folder.glob("*.onnx"))), None)
            raise ModelNotFoundError(
                f"{folder}: a model folder needs {contract.FILE}"
                + (f"; give the file {graph} itself" if graph else "")
            ) from None
        return ModelCard.from_json(words, source=str(path))
    refuse_pointer(text, folder / contract.FILE)
    found = Contract.from_json(text, source=str(folder / contract.FILE))
    if words is None:
        return ModelCard.of(found)
    return ModelCard.of(found, contract.decoded(words, dict, str(path)), source=str(path))


def card(name: str) -> ModelCard:
    """The card of a shipped model.

    Raises
    ------
    ModelNotFoundError
        No such model; suggests the nearest name.
    """
    return read_card(model_folder(name))
