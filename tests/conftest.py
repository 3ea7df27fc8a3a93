"""Fixtures of all tests, and which of them are quick.

``pytest -m quick`` is for one at work: every test but the slow ones that stand here. A new test is
quick; the end of a run names those that take more than `LIMIT_S` of processor time: make them
faster, or name their file here.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import seqtile  # noqa: F401 - before a test imports onnxruntime, whose telemetry it switches off

# Found inputs to try: fewer at work, HYPOTHESIS_PROFILE=thorough for a long night.
settings.register_profile("usual", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))

TESTS = Path(__file__).parent
# Folders and files of slow tests, and fixtures that make a test slow.
SLOW = {
    "benches": "benches in processes of their own",
    "training": "training needs torch",
    "test_docs.py": "every code block of the manual is run",
    "test_exported.py": "every shipped model",
    "test_layering.py": "fresh processes",
    "python/commands/test_bench.py": "measures for a second each time",
    "python/test_binding.py": "every shipped model",
    "python/test_cuda_discovery.py": "compiles libraries",
    "python/test_disguised.py": "compiles libraries",
    "python/test_doctor_cuda.py": "compiles libraries",
    "python/test_hostile.py": "files of many MB in fresh processes",
    "python/test_images_memory.py": "memory of fresh processes",
    "python/test_memory.py": "memory of fresh processes",
    "python/test_nuclei_unet.py": "a shipped model on a slide",
    "python/test_reader.py": "files of many blocks, forked processes",
    "python/test_torch_program.py": "compiles a network",
    "python/test_segmentation_memory.py": "memory of fresh processes",
    "python/test_session_memory.py": "memory of fresh processes",
}
SLOW_FIXTURES = {"data_root"}  # real data
LIMIT_S = 5.0


def pytest_configure() -> None:
    """Hear Ctrl-C also where a shell started the tests in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests."""
    for item in items:
        place = item.path.relative_to(TESTS) if item.path.is_relative_to(TESTS) else item.path
        places = {path.as_posix() for path in (place, *place.parents)}
        if not (places & SLOW.keys() or SLOW_FIXTURES & {*getattr(item, "fixturenames", ())}):
            item.add_marker(pytest.mark.quick)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import what ``-m quick`` leaves out: some needs torch, which takes seconds."""
    if config.getoption("markexpr") == "quick" and collection_path.is_relative_to(TESTS):
        return collection_path.relative_to(TESTS).as_posix() in SLOW or None
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Time the quick tests."""
    before = processor_s()
    yield
    took = processor_s() - before
    if took > LIMIT_S and item.get_closest_marker("quick"):
        item.user_properties.append(("not_quick", took))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the quick tests that are not."""
    for report in terminalreporter.getreports("passed"):
        for name, took in report.user_properties:
            if name == "not_quick" and report.when == "call":
                terminalreporter.write_line(
                    f"NOT QUICK {report.nodeid}: {took:.1f} s of processor time, expected at most "
                    f"{LIMIT_S:g}: make it faster, or name its file in {Path(__file__).name}"
                )


def processor_s() -> float:
    """Processor time of this process and of those that it has waited for."""
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets (``genomes/`` and others), from ``SEQTILE_DATA``."""
    root = os.environ.get("SEQTILE_DATA")
    if not root:
        pytest.skip("SEQTILE_DATA, the folder of the real data sets, is not set")
    return Path(root)
