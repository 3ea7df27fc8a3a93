"""Certificates: the rule of tolerances, the rows, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

import seqtile
from seqtile import ModelIntegrityError, PrecisionError
from seqtile.models.certificate import Certificate, MetricRow, ParityRow, tolerances, worst
from seqtile.models.contract import Output
from seqtile.models.parity import cases, compare, decide, difference
from tests.python.models import CARD, COLOUR_CARD, GOLDEN, IMAGE_CARD, RICH_CARD, motif_score

ROW = ParityRow(
    output="probability",
    batch=7,
    length=12,
    optimization="all",
    provider="CPUExecutionProvider",
    precision="fp16",
    max_abs=2e-3,
    max_rel=0.1,
    tolerance=1e-2,
    passed=True,
)


def golden() -> dict[str, np.ndarray]:
    letters = np.frombuffer("".join(GOLDEN).encode(), np.uint8).reshape(len(GOLDEN), -1)
    return {"sequence": letters, "probability": scores(letters)}


def scores(letters: np.ndarray) -> np.ndarray:
    return np.array([motif_score(row.tobytes().decode()) for row in letters], np.float32)


# the rule


def test_fp32_has_the_tolerance_of_the_card() -> None:
    assert tolerances(CARD, golden(), "fp32") == {"probability": CARD.tolerance}


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_tolerance_is_a_share_of_the_scale(precision: str) -> None:
    """Of 1 for what is smaller than 1, of the largest magnitude for what is larger."""
    arrays = {
        "totals": np.float32([[0.25, -0.5]]),
        "tops": np.float32([[[3, -20]]]),
        "embedding": np.zeros((0, 4), np.float32),
    }
    assert tolerances(RICH_CARD, arrays, precision) == pytest.approx(
        {"totals": 0.01, "tops": 0.2, "embedding": 0.01}
    )


# what is compared


def test_cases_are_batches_times_lengths() -> None:
    """The least, the usual (12) and a larger odd length; letters unknown and small among them."""
    made = cases(CARD, golden())
    shapes = [case["sequence"].shape for case in made]
    assert shapes == [(n, length) for n in (1, 2, 7, 64) for length in (3, 12, 37)]
    letters = set(b"".join(case["sequence"].tobytes() for case in made))
    assert letters >= set(b"ACGTacgtNn")
    for one, other in zip(made, cases(CARD, golden()), strict=True):
        np.testing.assert_array_equal(one["sequence"], other["sequence"])


def test_cases_of_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 12), np.uint8)
    card = structs.replace(IMAGE_CARD, training_window=12)
    sizes = {case["image"].shape[1:] for case in cases(card, {"image": images})}
    assert sizes == {(4, 4), (12, 12), (8, 24), (24, 6)}


def test_cases_have_further_inputs() -> None:
    arrays = {
        "sequence": np.frombuffer(b"ACGTAC", np.uint8).reshape(1, 6),
        "accessibility": np.float32([[2.5]]),
    }
    for case in cases(RICH_CARD, arrays):
        n = len(case["sequence"])
        np.testing.assert_array_equal(case["accessibility"], np.full((n, 1), 2.5, np.float32))


def test_difference() -> None:
    wanted, found = np.float32([[1, -4]]), np.float32([[1.5, -3]])
    assert difference(wanted, found) == (1, 0.5)
    assert difference(wanted[:0], found[:0]) == (0, 0)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite_is_infinitely_wrong(odd: float) -> None:
    right = np.float32([1, 2])
    for pair in ((right, np.float32([1, odd])), (np.float32([1, odd]), right)):
        assert difference(*pair) == (np.inf, np.inf)


def test_shapes_that_differ() -> None:
    with pytest.raises(seqtile.ShapeError, match=r"expected the shape \(2,\), found \(2, 1\)"):
        difference(np.zeros(2), np.zeros((2, 1)))


def test_decisions() -> None:
    values = np.float32([0.4, 0.5, 0.6])
    assert decide(CARD, "probability", values).tolist() == [False, True, True]
    assert decide(CARD, "embedding", values) is None
    assert decide(RICH_CARD, "totals", values) is None
    classes = np.float32([[0.2, 0.7, 0.1], [0.5, 0.2, 0.3]])
    assert decide(COLOUR_CARD, "share", classes).tolist() == [1, 0]
    assert decide(COLOUR_CARD, "embedding", classes) is None
    codons = np.stack([classes.T, classes.T[::-1]])
    card = structs.replace(
        COLOUR_CARD,
        outputs=(
            Output(
                name="share",
                kind="letters",
                shape=("batch", 3, "codons"),
                dtype="float32",
                alphabet="ACG",
            ),
        ),
    )
    assert decide(card, "share", codons).tolist() == [[1, 0], [1, 2]]
    pixels = np.float32([[[0.5, 0.51]]])
    assert decide(IMAGE_CARD, "mask", pixels).tolist() == [[[False, True]]]
    assert decide(IMAGE_CARD, "marker", pixels).tolist() == [[[False, True]]]


def shifted(by: float) -> Any:
    return lambda feeds: [scores(feeds["sequence"]) + np.float32(by)]


@pytest.mark.parametrize(("by", "passed"), [(0.0, True), (0.009, True), (0.011, False)])
def test_compare(by: float, passed: bool) -> None:
    rows = compare(CARD, golden(), "fp16", shifted(0), shifted(by), provider="P", emulated=True)
    assert len(rows) == 1 + len(cases(CARD, golden()))
    assert {row.passed for row in rows} == {passed}
    for row in rows:
        assert row.max_abs == pytest.approx(by, abs=1e-6)
        assert (row.provider, row.precision, row.emulated) == ("P", "fp16", True)
        assert row.tolerance == 0.01
    own, *others = rows
    assert (own.reference, own.batch, own.size, own.decisions) == ("torch", 3, {"length": 12}, 3)
    assert {(row.reference, row.decisions) for row in others} == {("onnxruntime fp32", 0)}


def test_golden_inputs_are_compared_with_the_recorded_outputs() -> None:
    """Not with the reference, which here is as wrong as what is to be proven."""
    own, *others = compare(CARD, golden(), "fp16", shifted(0.5), shifted(0.5), provider="P")
    assert not own.passed
    assert all(row.passed for row in others)


def test_a_decision_that_changes_is_a_failure() -> None:
    """However small the difference: the threshold lies between."""
    values = golden()["probability"]
    card = structs.replace(
        CARD, threshold=structs.replace(CARD.threshold, value=float(values[0]) + 1e-4)
    )
    own, *_ = compare(card, golden(), "fp16", shifted(0), shifted(2e-4), provider="P")
    assert own.max_abs < own.tolerance
    assert not own.passed
    assert own.changed == 1
    assert "1 of 3 decisions change" in str(own)


def test_worst() -> None:
    near = structs.replace(ROW, max_abs=9e-3)
    far = structs.replace(ROW, max_abs=1e-3, passed=False)
    assert worst([ROW, near]) is near
    assert worst([near, far, ROW]) is far


# the file


def write(folder: Path, *rows: ParityRow, **further: Any) -> None:
    content = {"torch": "2", "rows": [row.to_dict() for row in rows], **further}
    (folder / "parity.json").write_text(json.dumps(content, allow_nan=False))


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        structs.replace(ROW, length=0, height=3, width=4),
        structs.replace(ROW, emulated=True, reference="onnxruntime fp32", decisions=5),
        structs.replace(ROW, max_abs=None, max_rel=None, passed=False),
    ],
)
def test_rows_come_back(row: ParityRow, tmp_path: Path) -> None:
    write(tmp_path, row)
    assert Certificate.read(tmp_path).rows == (row,)


def test_variants(tmp_path: Path) -> None:
    write(tmp_path, ROW, variants={"fp16": {"file": "model.fp16.onnx", "sha256": "ab"}})
    variant = Certificate.read(tmp_path).variants["fp16"]
    assert (variant.file, variant.sha256) == ("model.fp16.onnx", "ab")


def test_precisions_are_those_whose_rows_all_pass(tmp_path: Path) -> None:
    tf32 = structs.replace(ROW, precision="tf32")
    bad = structs.replace(ROW, passed=False)
    write(tmp_path, ROW, tf32, bad, structs.replace(ROW, precision="fp32"))
    assert Certificate.read(tmp_path).precisions == ["fp32", "tf32"]


def test_no_certificate_proves_nothing(tmp_path: Path) -> None:
    found = Certificate.read(tmp_path)
    assert found.precisions == []
    with pytest.raises(PrecisionError, match="tiny: no proof of precision 'fp16' in .*parity.json"):
        found.check("tiny", "fp16")


def test_refusal_names_the_worst_row_and_the_mend(tmp_path: Path) -> None:
    bad = structs.replace(ROW, max_abs=0.03, passed=False, emulated=True)
    write(tmp_path, ROW, bad, structs.replace(ROW, precision="fp32"))
    found = Certificate.read(tmp_path)
    found.check("tiny", "fp32")
    with pytest.raises(
        PrecisionError,
        match=r"^tiny: its certificate says no to precision 'fp16': 'probability' is off by 0.03 "
        r"at batch 7, length 12 on CPUExecutionProvider \(emulated\), tolerance 0.01 \(1 of 2 rows "
        r"fail\): use one of precision='fp32'$",
    ):
        found.check("tiny", "fp16")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "\xff",
        '{"rows": 3}',
        '{"rows": [3]}',
        '{"rows": [{"output": "x"}]}',
        '{"rows": [], "variants": [1]}',
        '{"rows": [], "variants": {"fp16": {"file": "x"}}}',
        '{"rows": [], "metrics": [{}]}',
        '{"rows": [], "metrics": [{"ci95": [1]}]}',
        '{"rows": [], "metrics": [{"ci95": [0, 1]}]}',
    ],
)
def test_broken_certificate(text: str, tmp_path: Path) -> None:
    (tmp_path / "parity.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelIntegrityError, match=r"parity.json: not a certificate \(.*python -m"):
        Certificate.read(tmp_path)


# the trained metric

METRIC = MetricRow("int8", "roc_auc", "valid", 1032, 0.97, 0.98, (0.975, 0.99))


def test_int8_needs_its_metric(tmp_path: Path) -> None:
    row = structs.replace(ROW, precision="int8")
    write(tmp_path, row)
    with pytest.raises(PrecisionError, match="no proof of precision 'int8'"):
        Certificate.read(tmp_path).check("tiny", "int8")
    write(tmp_path, row, metrics=[structs.replace(METRIC, value=0.975).to_dict()])
    Certificate.read(tmp_path).check("tiny", "int8")


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_metric_below_the_interval_is_a_refusal(precision: str, tmp_path: Path) -> None:
    metric = structs.replace(METRIC, precision=precision)
    write(tmp_path, structs.replace(ROW, precision=precision), metrics=[metric.to_dict()])
    found = Certificate.read(tmp_path)
    assert found.metrics == (metric,)
    with pytest.raises(
        PrecisionError,
        match=rf"^tiny: its certificate says no to precision '{precision}': roc_auc of 1,032 rows "
        r"of valid is 0.9700, in fp32 0.9800 \[0.9750, 0.9900\]: use one of precision='fp32'$",
    ):
        found.check("tiny", precision)
