"""The command line of the training scripts, and their run folders."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")

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
    fields = command.training_fields("train_toy", config, options, seconds=61.6, window=7, best=2)
    assert fields["command"] == "python -m training.train_toy --export"
    assert (fields["seconds"], fields["window"], fields["best"]) == (62, 7, 2)
    assert fields["config"] == dataclasses.asdict(config)
    assert "threads" in fields["device"]
    json.dumps(fields)


def test_an_error_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["/x/train_toy.py"])

    def main() -> None:
        raise ValueError("no such thing")

    with pytest.raises(SystemExit, match=r"^train_toy: error: no such thing$"):
        command.run(main)
