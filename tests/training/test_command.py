"""The command line of the training scripts, and their run folders."""

from __future__ import annotations

import dataclasses
import importlib
import json
import runpy
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")

from seqtile import list_models
from training import __main__ as entry
from training.lab import command


@dataclasses.dataclass(frozen=True)
class Config:
    preset: str = dataclasses.field(default="best", metadata={"choices": ("best", "course")})
    seed: int = 0
    learning_rate: float = 0.1
    smoke: bool = False


def parse(*arguments: str) -> tuple[Config, command.Options]:
    return command.parse(Config, "A toy.\n\nMore.", [*arguments, "--device", "cpu"])


def test_fields_become_options() -> None:
    config, options = parse("--learning-rate", "0.5", "--seed", "3", "--smoke", "--runs", "here")
    assert config == Config(seed=3, learning_rate=0.5, smoke=True)
    assert (options.device.type, options.runs, options.export) == ("cpu", Path("here"), False)
    assert parse()[0] == Config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "worst"], "invalid choice: 'worst'"),
        (["--seed", "x"], "invalid int value"),
        (["--preset", "course", "--export"], "only preset best is exported"),
        (["--smoke", "--export"], "--smoke --export needs a folder of its own: --exported"),
    ],
)
def test_wrong_calls(arguments, message, capsys) -> None:
    with pytest.raises(SystemExit) as error:
        parse(*arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_a_run_folder_goes_on_with_its_configuration(tmp_path: Path) -> None:
    config, options = parse("--runs", str(tmp_path))
    folder = options.run_folder("toy", config, "fold1")
    assert folder == tmp_path / "toy" / "best-seed0-fold1"
    assert json.loads((folder / "config.json").read_text()) == dataclasses.asdict(config)
    assert options.run_folder("toy", config, "fold1") == folder
    with pytest.raises(ValueError, match="of another configuration; remove its folder"):
        options.run_folder("toy", dataclasses.replace(config, learning_rate=9.0), "fold1")
    smoke = dataclasses.replace(config, smoke=True)
    assert options.run_folder("toy", smoke).name == "best-smoke"


def test_training_fields_say_how(tmp_path: Path) -> None:
    config, options = parse()
    fields = command.training_fields("toy", config, options, seconds=61.6, window=7, best=2)
    assert fields["command"] == "python -m training toy --export"
    assert (fields["seconds"], fields["window"], fields["best"]) == (62, 7, 2)
    assert fields["config"] == dataclasses.asdict(config)
    assert "threads" in fields["device"]
    json.dumps(fields)


def test_an_error_is_one_line() -> None:
    def main() -> None:
        raise ValueError("no such thing")

    with pytest.raises(SystemExit, match=r"^toy: error: no such thing$"):
        command.run(main, "toy")


@pytest.fixture
def started(monkeypatch) -> list[tuple[str, list[str]]]:
    """The tasks that are started, and what they are told; none is trained."""
    found: list[tuple[str, list[str]]] = []
    for task in entry.TASKS:
        train = importlib.import_module(f"training.tasks.{task}.train")
        monkeypatch.setattr(train, "main", lambda given, task=task: found.append((task, given)))
    return found


@pytest.mark.parametrize(
    ("arguments", "task", "given"),
    [
        (["mnist", "--smoke"], "mnist", ["--smoke"]),
        (["liver-enhancer-cnn", "--export"], "liver", ["--export"]),
        (["jund-lstm", "--seed", "3"], "jund_accessibility", ["--model", "lstm", "--seed", "3"]),
        (["rbp-multi"], "rbp_multi", []),
        (["bloodmnist-cnn"], "bloodmnist", ["--model", "cnn"]),
    ],
)
def test_a_task_or_a_model_is_trained(arguments, task, given, started, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["training", *arguments])
    entry.main()
    assert started == [(task, given)]


def test_every_shipped_model_has_a_task(started, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["training"])
    for name in list_models():
        entry.main(name)
    assert len(started) == len(list_models())


def test_every_task_has_its_old_name(started, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["train", "--smoke"])
    for task in entry.TASKS:
        runpy.run_module(f"training.train_{task}", run_name="__main__")
    assert started == [(task, ["--smoke"]) for task in entry.TASKS]


def test_without_a_name_all_are_listed(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["training"])
    entry.main()
    said = capsys.readouterr().out
    for task, models in entry.TASKS.items():
        assert f"\n{task} " in said
        assert ", ".join(models) in said
    monkeypatch.setattr("sys.argv", ["training", "mnits"])
    with pytest.raises(SystemExit) as error:
        entry.main()
    assert error.value.code == 2
    assert "no task or model 'mnits'; there are" in capsys.readouterr().err
