"""What README, the manual and CONTRIBUTING say is true: their code runs, their links lead on.

The sh and python blocks of a page run in order in one folder, consecutive python blocks in one
process. What a text block shows after one is what it prints, times and last digits aside.
``<!-- not run: why -->`` before a block leaves it out; so does a name by which CI cuts it out
and runs it itself.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MANUAL = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("python/docs/*.md"))]
ALL = [*MANUAL, ROOT / "CHANGELOG.md", ROOT / "training/README.md", ROOT / "exported/README.md"]
BY_CI = ("main-job", "tests")  # see .ci/run

BLOCK = re.compile(r"(?ms)^(?:<!-- (?P<tag>[^\n]*?) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$")
LINK = re.compile(r"(?<!`)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")
TIMED = re.compile(r"\d[\d,.]* (?:s|ms|[kMG]?(?:bases|pixels|windows)/s)\b")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclass
class Block:
    kind: str
    text: str
    tag: str
    shown: str = ""  # the ```text block after it

    @property
    def runs(self) -> bool:
        return self.kind in ("sh", "python") and not self.tag


def blocks(page: Path) -> Iterator[Block]:
    last: Block | None = None
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        block = Block(match["kind"], match["text"], match["tag"] or "")
        if block.kind == "text" and last is not None:
            last.shown = block.text
            continue
        if last is not None:
            yield last
        last = block
    if last is not None:
        yield last


def script(runs: list[Block]) -> str:
    """One shell script; a line that nothing prints stands after what each block prints."""
    lines = ["set -euo pipefail"]
    python: list[str] = []
    for number, block in enumerate(runs):
        done = f"=== {number} ==="
        if block.kind == "python":
            python += [block.text, f"print({done!r})"]
            if number + 1 < len(runs) and runs[number + 1].kind == "python":
                continue
            lines.append(f"{shlex.quote(sys.executable)} - <<'END_OF_BLOCK'")
            lines += [*python, "END_OF_BLOCK"]
            python = []
        else:
            lines += [block.text, f"echo '{done}'"]
    return "\n".join(lines) + "\n"


def same(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed; ``…`` stands for anything."""
    shown, printed = (TIMED.sub("TIME", text.strip()) for text in (shown, printed))
    words, numbers = NUMBER.split(shown), NUMBER.findall(shown)
    pattern = f"({NUMBER.pattern})".join(re.escape(word).replace("…", ".*") for word in words)
    match = re.fullmatch(pattern, printed)
    if match is None:
        return False
    pairs = zip(numbers, match.groups(), strict=True)
    values = [(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs]
    return all(abs(a - b) <= 1e-3 * max(abs(a), abs(b)) for a, b in values)


@pytest.mark.parametrize("page", MANUAL, ids=page_id)
def test_code_blocks(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.tag and block.kind in ("sh", "python"):
            assert block.tag in BY_CI or block.tag.startswith("not run: "), block.tag
    runs = [block for block in blocks(page) if block.runs]
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
    }
    result = subprocess.run(
        ["bash", "-c", script(runs)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    printed = re.split(r"(?m)^=== \d+ ===\n", result.stdout)
    for block, output in zip(runs, printed, strict=False):
        if block.shown:
            assert same(block.shown, output), f"{block.text}\nprints\n{output}\nnot\n{block.shown}"


def test_what_is_shown_is_compared() -> None:
    assert same("a 1,000 x 0.5000 in 2.0 s, …/b\n", "a 1,000 x 0.5001 in 11.3 s, /tmp/b\n")
    assert not same("a 1,000 in 2.0 s\n", "a 1,100 in 2.0 s\n")
    assert not same("a 1 b\n", "a 1 c\n")


def anchors(page: Path) -> set[str]:
    """Of its headings, as renderers of Markdown make them."""
    titles = re.findall(r"(?m)^#+ (.*)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", ALL, ids=page_id)
def test_links(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for match in LINK.finditer(text):
        target, _, anchor = match["target"].partition("#")
        if target.startswith(("http:", "https:")):
            continue
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), match[0]
        assert ROOT in (found, *found.parents), match[0]
        if anchor:
            assert anchor in anchors(found), match[0]


@pytest.mark.parametrize("page", MANUAL, ids=page_id)
def test_sentences_begin_with_what_they_are_about(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    assert re.findall(r"(?:^|[.:;] |\n\n|^[-|] )(?:Of|Those that)\b.{0,40}", text) == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "python/docs/index.md").read_text(encoding="utf-8")
    pages = {page.name for page in ROOT.glob("python/docs/*.md")} - {"index.md"}
    assert {name for name in pages if f"({name})" not in index} == set()


def test_readme_is_a_door() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
