"""Points and boxes to masks, on scenes that the bundled SAM has not seen."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
import segment_anything
import skimage.data
import torch
from safetensors.torch import save_file

from masks import BoxPrompt, PointPrompt, sam
from masks.attention import FusedAttention, fuse
from masks.bundled.networks import build_sam
from masks.morphology import outline
from masks.segmenters import BUNDLED
from masks.shapes import BOXES, ShapeSegmenter
from tests.training.segmenter_networks import SAM_CONFIG


@pytest.fixture(scope="module")
def segment():
    return sam.load(str(BUNDLED / "sam"), "cpu")


def iou(found: np.ndarray, wanted: np.ndarray) -> float:
    return (found & wanted).sum() / (found | wanted).sum()


def points_of(scene, label: int = 1, away: bool = False) -> tuple[int, int, int]:
    """A point on the target of a scene, or the one farthest from every object of it."""
    if not away:
        return (*scene.point, label)
    import cv2

    free = cv2.distanceTransform((~np.logical_or.reduce(scene.objects)).astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(free.argmax()), free.shape)
    return int(x), int(y), label


def test_a_point_finds_the_object_under_it(segment, scenes):
    found = segment([s.image for s in scenes], [PointPrompt((s.point,)) for s in scenes])
    assert np.mean([iou(f.mask, s.object) for f, s in zip(found, scenes, strict=True)]) >= 0.75


def test_a_box_finds_the_object_in_it(segment, scenes):
    found = segment([s.image for s in scenes], [BoxPrompt(outline(s.object)) for s in scenes])
    assert np.mean([iou(f.mask, s.object) for f, s in zip(found, scenes, strict=True)]) >= 0.75


def test_a_find_says_how_sure_it_is_and_where_it_lies(segment, scenes):
    for found in segment([s.image for s in scenes], [PointPrompt((s.point,)) for s in scenes]):
        assert 0 < found.score <= 1
        assert found.boxes == (outline(found.mask),)


def test_a_background_point_is_not_taken_for_another_point_on_the_object(segment, scenes):
    """Two points on two things find other pixels than one on the object and one beside it, which finds the object."""
    images = [s.image for s in scenes]
    beside = [PointPrompt((points_of(s), points_of(s, 0, away=True))) for s in scenes]
    on_both = [PointPrompt((points_of(s), points_of(s, 1, away=True))) for s in scenes]
    apart = [iou(f.mask, s.object) for f, s in zip(segment(images, beside), scenes, strict=True)]
    joined = [iou(f.mask, s.object) for f, s in zip(segment(images, on_both), scenes, strict=True)]
    assert np.mean(apart) >= 0.75
    assert np.mean(joined) < np.mean(apart) - 0.05


@pytest.fixture(scope="module")
def predictor(segment):
    """The library's own way to ask the same weights, one picture and one prompt at a time."""
    from segment_anything import SamPredictor

    return SamPredictor(bundled_network().eval())


@pytest.mark.parametrize("size", [(128, 128), (90, 140), (301, 77), (600, 400)])
def test_a_point_and_a_box_find_what_the_librarys_own_predictor_finds(segment, predictor, picture, size):
    """A point means the middle of its pixel and a box its edges; of three masks the surest is taken."""
    image = picture(*size)
    x, y = size[1] // 3, size[0] // 2
    box = (4, 6, size[1] - 9, size[0] - 11)
    several = ((x, y, 1), (x + 5, y, 1), (1, 2, 0))
    found = segment([image] * 3, [PointPrompt(((x, y, 1),)), PointPrompt(several), BoxPrompt(box)])
    predictor.set_image(image)
    asked = (
        {"point_coords": np.array([[x + 0.5, y + 0.5]]), "point_labels": np.array([1]), "multimask_output": True},
        {
            "point_coords": np.array([point[:2] for point in several]) + 0.5,
            "point_labels": np.array([1, 1, 0]),
            "multimask_output": False,
        },
        {"box": np.array(box), "multimask_output": False},
    )
    for mine, question in zip(found, asked, strict=True):
        masks, scores, _ = predictor.predict(**question)
        assert (mine.mask == masks[scores.argmax()]).all()
        assert mine.score == pytest.approx(min(1, scores.max()) if mine else 0, abs=1e-5)


@pytest.mark.parametrize("surest", [1, 2, 3])
def test_of_the_three_masks_for_a_point_the_surest_is_taken_whichever_it_is(scenes, surest):
    from segment_anything import SamPredictor

    one, other = bundled_network(), bundled_network()
    for network in (one, other):
        network.mask_decoder.iou_prediction_head.layers[-1].bias.data[surest] += 5
    predictor, segment = SamPredictor(one.eval()), ShapeSegmenter(sam.SamNetwork(other, "cpu", torch.float32))
    for s in scenes[:3]:
        predictor.set_image(s.image)
        centre = np.array([[s.point[0] + 0.5, s.point[1] + 0.5]])
        masks, scores, _ = predictor.predict(centre, np.array([1]), multimask_output=True)
        assert scores.argmax() == surest - 1  # the first of four answers is that to several prompts
        assert (segment([s.image], [PointPrompt((s.point,))])[0].mask == masks[surest - 1]).all()


def bundled_network():
    """The bundled SAM as the library builds it."""
    network = build_sam(json.loads((BUNDLED / "sam/config.json").read_text()))
    network.load_state_dict(torch.load(BUNDLED / "sam/sam.pth", weights_only=True))
    return network


def test_the_encoders_fused_attention_gives_what_its_own_gives():
    """With windows and relative positions, as the published encoders have them in most of their blocks."""
    from segment_anything.modeling import ImageEncoderViT

    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=64, patch_size=8, embed_dim=32, depth=2, num_heads=4, out_chans=16, use_rel_pos=True,
        window_size=3, global_attn_indexes=(1,),
    ).eval()  # fmt: skip
    for block in encoder.blocks:
        torch.nn.init.normal_(block.attn.rel_pos_h)
        torch.nn.init.normal_(block.attn.rel_pos_w)
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        plain = encoder(pixels)
        fuse(encoder)
        assert all(isinstance(block.attn, FusedAttention) for block in encoder.blocks)
        torch.testing.assert_close(encoder(pixels), plain, atol=1e-5, rtol=1e-5)


def test_a_batch_of_pictures_finds_what_each_finds_alone(segment, scenes, picture):
    images = [picture(90, 140), *(s.image for s in scenes[:4]), picture(300, 200)]
    prompts = [PointPrompt(((i.shape[1] // 2, i.shape[0] // 2, 1),)) for i in images]
    for image, prompt, found in zip(images, prompts, segment(images, prompts), strict=True):
        alone = segment([image], [prompt])[0]
        assert (alone.mask == found.mask).all()
        assert alone.score == pytest.approx(found.score, abs=1e-5)


def test_prompts_of_several_pictures_in_any_order_get_their_own_answers(segment, scenes):
    one, other = scenes[0], scenes[1]
    asked = [(s, ask(s)) for ask in (box_of, point_of) for s in (one, other, one)]
    together = segment([s.image for s, _ in asked], [prompt for _, prompt in asked])
    for (s, prompt), found in zip(asked, together, strict=True):
        assert (segment([s.image], [prompt])[0].mask == found.mask).all()
    assert (together[0].mask != together[1].mask).any()


def test_more_boxes_than_the_decoder_takes_at_once_are_all_answered(segment, scenes):
    image = scenes[0].image
    boxes: list = [BoxPrompt((k, k, k + 40, k + 50)) for k in range(2 * BOXES + 3)]
    for prompt, found in zip(boxes, segment([image] * len(boxes), boxes), strict=True):
        assert (segment([image], [prompt])[0].mask == found.mask).all()


def test_in_half_precision_the_encoder_finds_nearly_the_same_and_the_decoder_stays_exact(segment, scenes):
    half = sam.load(str(BUNDLED / "sam"), "cpu", dtype=torch.bfloat16)
    assert {w.dtype for w in half.network.sam.image_encoder.parameters()} == {torch.bfloat16}
    assert {w.dtype for w in half.network.sam.mask_decoder.parameters()} == {torch.float32}
    images, prompts = [s.image for s in scenes], [box_of(s) for s in scenes]
    exact, rough = segment(images, prompts), half(images, prompts)
    assert np.mean([iou(a.mask, b.mask) for a, b in zip(exact, rough, strict=True)]) > 0.97


def box_of(scene) -> BoxPrompt:
    return BoxPrompt(outline(scene.object))


def point_of(scene) -> PointPrompt:
    return PointPrompt((scene.point,))


@pytest.mark.parametrize("point", [(128, 5), (-1, 5), (5, 128), (5, -0.5)])
def test_a_point_outside_the_picture_is_refused_with_its_coordinates(segment, scenes, point):
    x, y = point
    with pytest.raises(ValueError, match=f"point {x:g},{y:g} lies outside the picture of 128×128 pixels"):
        segment([scenes[0].image], [PointPrompt(((5, 5, 1), point))])


def test_a_point_that_is_nowhere_is_refused_before_any_picture_is_looked_at():
    with pytest.raises(ValueError, match=r"a point is x, y or x, y, label .* not \(nan, 5\)"):
        PointPrompt(((5, 5, 1), (float("nan"), 5)))


def test_the_last_pixel_is_inside_the_picture(segment, scenes):
    assert segment([scenes[0].image], [PointPrompt(((127, 127, 1),))])[0].mask.shape == (128, 128)


@pytest.mark.parametrize("box", [(128, 0, 140, 20), (0, 130, 20, 140), (-20, 0, -1, 20), (0, -9, 20, 0)])
def test_a_box_outside_the_picture_is_refused(segment, scenes, box):
    with pytest.raises(ValueError, match="lies outside the picture of 128×128"):
        segment([scenes[0].image], [BoxPrompt(box)])


# Weights -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "save"), [(".pth", torch.save), (".safetensors", save_file)])
@pytest.mark.parametrize(("width", "heads", "size"), [(768, 12, "vit_b"), (1024, 16, "vit_l"), (1280, 16, "vit_h")])
def test_a_file_is_known_by_its_shapes_whatever_its_name_and_finds_what_it_found(
    tmp_path, monkeypatch, picture, width, heads, size, suffix, save
):
    """Each published width, with one block where the published encoders have 12 to 32."""
    import segment_anything

    config = SAM_CONFIG | {"encoder_dim": width, "encoder_heads": heads, "encoder_depth": 1}
    for name in ("vit_b", "vit_l", "vit_h"):
        monkeypatch.setitem(
            segment_anything.sam_model_registry, name, partial(build_sam, config if name == size else {})
        )
    torch.manual_seed(0)
    saved = build_sam(config)
    save(saved.state_dict(), tmp_path / f"mine{suffix}")
    loaded = sam.load(str(tmp_path / f"mine{suffix}"), "cpu")
    image, prompts = picture(90, 140), [BoxPrompt((5, 6, 60, 50)), PointPrompt(((70, 40, 1),))]
    before = ShapeSegmenter(sam.SamNetwork(saved, "cpu", torch.float32))([image] * 2, prompts)
    for one, other in zip(before, loaded([image] * 2, prompts), strict=True):
        assert (one.mask == other.mask).all()
    assert any(before)


def test_a_file_of_the_smallest_published_size_loads_and_segments(tmp_path, monkeypatch):
    from segment_anything import sam_model_registry

    torch.save(
        {name: value.half() for name, value in sam_model_registry["vit_b"]().state_dict().items()},
        tmp_path / "mine.pth",
    )
    loaded = sam.load(str(tmp_path / "mine.pth"), "cpu")
    (tmp_path / "mine.pth").unlink()
    weights = list(loaded.network.sam.parameters())
    assert sum(w.numel() for w in weights) > 90_000_000
    assert {w.dtype for w in weights} == {torch.float32}


class Bomb:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize(
    ("save", "trust"),
    [
        (torch.save, lambda file: torch.load(file, weights_only=False)),
        (lambda state, file: file.write_bytes(pickle.dumps(state, 2)), lambda file: pickle.loads(file.read_bytes())),  # noqa: S301
    ],
)
def test_code_hidden_in_a_weights_file_is_refused_and_not_run(tmp_path, save, trust):
    file = tmp_path / "evil.pth"
    save({"image_encoder.pos_embed": Bomb(tmp_path / "ran")}, file)
    with pytest.raises(ValueError, match=r"evil\.pth is broken or holds more than weights"):
        sam.load(str(file), "cpu")
    assert not (tmp_path / "ran").exists()
    trust(file)  # the bomb is live: a reader that trusts the file runs it
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half a file"])
def test_a_broken_weights_file_is_refused_by_its_name(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        sam.load(str(tmp_path / name), "cpu")


@pytest.mark.parametrize("state", [{"weight": torch.zeros(3)}, {"model": {"a": torch.zeros(3)}}, [torch.zeros(3)]])
def test_a_file_without_a_sam_is_refused_by_its_name(tmp_path, state):
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth holds no Segment Anything model"):
        sam.load(str(tmp_path / "other.pth"), "cpu")


@pytest.mark.parametrize("kind", ["folder", "file"])
@pytest.mark.parametrize("fault", ["lack", "hold besides", "have in another size"])
def test_a_sam_with_a_tensor_too_few_or_too_many_is_refused_with_its_name(tmp_path, monkeypatch, kind, fault):
    network, name = bundled_network(), "mask_decoder.iou_token.weight"
    state = network.state_dict()
    if fault == "lack":
        del state[name]
    elif fault == "hold besides":
        name = "mask_decoder.of_another.weight"
        state[name] = torch.ones(2)
    else:
        state[name] = torch.ones(2, 3)
    folder = tmp_path / "sam"
    folder.mkdir()
    torch.save(state, folder / "sam.pth")
    shutil.copy(BUNDLED / "sam" / "config.json", folder)
    if kind == "file":
        monkeypatch.setattr(sam, "_size", lambda *_: "vit_b")
        config = json.loads((folder / "config.json").read_text())
        monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", lambda: build_sam(config))
    with pytest.raises(ValueError, match=rf"sam\.pth holds the weights of another network .*they {fault} {name}"):
        sam.load(str(folder if kind == "folder" else folder / "sam.pth"), "cpu")


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        sam.load(str(tmp_path / "gone.pth"), "cpu")


@pytest.mark.parametrize("size", ["vit_b", "vit_l", "vit_h"])
def test_offline_a_missing_published_size_names_its_file_and_where_it_comes_from(
    tmp_path, monkeypatch, size, no_network
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / sam.PUBLISHED[size]
    with pytest.raises(FileNotFoundError) as error:
        sam.load(size, "cpu", offline=True)
    assert str(file) in str(error.value)
    assert sam.URL + file.name in str(error.value)


def test_a_published_size_that_was_fetched_is_not_fetched_again(tmp_path, monkeypatch, no_network):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / sam.PUBLISHED["vit_l"]
    file.parent.mkdir()
    file.write_bytes(b"here")
    assert sam.fetch("vit_l", offline=False) == file


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host on loopback in the place of SAM's; gives `answers`, whatever is asked for, and promises `length` bytes."""

    class Host(BaseHTTPRequestHandler):
        answers, length, silent = b"weights", 7, threading.Event()

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(Host.length))
            self.end_headers()
            self.wfile.write(Host.answers)
            if Host.length > len(Host.answers):
                Host.silent.wait(30)

        def log_message(self, *_): ...

    digits = hashlib.sha256(b"weights").hexdigest()[:6]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(sam, "URL", f"http://127.0.0.1:{server.server_address[1]}/")
    monkeypatch.setitem(sam.PUBLISHED, "vit_h", f"sam_vit_h_{digits}.pth")
    yield Host
    Host.silent.set()
    server.shutdown()
    server.server_close()


def refused(tmp_path, size: str = "vit_h") -> str:
    """What is said when its weights cannot be fetched; nothing is left of them."""
    with pytest.raises(OSError, match=f"SAM {size} cannot be fetched") as error:
        sam.fetch(size, offline=False)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
    said = str(error.value)
    for part in (sam.URL + sam.PUBLISHED[size], str(tmp_path), "models pull", f"sam:{size}"):
        assert part in said
    return said


def test_a_published_size_is_fetched_once_and_checked_against_the_digits_in_its_name(tmp_path, host):
    file = sam.fetch("vit_h", offline=False)
    assert file.read_bytes() == b"weights"
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [file]


def test_another_file_than_its_name_says_is_refused(tmp_path, host):
    host.answers = b"Weights"
    assert "its SHA-256 begins with" in refused(tmp_path)


def test_a_host_that_goes_silent_is_not_waited_for_for_ever(tmp_path, host, monkeypatch):
    monkeypatch.setattr("removal.weights.download.SILENT", 0.2)
    host.length = 100
    assert "not a byte came for 0.2 seconds" in refused(tmp_path)


def test_a_connection_that_ends_early_is_no_file(tmp_path, host):
    host.length = 100
    host.silent.set()
    assert "the connection ended after 7 of 100 bytes" in refused(tmp_path)


def test_a_host_that_is_out_of_reach_is_said_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(sam, "URL", "http://127.0.0.1:1/")
    assert "Connection refused" in refused(tmp_path, "vit_b")


def test_an_unknown_size_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"unknown SAM size 'vit_x'; there are vit_b, vit_l, vit_h"):
        sam.load("vit_x", "cpu", offline=True)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
@pytest.mark.parametrize("size", [(1500, 2000), (3000, 1500)])
def test_a_large_photo_is_scaled_to_within_a_level_of_what_the_library_makes_of_it_and_the_mask_is_the_same(
    segment, monkeypatch, name, size
):
    image = cv2.resize(getattr(skimage.data, name)(), size[::-1], interpolation=cv2.INTER_CUBIC)
    network, (height, width) = segment.network, size
    theirs = network.frame.apply_image(image).astype(int)
    ours = network._scaled(image).permute(1, 2, 0).numpy()
    assert 0 < np.abs(theirs - ours).max() <= 1
    assert np.abs(theirs - ours).mean() < 0.01
    around = (width // 8, height // 8, width // 2, height // 2)
    asked = [PointPrompt(((width // 2, height // 2, 1),)), BoxPrompt(around)]
    found = segment([image] * 2, asked)
    monkeypatch.setattr(network, "_scaled", lambda image: torch.from_numpy(theirs).permute(2, 0, 1))
    for one, other in zip(found, segment([image] * 2, asked), strict=True):
        assert iou(one.mask, other.mask) > 0.99
