"""The tables of models are those of the cards."""

from __future__ import annotations

import pytest
from msgspec import structs

pytest.importorskip("torch", reason="training needs torch")

import seqtile
from training.export import model_table


def test_the_tables_are_fresh(capsys) -> None:
    """If this fails: python -m training.model_table."""
    assert (model_table.main(["--check"]), capsys.readouterr().out) == (0, "")


def test_every_model_has_its_row_and_its_figure() -> None:
    cards = [seqtile.card(name) for name in seqtile.list_models()]
    for table in model_table.TABLES.values():
        rows = table(cards).splitlines()[2:]
        assert len(rows) == len(cards)
        for row, card in zip(rows, cards, strict=True):
            assert row.startswith(f"| `{card.name}` |")
            assert f"{card.metrics[0].value:.3f} [" in row


def test_a_changed_figure_makes_the_table_stale(monkeypatch, tmp_path, capsys) -> None:
    for name in model_table.TABLES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text((model_table.ROOT / name).read_text())
    monkeypatch.setattr(model_table, "ROOT", tmp_path)

    def changed(name: str) -> seqtile.ModelCard:
        card = seqtile.card(name)
        first = structs.replace(card.metrics[0], value=0.123, ci95=(0.1, 0.2))
        return structs.replace(card, metrics=(first, *card.metrics[1:]))

    monkeypatch.setattr(model_table, "card", changed)
    assert model_table.main(["--check"]) == 1
    assert capsys.readouterr().out == "README.md: stale\ntraining/README.md: stale\n"
    assert model_table.main([]) == 0
    assert "0.123 [0.100, 0.200]" in (tmp_path / "README.md").read_text()
    assert model_table.main(["--check"]) == 0


def test_a_text_without_a_place_for_the_table() -> None:
    with pytest.raises(ValueError, match="no <!-- models -->"):
        model_table.updated("# seqtile\n", "| a |")
