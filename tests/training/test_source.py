"""Where data sets lie, and how files are fetched and checked."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pooch", reason="fetching data needs pooch")

from training.lab.source import (
    DataError,
    cache_folder,
    check_content,
    check_file,
    download,
    local_copy,
)


def test_places(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder("toy") == tmp_path / "x" / "seqtile" / "toy"
    assert (tmp_path / "x" / "seqtile" / "toy").is_dir()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("toy") == tmp_path / ".cache" / "seqtile" / "toy"
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path / "x" / "seqtile"))
    assert local_copy("toy") == tmp_path / "x" / "seqtile" / "toy"
    monkeypatch.setenv("SEQTILE_DATA", "")
    assert local_copy("toy") is None
    monkeypatch.delenv("SEQTILE_DATA")
    assert local_copy("toy") is None


def test_check_content() -> None:
    # sha256sum of the bytes 01 02 03.
    digest = "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81"
    check_content("x", digest, np.array([1, 2], np.uint8), np.array([3], np.uint8))
    strided = np.array([[1, 9], [2, 9], [3, 9]], np.uint8)[:, 0]
    check_content("x", digest, strided)
    with pytest.raises(DataError, match=f"^x: sha256 is .*, expected {digest}"):
        check_content("x", digest, np.array([3, 2, 1], np.uint8))


@pytest.fixture
def server() -> Iterator[Callable[[bytes], str]]:
    """Gives the URL of a server that says these bytes once, whatever it is asked."""
    sockets, threads = [], []

    def serve(answer: bytes) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        sockets.append(listening)

        def talk() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        threads.append(threading.Thread(target=talk, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/file"

    yield serve
    for thread in threads:
        thread.join(10)
    for listening in sockets:
        listening.close()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nACGTA",
        OK + b"Connection: close\r\n\r\nACGTA",  # the length unknown
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nACGTA\r\n0\r\n\r\n",
    ],
)
def test_download(tmp_path: Path, server, answer) -> None:
    download(server(answer), tmp_path / "file")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"ACGTA")]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", "404"),
        (OK + b"Content-Length: 100\r\n\r\nACGTA", "5 bytes read, 95 more expected"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nACG", "broken"),
        (b"what?\r\n\r\n", "what"),
        (b"", "closed"),
    ],
)
def test_failed_download_leaves_the_old_file(tmp_path: Path, server, answer, message) -> None:
    (tmp_path / "file").write_bytes(b"old")
    url = server(answer)
    with pytest.raises(DataError, match=rf"cannot download {url}: .*{message}"):
        download(url, tmp_path / "file", hashlib.sha256(b"ACGTA").hexdigest())
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


def test_a_file_with_the_right_checksum_is_not_fetched_again(tmp_path: Path, serve) -> None:
    source, path = tmp_path / "source", tmp_path / "cache" / "file"
    source.mkdir()
    (source / "file").write_bytes(b"ACGTA")
    address = f"{serve(source)}/file"
    for checksum in (
        hashlib.sha256(b"ACGTA").hexdigest(),
        f"md5:{hashlib.md5(b'ACGTA').hexdigest()}",
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"an older one")
        download(address, path, checksum)
        assert path.read_bytes() == b"ACGTA"
        check_file(path, checksum)
        download("http://nowhere.invalid/file", path, checksum)
    with pytest.raises(DataError, match=f"cannot download {address}: .*does not match"):
        download(address, tmp_path / "other", hashlib.sha256(b"other").hexdigest())
    assert not (tmp_path / "other").exists()


def test_check_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(DataError, match=f"{path}: cannot be read"):
        check_file(path, "0" * 64)
    path.write_bytes(b"ACGTA")
    for checksum, kind in (("0" * 64, "sha256"), ("md5:" + "0" * 32, "md5")):
        with pytest.raises(DataError, match=f"{path}: {kind} is .*, expected 000"):
            check_file(path, checksum)
