"""The reader's threads: dropped midway, forked, many at once, over a file that changes."""

from __future__ import annotations

import bz2
import gc
import gzip
import io
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from seqtile import Record, read_fasta
from seqtile.errors import FastaParseError

PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
}
RECORD = b"ACGTACGTAC" * 6 + b"\n"
RECORDS = 3500


def genome(records: int) -> bytes:
    return b"".join(b">r%d\n" % number + RECORD * (number % 50) for number in range(records))


@pytest.fixture(scope="module", params=PACK)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 5 MB, of several blocks."""
    path = tmp_path_factory.mktemp("reader") / f"{request.param}.fa"
    path.write_bytes(PACK[request.param](genome(RECORDS)))
    return path


def threads() -> int:
    return psutil.Process().num_threads()


def wait_for(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


# unit


@pytest.mark.parametrize("taken", [0, 1, 3000])
def test_a_reader_dropped_midway_leaves_no_thread(path: Path, taken: int) -> None:
    before = threads()
    for _ in range(8):
        iterator = read_fasta(path)
        for _ in range(taken):
            next(iterator)
        del iterator
    gc.collect()
    assert wait_for(lambda: threads() <= before)
    assert not [t for t in threading.enumerate() if t.name.startswith("seqtile")]
    assert str(path) not in [file.path for file in psutil.Process().open_files()]


def test_an_error_leaves_no_thread(path: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.fa"
    content = path.read_bytes()
    if path.name == "plain.fa":
        content += b"1\n"
    broken.write_bytes(content if path.name == "plain.fa" else content[: len(content) // 2])
    before = threads()
    for _ in range(5):
        with pytest.raises(FastaParseError):
            list(read_fasta(broken))
    assert wait_for(lambda: threads() <= before)


def test_an_exhausted_reader_stays_exhausted(path: Path) -> None:
    iterator = read_fasta(path)
    assert len(list(iterator)) == RECORDS
    assert list(iterator) == []


def child(action: Callable[[], None]) -> tuple[int, bytes]:
    """What a forked child writes to its pipe, and how it ends."""
    end, start = os.pipe()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            os.close(end)
            action()
            status = 0
        except BaseException as error:
            os.write(start, f"{type(error).__name__}: {error}".encode())
        finally:
            gc.collect()
            os._exit(status)
    os.close(start)
    for _ in range(1000):
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            with os.fdopen(end, "rb") as file:
                return os.waitstatus_to_exitcode(status), file.read()
        time.sleep(0.01)
    os.kill(process, 9)
    os.waitpid(process, 0)
    os.close(end)
    pytest.fail("the child hangs")


pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process with threads")
def test_a_reader_cannot_cross_a_fork(path: Path) -> None:
    """The child gets an error, not another's bytes or a hang; the parent goes on."""
    iterator = read_fasta(path)
    first = [next(iterator) for _ in range(10)]

    def use() -> None:
        for _ in iterator:
            pass

    status, message = child(use)
    assert status == 1
    assert message.startswith(
        b"RuntimeError: a FASTA reader cannot be used on both sides of a fork"
    )

    def drop() -> None:
        nonlocal iterator
        del iterator
        gc.collect()

    assert child(drop) == (0, b"")

    def anew() -> None:
        assert sum(len(record) for record in read_fasta(path)) == 60 * sum(
            i % 50 for i in range(RECORDS)
        )

    assert child(anew) == (0, b"")
    assert [record.name for record in first] == [f"r{i}" for i in range(10)]
    assert len(list(iterator)) == RECORDS - 10


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process with threads")
def test_records_cross_a_fork(path: Path) -> None:
    kept = [record for record, _ in zip(read_fasta(path), range(60), strict=False)]
    expected = [record.sequence.tobytes() for record in kept]

    def use() -> None:
        assert [record.sequence.tobytes() for record in kept] == expected
        kept.clear()
        gc.collect()
        assert len(list(read_fasta(path))) == RECORDS

    assert child(use) == (0, b"")


def lengths(path: Path) -> list[int]:
    return [len(record) for record in read_fasta(path)]


def test_threads_with_a_reader_each(path: Path) -> None:
    expected = lengths(path)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lengths, [path] * 8):
            assert found == expected


def test_threads_that_share_records(path: Path) -> None:
    """Strings and arrays are made when first asked for, by whoever asks."""
    records = list(read_fasta(path))
    before = [record.sequence.tobytes() for record in records]

    def look(_: int) -> list[tuple[str, bytes]]:
        return [(record.name, record.sequence.tobytes()) for record in records]

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(look, range(4)):
            assert found == [(f"r{i}", text) for i, text in enumerate(before)]


def test_spawned_processes_get_records_by_pickle(path: Path) -> None:
    records = [record for record, _ in zip(read_fasta(path), range(40), strict=False)]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(_length, records)) == [len(record) for record in records]


def _length(record: Record) -> int:
    return len(record.sequence)


def test_a_file_that_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(genome(40_000))
    iterator = read_fasta(path)
    next(iterator)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(FastaParseError, match="the file became shorter while it was read"):
        list(iterator)


def test_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(genome(40_000))
    iterator = read_fasta(path)
    first = next(iterator)
    with path.open("ab") as file:
        file.write(b">last\nACGT\n")
    names = [first.name, *(record.name for record in iterator)]
    assert names[:40_000] == [f"r{i}" for i in range(40_000)]
    assert names[40_000:] in ([], ["last"])


def test_a_pipe_gives_its_records_as_they_come(tmp_path: Path) -> None:
    """Nobody waits for a full block."""
    end, start = os.pipe()
    with os.fdopen(end, "rb") as file, os.fdopen(start, "wb", buffering=0) as writer:
        writer.write(b">a\nACGT\n>b\n")
        iterator = read_fasta(file)
        assert next(iterator).name == "a"
        writer.write(b"TT\n>c\n")
        assert next(iterator).sequence.tobytes() == b"TT"
        writer.close()
        assert next(iterator).name == "c"
        assert next(iterator, None) is None


class Failing(io.RawIOBase):
    """A disk that breaks."""

    def __init__(self, content: bytes) -> None:
        self._blocks: Iterator[bytes] = iter([content])

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        block = next(self._blocks, None)
        if block is None:
            raise OSError(5, "Input/output error")
        buffer[: len(block)] = block
        return len(block)


@pytest.mark.parametrize("kind", PACK)
def test_errors_of_a_stream_come_as_they_are(kind: str) -> None:
    content = PACK[kind](b">a\nACGT\n>b\nACGT\n")
    with pytest.raises(OSError, match="Input/output error") as caught:
        list(read_fasta(Failing(content[:-5])))  # type: ignore[arg-type]
    assert caught.value.errno == 5
