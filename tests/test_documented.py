"""What README, the manual and the public docstrings name can be imported."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import seqtile
from seqtile import errors

PACKAGE = Path(seqtile.__file__).parent
ROOT = Path(__file__).parents[1]
# Not of Python: keys of the metadata in ``model.onnx``, a word that stands for any name.
OTHER = {"seqtile.card", "seqtile.contract", "seqtile.precision", "seqtile.NAME"}
PAGES = [ROOT / "README.md", *sorted((ROOT / "python" / "docs").rglob("*.md"))]
_SECTION = re.compile(r"^Raises\n-+\n(.*?)(?=^\w[\w ]*\n-+$|\Z)", re.MULTILINE | re.DOTALL)


def resolved(path: str) -> object:
    """What a dotted name stands for: a module, or an attribute of one."""
    module, _, name = path.rpartition(".")
    if not module:
        return importlib.import_module(path)
    parent = resolved(module)
    if hasattr(parent, name):
        return getattr(parent, name)
    return importlib.import_module(path)


def has(owner: object, name: str) -> bool:
    """An attribute of a class; of its instances by what its docstring says."""
    return hasattr(owner, name) or bool(
        re.search(rf"^(.*, )?{name}\b", inspect.getdoc(owner) or "", re.MULTILINE)
    )


def is_known(name: str, owner: object = None) -> bool:
    """A name as documents use it: public here, built in, of the documented class, or in full."""
    head, _, rest = name.partition(".")
    if owner is not None and has(owner, head):
        return True
    public = getattr(seqtile, head, None) if head in seqtile.__all__ else None
    if public is not None:
        return not rest or has(public, rest)
    if hasattr(builtins, name):
        return True
    try:
        resolved(name)
    except (ImportError, AttributeError):
        return False
    return bool(rest) or name == "seqtile"


def in_markdown(text: str) -> set[str]:
    """``seqtile.x``, what is imported from seqtile, errors, and members of public classes."""
    found = set(re.findall(r"\bseqtile(?:\.[A-Za-z_]\w*)+(?!\w*/)", text))
    for module, names in re.findall(r"from (seqtile[\w.]*) import ([\w, ]+)", text):
        found |= {f"{module}.{name.split()[0]}" for name in names.split(",")}
    found |= set(re.findall(r"\b[A-Z]\w*(?:Error|Exception)\b", text))
    classes = [name for name in seqtile.__all__ if inspect.isclass(getattr(seqtile, name))]
    found |= set(re.findall(rf"`((?:{'|'.join(classes)})\.[a-z_]\w*)", text))
    return found - OTHER


def in_docstring(text: str) -> set[str]:
    """Names between single backticks, and those of the section Raises."""
    found = set(re.findall(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)", text))
    for section in _SECTION.findall(text):
        for line in section.splitlines():
            if line and not line.startswith(" "):
                found |= {name.strip() for name in line.split(",")}
    return found


def documented() -> Iterator[tuple[str, object, str]]:
    """Every public object and its public members: name, the class or object, docstring."""
    for name in seqtile.__all__:
        value = getattr(seqtile, name)
        yield name, value, inspect.getdoc(value) or ""
        for member, item in vars(value).items() if inspect.isclass(value) else ():
            if not member.startswith("_"):
                yield f"{name}.{member}", value, inspect.getdoc(item) or ""


def test_the_check_sees_names() -> None:
    page = (
        "`seqtile.nosuch` and seqtile.load(x); `Predictor.fly`; a NoSuchError\n"
        "from seqtile import scan, missing\npip install seqtile.git/x\n"
    )
    names = in_markdown(page)
    assert {name for name in names if not is_known(name)} == {
        "seqtile.nosuch",
        "Predictor.fly",
        "NoSuchError",
        "seqtile.missing",
    }
    text = "Of `Scan`, ``x``.\n\nRaises\n------\nAError, OSError\n    Of `b`.\n\nNotes\n-----\nNo\n"
    assert in_docstring(text) == {"Scan", "AError", "OSError", "b"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert {name for name in in_markdown(text) if not is_known(name)} == set()


def test_what_a_public_docstring_names_is_there() -> None:
    missing = {
        f"{where}: {name}"
        for where, owner, text in documented()
        for name in in_docstring(text)
        if not is_known(name, owner)
    }
    assert missing == set()


def test_licences_of_vendored_code_go_into_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shipped = {file for pattern in project["license-files"] for file in ROOT.glob(pattern)}
    vendored = [path for path in (ROOT / "csrc" / "third_party").iterdir() if path.is_dir()]
    assert vendored
    for folder in [ROOT, *vendored]:
        assert {path.parent for path in shipped} >= {folder}, folder


def test_everything_public_is_documented_and_listed() -> None:
    assert sorted(seqtile.__all__) == seqtile.__all__
    assert set(seqtile.__all__) | {"errors", "__version__"} <= set(dir(seqtile))
    assert [name for name, _, text in documented() if not text and "." not in name] == []


def test_every_error_is_public() -> None:
    """All of the package's own errors stand in `seqtile.errors`, and in `seqtile`."""
    own = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.SeqtileError)
    }
    assert own == set(errors.__all__) == {n for n in seqtile.__all__ if hasattr(errors, n)}
    for source in sorted(PACKAGE.rglob("*.py")):
        if source.name != "errors.py":
            nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
            bases = [
                base for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases
            ]
            names = {base.id for base in bases if isinstance(base, ast.Name)}
            assert names & set(errors.__all__) == set(), source
