"""Networks for nuclei, their losses, smoke runs of both presets, the exported model."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("cv2", reason="crops need OpenCV")
pytest.importorskip("onnxscript", reason="export needs onnxscript")
pytest.importorskip("matplotlib", reason="pictures need matplotlib")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

import seqtile  # noqa: E402
from seqtile.models.contract import Segmentation  # noqa: E402
from seqtile.models.zoo import read_card  # noqa: E402
from training.tasks.nuclei import course as nuclei_course  # noqa: E402
from training.tasks.nuclei import crops as nuclei_crops  # noqa: E402
from training.tasks.nuclei import figures as nuclei_figures  # noqa: E402
from training.tasks.nuclei import task as nuclei_task  # noqa: E402
from training.tasks.nuclei import train as train_nuclei  # noqa: E402
from training.tasks.nuclei.dsb2018 import Field  # noqa: E402
from training.tasks.nuclei.figures import Answer  # noqa: E402
from training.tasks.nuclei.networks import CourseUNet, NucleiUNet  # noqa: E402

CPU = torch.device("cpu")
SMALL = ((6, 8, 8), 1)


# --- networks


def bright(network: NucleiUNet) -> NucleiUNet:
    """A network in which every pixel that can have a share in an output has one."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = torch.rand(parameter.shape, generator=generator) + 0.5
    return network.double().eval()


@pytest.mark.parametrize(("widths", "bottom"), [((16, 32, 64, 96), 2), ((2, 3), 1), ((2, 3, 4), 3)])
def test_receptive_field(widths: tuple[int, ...], bottom: int, monkeypatch) -> None:
    """One changed pixel changes outputs up to the card's radius, and none beyond it."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    network = bright(NucleiUNet(widths, bottom))
    radius = network.receptive_field // 2
    side = (2 * radius // network.stride + 6) * network.stride
    image = torch.full((1, side, side), 100, dtype=torch.uint8)
    start, reached = side // 2 // network.stride * network.stride, 0
    with torch.inference_mode():
        before = network.logits(image)
        for shift in range(network.stride):
            place = start + shift
            changed = image.clone()
            changed[0, place, place] = 200
            moved = (network.logits(changed) - before).abs()[0].amax(0) > 0
            rows, columns = np.nonzero(moved.numpy())
            reached = max(reached, *np.abs(rows - place), *np.abs(columns - place))
    assert reached == radius


def test_a_tile_equals_the_whole() -> None:
    torch.manual_seed(3)
    network = NucleiUNet((4, 6, 8, 8)).eval()
    margin = -(-(network.receptive_field // 2) // network.stride) * network.stride
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 256, (1, 320, 256), np.uint8))
    with torch.inference_mode():
        whole = network(image)
        top, left, size = 88, 64, 48
        window = image[:, top - margin : top + size + margin, left - margin : left + size + margin]
        for all_of_it, tile in zip(whole, network(window), strict=True):
            inner = tile[:, margin : margin + size, margin : margin + size]
            expected = all_of_it[:, top : top + size, left : left + size]
            torch.testing.assert_close(inner, expected, atol=1e-6, rtol=0)
            assert expected.std() > 1e-4


def test_cost_and_outputs() -> None:
    network = NucleiUNet().train()
    assert network.macs() <= 25_000
    assert (network.receptive_field, network.stride) == (103, 8)
    assert network.training
    # By hand, two levels of 2 and 3 channels, a convolution at the bottom.
    small = NucleiUNet((2, 3), 1)
    fine, coarse = 2 * 2 * 9 + 2 * 2 * 2 * 9 + 2 * 2, 2 * 3 * 9 + 3 * 3 * 9 + 3 * 2
    assert small.macs() == fine + coarse / 4
    mask, marker = network.eval()(torch.zeros(2, 16, 24, dtype=torch.uint8))
    assert mask.shape == marker.shape == (2, 16, 24)
    assert mask.dtype == torch.float32


def test_the_course_network() -> None:
    network = CourseUNet().eval()
    assert sum(p.numel() for p in network.parameters()) == 344_489
    shapes = [tuple(block[0].weight.shape[:2]) for block in network.down]
    assert shapes == [(8, 1), (16, 8), (32, 16), (64, 32)]
    with torch.inference_mode():
        found = network(torch.rand(2, 32, 48))
    assert found.shape == (2, 32, 48)
    assert ((found > 0) & (found < 1)).all()


# --- losses and rotations


def test_dice_loss_by_hand() -> None:
    p = torch.tensor([[0.5, 1.0], [0.0, 0.0]])
    t = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    assert nuclei_course.dice_loss(p, t).item() == pytest.approx(1 - (2 * 1.5 + 1) / (1.5 + 3 + 1))
    assert nuclei_course.dice_loss(p * 0, t * 0).item() == 0  # what the + 1 is for


def test_pixels_between_nuclei_weigh_more() -> None:
    targets = torch.zeros(1, 3, 8, 8)
    targets[0, 0, 2:6, 2:6] = 1
    good = torch.where(targets[:, :2] > 0, 9.0, -9.0)
    assert train_nuclei.loss_of(good, targets) < 0.1
    wrong = good.clone()
    wrong[0, 1, 4, 4] = 9.0
    at_gap = targets.clone()
    at_gap[0, 2, 4, 4] = 1
    apart = train_nuclei.loss_of(wrong, targets) - train_nuclei.loss_of(good, targets)
    gap = train_nuclei.loss_of(wrong, at_gap) - train_nuclei.loss_of(good, at_gap)
    assert apart > 0
    extra = (nuclei_crops.WEIGHT - 1) * 9 / 128  # its share of the cross entropy, a mean
    assert gap - apart == pytest.approx(extra, rel=1e-3)


def test_rotations_turn_image_and_mask_alike() -> None:
    rng = np.random.default_rng(0)
    images = np.zeros((12, 32, 32), np.float32)
    images[:, 4:14, 10:24] = 1
    for kind in ("none", "quarter", "any"):
        turned, masks = nuclei_course.rotated(images, images / 2, kind, rng)
        np.testing.assert_allclose(masks, turned / 2, atol=1e-6)
        assert turned.shape == images.shape
        moved = [not np.array_equal(a, b) for a, b in zip(turned, images, strict=True)]
        sums = turned.sum((1, 2))
        if kind == "none":
            assert not any(moved)
        elif kind == "quarter":
            assert 4 <= sum(moved) < 12
            np.testing.assert_allclose(sums, images[0].sum())
        else:
            assert all(moved)
            np.testing.assert_allclose(sums, images[0].sum(), rtol=0.02)
    with pytest.raises(ValueError, match="must be one of"):
        nuclei_course.rotated(images, images, "half", rng)


def test_turning_error() -> None:
    """0 for a network that looks at pixels alone; more for one that looks to the right."""
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16), np.uint8)

    class Pixels(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    class Shifted(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.roll(3, -1)

    assert nuclei_course.turning_error(Pixels(), images).tolist() == [0, 0, 0]
    assert (nuclei_course.turning_error(Shifted(), images) > 0.2).all()


# --- the choice of thresholds


def test_thresholds_are_chosen_by_ap() -> None:
    """Two nuclei that touch come apart only at a high threshold of the marker."""
    labels = np.zeros((20, 40), np.uint16)
    labels[4:16, 4:20], labels[4:16, 20:36] = 1, 2
    mask = (labels > 0).astype(np.float32)
    marker = np.zeros_like(mask)
    marker[7:13, 7:33] = 0.55
    marker[7:13, 7:17] = marker[7:13, 23:33] = 0.9
    mask[0, 0] = marker[0, 0] = 0.95  # dirt
    answer = Answer(Field("a", "train", "fluo", None, mask.astype(np.uint8), labels), mask, marker)
    chosen = nuclei_figures.choose([answer])
    assert chosen.marker_threshold >= 0.6
    assert chosen.min_area == nuclei_figures.SMALLEST
    assert chosen.percentiles == nuclei_task.PERCENTILES
    np.testing.assert_array_equal(answer.labels(chosen), labels)
    without = nuclei_figures.choose([answer], marker=False)
    assert without.marker == ""
    assert answer.labels(without).max() == 1
    counts = nuclei_figures.objects([answer], lambda a: a.labels(without))
    rows = {m.name: m for m in nuclei_figures.object_metrics(counts, "x")}
    assert rows["ap50"].value == pytest.approx(0.5)  # one of the two, with IoU 1/2
    assert rows["ap60"].value == 0
    assert rows["ap"].value == pytest.approx(0.1)
    assert rows["pq"].value == pytest.approx(0.5 / 1.5, abs=1e-4)


def test_recall_by_size() -> None:
    labels = np.zeros((20, 40), np.uint16)
    labels[2:5, 2:5], labels[10:13, 2:5], labels[4:16, 20:36] = 3, 5, 9
    mask = (labels > 3).astype(np.float32)  # one of the two small ones
    answer = Answer(Field("a", "train", "fluo", None, mask.astype(np.uint8), labels), mask, mask)
    empty = Answer(Field("b", "train", "fluo", None, answer.field.image, labels * 0), mask, mask)
    small, large = nuclei_figures.recall_by_size([answer, empty], Segmentation(), "x")
    assert (small.name, small.value) == ("recall_small", 0.5)
    assert (large.name, large.value) == ("recall_large", 1.0)


def test_otsu() -> None:
    image = np.full((10, 10), 20, np.uint8)
    image[2:5, 2:5] = 90
    np.testing.assert_array_equal(nuclei_figures.otsu(image), image == 90)


# --- smoke runs on real images, and what they export


@pytest.fixture(scope="module")
def smoke(data_root: Path, tmp_path_factory, exported_once) -> Path:
    """Both presets, the best of few channels; test is not looked at."""
    folder = tmp_path_factory.mktemp("nuclei")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTILE_DATA", str(data_root))

        def never(self: nuclei_task.Task) -> list[Field]:
            raise AssertionError("test was looked at")

        patch.setattr(nuclei_task.Task, "test", property(never))
        patch.setattr(train_nuclei, "NucleiUNet", partial(NucleiUNet, *SMALL))
        common = ["--smoke", "--runs", str(folder / "runs"), "--device", "cpu", "--threads", "1"]
        train_nuclei.main(["--preset", "course", *common])
        train_nuclei.main([*common, "--export", "--exported", str(folder / "exported")])
    return folder


def test_smoke_of_the_course(smoke: Path) -> None:
    folder = smoke / "runs" / "nuclei-unet" / "course-smoke"
    content = json.loads((folder / "report.json").read_text())
    assert {m["split"] for m in content["metrics"]} == {"course valid"}
    assert {m["name"] for m in content["metrics"]} == {"dice", "iou", "turning_error", "dice_gain"}
    assert [n["rotation"] for n in content["networks"]] == ["none", "quarter", "any"]
    assert (folder / "rotation.png").stat().st_size > 10_000
    weights = torch.load(folder / "fit-any-0.pt", weights_only=True)
    assert [row["epoch"] for row in weights["history"]] == [1, 2]


def test_smoke(smoke: Path) -> None:
    folder = smoke / "exported" / "nuclei-unet"
    card = read_card(folder).to_dict()
    assert card["task"] == "segmentation"
    assert card["threshold"] is None
    assert card["receptive_field"] == NucleiUNet(*SMALL).receptive_field
    assert [t["name"] for t in card["outputs"]] == ["mask", "marker"]
    assert card["inputs"][0]["shape"] == ["batch", "height", "width"]
    assert card["inputs"][0]["length_multiple"] == 4
    assert card["segmentation"]["marker"] == "marker"
    assert card["segmentation"]["percentiles"] == [1.0, 99.8]
    assert card["metrics"][0]["name"] == "ap50"
    splits = {m["split"] for m in card["metrics"] + card["baselines"]}
    assert splits == {"valid", "course valid"}
    methods = {m["method"] for m in card["baselines"]}
    assert "Otsu's threshold, connected components" in methods
    assert "the same network, components of the mask" in methods
    assert card["training"]["command"] == "python -m training nuclei-unet --export"
    assert card["training"]["kmacs_per_pixel"] <= 25
    rows = json.loads((folder / "parity.json").read_text())["rows"]
    rows = [row for row in rows if row["precision"] == "fp32"]
    assert len({(row["height"], row["width"]) for row in rows}) == 4
    assert all(row["passed"] for row in rows)
    assert {p.name for p in folder.glob("*.png")} == {"training.png", "examples.png"}
    with np.load(folder / "golden.npz") as golden:
        assert golden["image"].shape == golden["mask"].shape == (8, 128, 128)


def test_the_exported_model_tiles(smoke: Path) -> None:
    """Through onnxruntime a tile with the card's margin equals the whole image."""
    predictor = seqtile.load(smoke / "exported" / "nuclei-unet", device="cpu", threads=1)
    image = np.random.default_rng(1).integers(0, 256, (1, 240, 200), np.uint8)
    whole = predictor.predict(image)
    tile = predictor.predict(image[:, 24:184, 16:168])  # 56 pixels of margin
    for name in ("mask", "marker"):
        np.testing.assert_allclose(
            tile[name][:, 56:104, 56:96], whole[name][:, 80:128, 72:112], atol=1e-5
        )
