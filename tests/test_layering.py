"""Who may import whom."""

from __future__ import annotations

import ast
import graphlib
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import seqtile
from tests.python.models import counts_model
from tests.python.oracle import write_fasta

PACKAGE = Path(seqtile.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
TRAINING = {"torch", "training", "onnx", "onnxscript", "sklearn"}
TORCH_PROGRAM = "bench.torch_program"  # the peer engine of `seqtile bench`, which alone may torch
OPTIONAL = {"onnxruntime", "pyarrow", "matplotlib", "rich"}
IMAGES = {"cv2", "imagecodecs", "pyvips", "tifffile"}
# The allowed arrows: what each package, or module that stands alone, may import of the others. What
# is left of a colon may import what is right of it, and each the modules of `ALL`.
ALL = {
    *("_core", "compression", "errors", "escaping", "outputs", "unfinished", "spool", "manifest"),
    *("versions", "closing", "streams", "interrupts", "telemetry", "__version__"),
}
DATA_LAYER = {"sequences", "fasta", "regions", "motifs", "images"}
ARROWS: dict[str, set[str]] = {
    **{module: set() for module in ALL},
    "machine": set(),
    "sequences": set(),
    "fasta": {"sequences"},
    "regions": set(),
    "motifs": set(),
    "images": set(),
    "execution": {"machine"},
    "models": {"execution", "sequences", "fasta", "images"},
    "scanning": {"execution", "models", "sequences", "fasta", "regions"},
    "segmenting": {"execution", "models", "images"},
    "doctor": {"machine", "execution", "models"},
    "bench": {"machine", "execution", "models", "fasta"},
    # The verbs: each imports what it is about, and only the command line imports them.
    "commands": {
        *("machine", "execution", "models", "scanning", "segmenting", "doctor", "bench"),
        *("sequences", "fasta", "motifs", "images"),
    },
    "cli": {"commands"},
    "__main__": {"cli"},
}


def module(source: Path) -> str:
    return ".".join(source.relative_to(PACKAGE).with_suffix("").parts)


def absolute(name: str, source: Path) -> str:
    """A relative import as a name within the package; other names as they are."""
    dots = len(name) - len(name.lstrip("."))
    parents = source.relative_to(PACKAGE).parts[:-1]
    return ".".join([*parents[: len(parents) + 1 - dots], name[dots:]]) if dots else name


@cache
def imported(source: Path) -> frozenset[str]:
    """Names of the modules that a file imports anywhere: ``numpy.typing``, ``.errors``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            found |= {name} if node.module else {name + alias.name for alias in node.names}
    return frozenset(found)


def roots(source: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(source)}


def test_the_check_sees_imports(tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text(
        "import a.b\nfrom c.d import e\nfrom .f import g\n"
        "def h():\n    from . import i, j\n    import training.lab.loop\n"
    )
    assert imported(source) == {"a.b", "c.d", ".f", ".i", ".j", "training.lab.loop"}
    assert roots(source) & TRAINING == {"training"}


@pytest.mark.parametrize("source", SOURCES, ids=module)
def test_nothing_imports_training(source: Path) -> None:
    allowed = {"torch"} if module(source) == TORCH_PROGRAM else set()
    assert roots(source) & TRAINING - allowed == set()


def test_the_torch_program_is_imported_on_demand() -> None:
    """By the engines of `seqtile bench` alone, and at the top of no module."""
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        tops = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        names = {"." * node.level + (node.module or "") for node in tops}
        names |= {"." * node.level + alias.name for node in tops for alias in node.names}
        assert TORCH_PROGRAM not in {absolute(name, source) for name in names}, source
        if TORCH_PROGRAM in {absolute(name, source) for name in imported(source)}:
            assert module(source) == "bench.engines"


def test_who_imports_onnxruntime() -> None:
    """The session; and what looks for its libraries, and at what it ran, when it is asked to."""
    importing = {module(path) for path in SOURCES if "onnxruntime" in roots(path)}
    assert importing == {"execution.session", "machine.cuda", "execution.node_providers"}


def package(name: str) -> str:
    return name.partition(".")[0]


def arrows() -> set[tuple[str, str]]:
    """Pairs of packages of which the first imports the second, within functions too."""
    found = set()
    for source in SOURCES:
        here = package(module(source))
        for name in imported(source):
            if name.startswith("."):
                found.add((here, package(absolute(name, source))))
    return {(a, b) for a, b in found if a != b and a != "__init__"}


def test_arrows_between_packages() -> None:
    allowed = {(a, b) for a, targets in ARROWS.items() for b in targets | ALL}
    assert arrows() - allowed == set()


def test_the_table_has_no_cycle() -> None:
    assert {a for a, _ in arrows()} <= ARROWS.keys() | {"__init__"}
    graphlib.TopologicalSorter(ARROWS).prepare()


def test_contributing_shows_the_table() -> None:
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)` \| .* \|([^|]*)\|$", text)
    shown = {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows if name in ARROWS}
    packages = {name for name in ARROWS if name not in ALL} - {"cli", "__main__"}
    assert shown.keys() == packages
    del shown["commands"]  # "every other"
    assert shown == {name: ARROWS[name] for name in shown}


def imported_at_the_top(source: Path) -> set[str]:
    """Names of the package's modules that a file imports outside its functions, for types too."""
    found = set()

    def walk(nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if isinstance(node, (ast.If, ast.Try)):
                walk(node.body)
            elif isinstance(node, ast.ImportFrom) and node.level:
                base = absolute("." * node.level + (node.module or ""), source)
                found.update({base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)})

    walk(ast.parse(source.read_text(encoding="utf-8")).body)
    return found & set(map(module, SOURCES)) - {module(source)}


def test_no_modules_import_each_other() -> None:
    graphlib.TopologicalSorter({module(s): imported_at_the_top(s) for s in SOURCES}).prepare()


def test_the_data_layer_stands_alone() -> None:
    """On numpy and the compiled core; what opens pictures and draws says so within functions."""
    for source in SOURCES:
        if package(module(source)) in DATA_LAYER:
            tops = ast.parse(source.read_text(encoding="utf-8")).body
            names = {a.name for node in tops if isinstance(node, ast.Import) for a in node.names}
            names |= {n.module or "" for n in tops if isinstance(n, ast.ImportFrom) and not n.level}
            assert {package(name) for name in names} & (OPTIONAL | IMAGES) == set(), source


def loaded(code: str, *arguments: object) -> set[str]:
    """Top-level modules of a fresh process after it ran some code."""
    report = "; import json, sys; print(json.dumps([n.partition('.')[0] for n in sys.modules]))"
    result = subprocess.run(
        [sys.executable, "-c", code + report, *map(str, arguments)], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_seqtile_is_cheap() -> None:
    modules = loaded("import seqtile")
    assert modules & (OPTIONAL | TRAINING | IMAGES | {"msgspec"}) == set()
    assert "seqtile" in modules
    assert "numpy" not in modules


def test_the_data_layer_needs_no_runtime(tmp_path: Path) -> None:
    code = (
        "import sys, seqtile; from pathlib import Path;"
        "records = list(seqtile.read_fasta(seqtile.example_path('chr22')));"
        "seqtile.one_hot([records[0].sequence]); seqtile.list_models(); seqtile.Fasta(sys.argv[1])"
    )
    genome = write_fasta(tmp_path / "x.fa", {"chr1": "GATTACA" * 60})
    assert loaded(code, genome) & (OPTIONAL | TRAINING) == set()


def test_predicting_needs_onnxruntime_alone() -> None:
    """Whichever of the shipped models."""
    code = (
        "import sys, seqtile, numpy\n"
        "for name in sys.argv[1:]:\n"
        "    predictor = seqtile.load(name, device='cpu')\n"
        "    usual = predictor.card.training['window']; first, *others = predictor.card.inputs\n"
        "    shape = [n if isinstance(n, int) else usual for n in first.shape[1:]]\n"
        "    further = {tensor.name: [[0]] for tensor in others}\n"
        "    predictor.predict(numpy.full((1, *shape), ord('A'), 'uint8'), **further)\n"
        "pass"
    )
    modules = loaded(code, *seqtile.list_models())
    assert modules & (OPTIONAL | TRAINING | IMAGES) == {"onnxruntime"}


def test_a_third_party_model_needs_onnxruntime_alone(tmp_path: Path) -> None:
    code = (
        "import sys, seqtile; predictor = seqtile.load(sys.argv[1], input=seqtile.InputSpec());"
        "predictor.predict(['ACGT'])"
    )
    modules = loaded(code, counts_model(tmp_path / "m.onnx"))
    assert modules & (OPTIONAL | TRAINING) == {"onnxruntime"}


def test_scanning_never_imports_torch(tmp_path: Path) -> None:
    genome = write_fasta(tmp_path / "x.fa", {"chr1": "GATTACA" * 60})
    targets = [f"-o{tmp_path}/a.{suffix}" for suffix in ("bw", "bed", "parquet", "npz")]
    modules = loaded(
        "import sys; from seqtile.cli import main; main(sys.argv[1:])",
        "scan",
        "jund-cnn-seq",
        genome,
        *targets,
        "--plot",
        tmp_path / "a.png",
    )
    assert modules & TRAINING == set()
    assert modules & OPTIONAL == OPTIONAL


# The same of the C++ headers: what a folder of csrc/ may include of the others.
CSRC = {
    "core": set(),
    "sequence": {"core"},
    "fasta": {"core", "sequence"},
    "kmer": {"core", "sequence"},
    "image": {"core"},
    "text": {"core"},
}


def test_arrows_between_folders_of_csrc() -> None:
    headers = Path(__file__).parent.parent / "csrc"
    for folder, allowed in CSRC.items():
        for header in (headers / folder).glob("*.hpp"):
            included = re.findall(r'#include "([^"]+)"', header.read_text(encoding="utf-8"))
            found = {re.fullmatch(r"(?:\.\./(\w+)/)?\w+\.hpp", name)[1] for name in included}
            assert found - {None} <= allowed, header
