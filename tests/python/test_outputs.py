"""Outputs: whole or not at all, of one writer, in place of nothing but an older output."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqtile import unfinished
from seqtile.errors import OutputError
from seqtile.outputs import Outputs, refuse_overwrite
from seqtile.unfinished import locked, remove_unfinished
from tests.python.command import names

HOURS = 3600


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process, which has not looked for what others left."""
    monkeypatch.setattr(unfinished, "_swept", set())


def write(path: Path, text: str = "x") -> None:
    with Outputs() as files:
        files.open(path).write(text.encode())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# names


def test_a_link_in_place_of_a_temporary_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is not to be guessed; if it were, a link of that name would not be written through."""
    guesses = iter(["0" * 16, "0" * 16, "1" * 16])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(guesses))
    (tmp_path / "thesis").write_text("my thesis")
    (tmp_path / f".seqtile-{'0' * 16}.part").symlink_to("thesis")
    write(tmp_path / "a")
    assert (tmp_path / "thesis").read_text() == "my thesis"
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "a").read_text() == "x"


def test_writers_of_one_output_do_not_mix(tmp_path: Path) -> None:
    """Not even two of one process, as two containers may think that they are."""
    target = tmp_path / "a"
    with Outputs() as first:
        one = first.open(target)
        one.write(b"1" * 100_000)
        with Outputs() as second:
            second.open(target).write(b"2" * 50_000)
        assert target.read_bytes() == b"2" * 50_000
        one.write(b"1" * 100_000)
    assert target.read_bytes() == b"1" * 200_000
    assert names(tmp_path) == {"a"}


def test_a_name_as_long_as_the_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("é" * 127)
    write(target)
    assert target.read_text() == "x"
    with pytest.raises(OutputError, match=r"cannot write: File name too long"):
        write(tmp_path / ("a" * 256))


def test_a_file_that_was_removed_meanwhile_is_an_error(tmp_path: Path) -> None:
    def lose() -> None:
        with Outputs() as files:
            files.open(tmp_path / "a").write(b"x")
            (part,) = tmp_path.iterdir()
            part.unlink()
            part.write_bytes(b"another's")

    with pytest.raises(OutputError, match=r"a: cannot write: its temporary file .* was removed or"):
        lose()
    assert not (tmp_path / "a").exists()


def test_what_a_link_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "a"
    link.symlink_to(tmp_path / "elsewhere" / "b")
    write(link)
    assert link.is_symlink()
    assert (tmp_path / "elsewhere" / "b").read_text() == "x"
    assert names(tmp_path / "elsewhere") == {"b"}


def test_a_loop_of_links_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError, match=r"a: cannot write: Too many levels of symbolic links"):
        write(tmp_path / "a")
    assert (tmp_path / "a").is_symlink()


# modes


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path, mask: int) -> None:
    os.umask(mask)
    write(tmp_path / "a")
    assert mode(tmp_path / "a") == 0o666 & ~mask


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("was", [0o664, 0o600, 0o755])
def test_the_mode_of_an_output_stays(tmp_path: Path, was: int) -> None:
    target = tmp_path / "a"
    target.touch()
    target.chmod(was)
    with Outputs() as files:
        files.open(target).write(b"x")
        (part,) = names(tmp_path) - {"a"}
        assert mode(tmp_path / part) == was  # a private one is never open to others
    assert mode(target) == was
    assert target.read_text() == "x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_write_protected_output_stays(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("dear")
    target.chmod(0o444)
    with pytest.raises(OutputError, match="a: is write-protected"):
        write(target)
    assert target.read_text() == "dear"


# what others left


def left(folder: Path, *, hours: float, name: str = f".seqtile-{'a' * 16}.part") -> Path:
    path = folder / name
    path.write_text("half")
    then = time.time() - hours * HOURS
    os.utime(path, (then, then))
    return path


@pytest.mark.usefixtures("anew")
def test_what_a_killed_writer_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    left(tmp_path, hours=1.1)
    young = left(tmp_path, hours=0.9, name=f".seqtile-{'b' * 16}.part")
    foreign = left(tmp_path, hours=9, name=".film.mkv.part")
    write(tmp_path / "a")
    assert names(tmp_path) == {"a", young.name, foreign.name}


@pytest.mark.usefixtures("anew")
def test_what_a_slow_writer_has_open_is_left(tmp_path: Path) -> None:
    code = (
        "import sys; from seqtile.outputs import Outputs\n"
        "with Outputs() as files:\n"
        "    files.open(sys.argv[1]).write(b'slow')\n"
        "    print(flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "slow"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    (part,) = tmp_path.iterdir()
    os.utime(part, (0, 0))
    write(tmp_path / "a")
    assert names(tmp_path) == {"a", part.name}
    process.communicate(b"\n", timeout=60)
    assert (tmp_path / "slow").read_text() == "slow"
    assert names(tmp_path) == {"a", "slow"}


# one after the other


def test_files_that_belong_together_are_replaced_together(tmp_path: Path) -> None:
    targets = [tmp_path / "a", tmp_path / "b"]
    running = True
    mixed = []

    def keep_writing(text: str) -> None:
        while running:
            with Outputs() as files:
                for target in targets:
                    files.open(target).write(text.encode())

    threads = [threading.Thread(target=keep_writing, args=(text,)) for text in "12"]
    for thread in threads:
        thread.start()
    for _ in range(100):
        time.sleep(0.002)
        with locked(targets):
            found = {target.read_text() for target in targets if target.exists()}
            mixed += [found] if len(found) > 1 else []
    running = False
    for thread in threads:
        thread.join()
    assert mixed == []
    assert names(tmp_path) == {"a", "b"}


def test_who_waits_too_long_for_another_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "_PATIENCE_S", 0.05)

    def write_both() -> None:
        with Outputs() as files:
            files.open(tmp_path / "a")
            files.open(tmp_path / "b")

    with locked([tmp_path / "b"]), pytest.raises(OutputError, match="b: another process"):
        write_both()
    assert names(tmp_path) == set()


# failures and signals


@pytest.mark.parametrize("error", [PermissionError(13, "no"), KeyboardInterrupt()])
def test_a_failed_rename_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    def write_and_fail() -> None:
        with Outputs() as files:
            files.open(tmp_path / "a").write(b"x")
            monkeypatch.setattr(os, "replace", fail)

    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_and_fail()
    assert names(tmp_path) == set()


def test_a_signal_comes_when_all_have_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def interrupted(*arguments: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        replace(*arguments)

    monkeypatch.setattr(os, "replace", interrupted)

    def write_two() -> None:
        with Outputs() as files:
            files.open(tmp_path / "a").write(b"x")
            files.open(tmp_path / "b").write(b"x")

    with pytest.raises(KeyboardInterrupt):
        write_two()
    assert names(tmp_path) == {"a", "b"}


def test_a_signal_does_not_interrupt_the_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def interrupted(path: Path, **options: bool) -> None:
        signal.raise_signal(signal.SIGINT)
        unlink(path, **options)

    def write_and_fail() -> None:
        with Outputs() as files:
            files.open(tmp_path / "a").write(b"x")
            files.open(tmp_path / "b").write(b"x")
            monkeypatch.setattr(Path, "unlink", interrupted)
            raise ValueError

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert names(tmp_path) == set()


def test_all_are_removed_at_the_end_of_the_process(tmp_path: Path) -> None:
    code = (
        "import sys; from seqtile.outputs import Outputs\n"
        "files = Outputs(); file = files.open(sys.argv[1]); file.write(b'x')"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "a"], check=True)
    assert names(tmp_path) == set()


def test_a_forked_process_leaves_them_to_its_parent(tmp_path: Path) -> None:
    with Outputs() as files:
        file = files.open(tmp_path / "a")
        if (child := os.fork()) == 0:
            remove_unfinished()
            os._exit(0)
        os.waitpid(child, 0)
        file.write(b"x")
    assert (tmp_path / "a").read_text() == "x"


# streams


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write(tmp_path / "pipe", "text")
    assert os.read(reader, 99) == b"text"
    os.close(reader)
    assert names(tmp_path) == {"pipe"}


def test_a_device_is_written_to() -> None:
    write(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OutputError, match="/dev/full: cannot write: No space left on device"):
        write(Path("/dev/full"))


@pytest.mark.parametrize("way", ["/dev/fd/{}", "/proc/self/fd/{}", "{folder}/link"])
def test_an_open_descriptor_is_written_to(tmp_path: Path, way: str) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    with log.open("ab") as file:
        name = way.format(file.fileno(), folder=tmp_path)
        if way.endswith("link"):
            (tmp_path / "link").symlink_to(f"/dev/fd/{file.fileno()}")
        write(Path(name), "more\n")
        file.write(b"after\n")
    assert log.read_text() == "before\nmore\nafter\n"


def test_a_descriptor_that_is_not_open() -> None:
    with pytest.raises(OutputError, match="/dev/fd/987: cannot write: Bad file descriptor"):
        write(Path("/dev/fd/987"))


@pytest.mark.parametrize("suffix", ["bw", "bigWig", "npz", "parquet", "tif"])
def test_what_goes_back_in_its_file_needs_one(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"a.{suffix}")
    with pytest.raises(OutputError, match="is a device or a pipe, expected a file name"):
        write(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("pair", [("-", "/dev/stdout"), ("a", "./a"), ("/dev/null", "/dev/null")])
def test_one_output_twice(
    tmp_path: Path, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Outputs() as files:
        files.open(pair[0])
        with pytest.raises(OutputError, match=f"{pair[1]}: given twice"):
            files.open(pair[1])


# inputs


def test_no_output_is_an_input(tmp_path: Path) -> None:
    source, other = tmp_path / "x.fa", tmp_path / "other"
    source.write_text(">a\nACGT\n")
    (tmp_path / "hard").hardlink_to(source)
    (tmp_path / "soft").symlink_to("hard")
    other.touch()
    for name in ("x.fa", "hard", "soft"):
        with pytest.raises(ValueError, match=f"{name}: the output would overwrite the input"):
            refuse_overwrite([other, source], [tmp_path / "new", tmp_path / name])
    refuse_overwrite([source, other, "/dev/null", "missing"], [tmp_path / "new", "/dev/null", "-"])
