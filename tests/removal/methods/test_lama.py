"""Removal by LaMa, with small networks of the real class."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel import MaskedImageModelDescriptor, SizeRequirements
from spandrel.architectures.LaMa import LaMa, LaMaArch
from spandrel.architectures.LaMa.__arch.LaMa import FFCResNetGenerator

from removal import choose, load_remover
from removal.crops.crop import Crop
from removal.fills.lama import WIDE, Lama
from removal.methods.lama import LamaPaint
from removal.options import Options
from removal.painting.prefill import prefill

SIZES = [(64, 64), (48, 72), (37, 53), (16, 200), (9, 11)]


def small() -> LaMa:
    """Few channels and blocks of the same kind, drawn at random."""
    torch.manual_seed(3)
    whole = LaMa.__new__(LaMa)
    torch.nn.Module.__init__(whole)
    whole.model = FFCResNetGenerator(4, 3, ngf=8, n_blocks=2)
    return whole.eval()


@pytest.fixture(scope="module")
def network() -> LaMa:
    return small()


def example(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2 + 1, width // 3 : width // 2 + 1] = True
    return image, mask


def by_spandrel(network: LaMa, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    descriptor = MaskedImageModelDescriptor(
        network, network.state_dict(), architecture=LaMaArch(), purpose="Inpainting", tags=[], supports_half=False,
        supports_bfloat16=True, input_channels=3, output_channels=3,
        size_requirements=SizeRequirements(minimum=16, multiple_of=8),
    )  # fmt: skip
    seen = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        made = descriptor(seen, torch.from_numpy(mask)[None, None].float())
    return (made[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("size", SIZES)
def test_a_fill_is_spandrels_own_alone_and_in_a_batch_and_keeps_what_is_not_masked(network, size):
    rows = [example(*size, seed) for seed in range(3)]
    own = [by_spandrel(network, image, mask) for image, mask in rows]
    fill = Lama(network)
    together = fill.batch([image for image, _ in rows], [mask for _, mask in rows])
    for (image, mask), expected, one in zip(rows, own, together, strict=True):
        for filled in (fill(image, mask), one):
            assert np.abs(filled.astype(int) - expected).max() <= 1
            assert (filled[~mask] == image[~mask]).all()


def test_crops_are_painted_as_they_would_be_alone_without_steps_or_seeds(network):
    crops = [Crop(*example(64, 64, seed), 0, 0, 64) for seed in range(3)]
    paint = LamaPaint(Lama(network), resolution=64)
    together = paint(crops, [1, 2, 3])
    for crop, patch in zip(crops, together, strict=True):
        assert np.abs(paint([crop], [9])[0].astype(int) - patch).max() <= 1
    assert (paint.steps, paint.strength) == (None, None)


def test_it_fills_holes_for_other_methods_too(network):
    image, mask = example(64, 64)
    filled = prefill(image, mask, None, Lama(network))
    assert (filled[~mask] == image[~mask]).all()
    assert (filled[mask] != prefill(image, mask)[mask]).any()


def test_a_file_of_its_weights_is_told_by_its_tensors_and_loaded(tmp_path):
    torch.manual_seed(0)
    file = tmp_path / "mine.safetensors"
    save_file({name: one.half() for name, one in LaMa(in_nc=4, out_nc=3).state_dict().items()}, str(file))
    assert choose(str(file)).method == "lama"
    remove = load_remover(str(file), device="cpu")
    assert (remove.choice.method, remove.steps, remove.strength) == ("lama", None, None)


def test_torchscript_is_refused_with_the_command_that_takes_its_weights_out(tmp_path):
    (tmp_path / "big-lama.pt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"TorchScript, which is code.*torch\.jit\.load.*big-lama\.safetensors"):
        choose(str(tmp_path / "big-lama.pt"))


def test_a_file_of_torch_that_holds_no_lama_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth holds no LaMa"):
        load_remover(str(tmp_path / "other.pth"), device="cpu")


def test_other_weights_cannot_be_used_as_lamas():
    with pytest.raises(ValueError, match="use --model lama"):
        choose("sd15", "lama")
    assert choose("lama").method == "lama"
    assert Options(prefill="lama").prefill == "lama"


# Holes larger than it was trained for ---------------------------------------------------------------------------------


class SeesAsFarAsItWasTrained(torch.nn.Module):
    """A network that fills with what is to the left of a hole, as far as 64 pixels into it; farther in it is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.sides: list[tuple[int, ...]] = []

    def forward(self, seen: torch.Tensor, holes: torch.Tensor) -> torch.Tensor:
        self.sides.append(tuple(holes.shape[-2:]))
        filled = seen.clone()
        for image, hole in zip(filled, holes[:, 0] > 0, strict=True):
            depth = cv2.distanceTransform(hole.byte().numpy(), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            image[:, hole] = 0.5
            image[:, torch.from_numpy((depth > 0) & (depth <= WIDE / 2 + 2))] = 0.8
        return filled


def bright(side: int, hole: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of 204 everywhere, with an object of 0 in its middle."""
    mask = np.zeros((side, side), bool)
    first = (side - hole) // 2
    mask[first : first + hole, first : first + hole] = True
    return np.where(mask[..., None], 0, np.full((side, side, 3), 204)).astype(np.uint8), mask


def test_the_middle_of_a_hole_wider_than_it_was_trained_for_comes_from_a_smaller_scale():
    network = SeesAsFarAsItWasTrained()
    image, mask = bright(512, 300)
    once = Lama(network)._pass([image], [mask])[0]
    assert (once[256, 256] == 128).all()
    filled = Lama(network)(image, mask)
    middle = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > WIDE / 2 + 8
    assert np.abs(filled[middle].astype(int) - 204).max() <= 2
    assert (filled[~mask] == image[~mask]).all()
    assert network.sides[-1] == (224, 224)  # 512 · 128 / 300, in cells of 8


@pytest.mark.parametrize("hole", [8, 64, 126])
def test_a_hole_as_large_as_those_of_its_training_takes_one_pass(hole):
    network = SeesAsFarAsItWasTrained()
    Lama(network)(*bright(256, hole))
    assert len(network.sides) == 1


def test_a_wide_hole_keeps_the_detail_of_the_full_size_and_is_the_same_in_a_batch_with_narrow_ones(network):
    random = np.random.default_rng(0)
    rows = [bright(256, hole) for hole in (200, 40, 200, 160)]
    rows = [(random.integers(0, 256, image.shape, np.uint8), mask) for image, mask in rows]
    fill = Lama(network)
    together = fill.batch([image for image, _ in rows], [mask for _, mask in rows])
    for (image, mask), one in zip(rows, together, strict=True):
        assert np.abs(one.astype(int) - fill(image, mask)).max() <= 1
        assert (one[~mask] == image[~mask]).all()
    image, mask = rows[0]
    fine = fill._pass([image], [mask])[0].astype(np.float32)
    finest = [each - cv2.GaussianBlur(each, (0, 0), 1) for each in (fine, together[0].astype(np.float32))]
    middle = cv2.erode(mask.astype(np.uint8), np.ones((9, 9))) > 0
    assert np.corrcoef(finest[0][middle].ravel(), finest[1][middle].ravel())[0, 1] > 0.9
