"""Decoders in a process of their own: what ends it ends one job."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from seqtile.images import decoder
from seqtile.images.decoder import decode_apart
from tests.python.pictures import picture

imagecodecs = pytest.importorskip("imagecodecs")

PIXELS = picture(40, 50, 3)
DATA = imagecodecs.jpegxr_encode(PIXELS)
MOST = PIXELS.nbytes


def children() -> set[int]:
    """The decoders among the children of this process, but those of tests that import anew."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"seqtile.images.decoder" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(int(child))
    return found - others


others: set[int] = set()


def decoded() -> bool:
    got = decode_apart("jpegxr_decode", DATA, most=MOST)
    return bool((got == imagecodecs.jpegxr_decode(DATA)).all())


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    decoder._child.close()
    others.update(children())
    yield
    decoder._child.close()
    assert not children()


def test_one_child_for_all_jobs() -> None:
    assert decoded()
    (first,) = children()
    threads = [threading.Thread(target=decoded) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert children() == {first}


def test_a_child_that_died_between_jobs_is_started_anew() -> None:
    assert decoded()
    (first,) = children()
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert decoded()
    assert first not in children()


@pytest.mark.parametrize(
    ("by", "message"),
    [(signal.SIGSEGV, "ended by SIGSEGV"), (signal.SIGALRM, "more than 60 seconds")],
)
def test_a_child_that_dies_at_a_job(by: signal.Signals, message: str) -> None:
    """The job is a large one, whose end the signal does not wait for."""
    assert decoded()
    (first,) = children()
    large = imagecodecs.jpegxr_encode(np.tile(PIXELS, (60, 40, 1)))
    timer = threading.Timer(0.01, os.kill, (first, by))
    timer.start()

    def again_and_again() -> None:
        while True:
            decode_apart("jpegxr_decode", large, most=1 << 30)

    with pytest.raises(ValueError, match=message):
        again_and_again()
    timer.join()
    assert decoded()


def test_damage_is_an_error_and_the_child_goes_on() -> None:
    assert decoded()
    before = children()
    for data, message in ((b"", "."), (b"no image", "."), (DATA, "more than the image says")):
        with pytest.raises(ValueError, match=message):
            decode_apart("jpegxr_decode", data, most=10)
    assert decoded()
    assert children() == before


def test_what_libraries_print_is_not_taken_for_an_answer(capfd: pytest.CaptureFixture[str]) -> None:
    """libjxr prints unknown tags of a header to standard output."""
    odd = bytearray(DATA)
    (table,) = struct.unpack_from("<I", odd, 4)
    odd[table + 2 : table + 4] = b"\x77\x76"
    with suppress(ValueError):
        decode_apart("jpegxr_decode", bytes(odd), most=MOST)
    assert decoded()
    assert capfd.readouterr() == ("", "")


def test_it_ends_with_its_parent() -> None:
    code = (
        "import os, imagecodecs, numpy as np\n"
        "from seqtile.images import decoder\n"
        "data = imagecodecs.jpegxr_encode(np.zeros((9, 9), np.uint8))\n"
        "decoder.decode_apart('jpegxr_decode', data, most=99)\n"
        "print(decoder._child._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (-9, "")
    deadline = time.monotonic() + 10
    while Path(f"/proc/{result.stdout.strip()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_fork_has_a_child_of_its_own() -> None:
    code = (
        "import os, imagecodecs, numpy as np\n"
        "from seqtile.images import decoder\n"
        "data = imagecodecs.jpegxr_encode(np.full((9, 9), 7, np.uint8))\n"
        "def pid():\n"
        "    assert decoder.decode_apart('jpegxr_decode', data, most=99).shape == (9, 9)\n"
        "    return decoder._child._process.pid\n"
        "mine = pid()\n"
        "if not (child := os.fork()):\n"
        "    os._exit(pid() == mine)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert pid() == mine"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_module_of_its_name_in_the_current_folder_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "imagecodecs.py").write_text("raise SystemExit('not this')")
    (tmp_path / "json.py").write_text("raise SystemExit('not this')")
    code = (
        "import sys; sys.path.pop(0)\n"
        "import imagecodecs, numpy as np\n"
        "from seqtile.images.decoder import decode_apart\n"
        "data = imagecodecs.jpegxr_encode(np.zeros((9, 9), np.uint8))\n"
        "print(decode_apart('jpegxr_decode', data, most=99).shape)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert (result.stdout, result.stderr) == ("(9, 9)\n", "")
