"""Which tests are quick: the table names what there is."""

from __future__ import annotations

from tests.conftest import SLOW, TESTS


def test_slow_files_exist() -> None:
    assert {place for place in SLOW if not (TESTS / place).exists()} == set()
