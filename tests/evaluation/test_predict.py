from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as evaluation
from PIL import Image

from fedseg.classes import CITYSCAPES, PALETTE
from fedseg.config import Model, Training
from fedseg.data.cards import load_card
from fedseg.data.encoding import read_label
from fedseg.errors import FedsegError
from fedseg.evaluation.evaluate import class_map
from fedseg.evaluation.inference import infer
from fedseg.evaluation.predict import overlay, predict, predict_frames, predict_video
from fedseg.evaluation.sequences import find_sequences
from fedseg.evaluation.video import Video, write_video
from fedseg.models import checkpoints
from fedseg.models.build import seeded_build
from tests.conftest import TINY_MODEL
from tests.edges import TOLERANCE, Brightness, black_and_white, edge, place_of

FOLDER = load_card("folder")


@pytest.fixture
def model():
    model = Model(**TINY_MODEL)
    return seeded_build(model, 0).eval(), checkpoints.describe_model(model, Training(crop=(32, 64)))


@pytest.fixture
def drive(tmp_path):
    """A video of 12 frames that grow brighter, 6 a second."""
    path = tmp_path / "drive.mp4"
    with write_video(path, rate=6.0) as video:
        for index in range(12):
            video.write(np.full((48, 80, 3), 20 * index, np.uint8))
    return path


def test_files_are_of_the_inputs_size_and_agree(model, make_world, tmp_path):
    folder = make_world("world") / "images"
    [sequence] = find_sequences([folder])
    predict_frames(*model, sequence, tmp_path / "out", lambda *_: None)
    for path in folder.iterdir():
        label, colours, drawn = (
            Image.open(tmp_path / "out" / f"{path.stem}_{ending}")
            for ending in ("trainId.png", "color.png", "overlay.jpg")
        )
        assert label.size == colours.size == drawn.size == (80, 48)
        ids = np.asarray(label)
        assert ids.max() < 19
        assert (colours.mode, np.asarray(colours).tolist()) == ("RGB", PALETTE[ids].tolist())
        assert (read_label(tmp_path / "out" / f"{path.stem}_trainId.png", FOLDER) == ids).all()


@pytest.mark.parametrize("names", [CITYSCAPES.names, ("road", "vehicle", "sky")])
def test_opencv_pillow_and_cityscapes_scripts_read_the_same_train_ids(names, make_world, tmp_path):
    """Also of a class list of one's own, which has other colours."""
    model = Model(**TINY_MODEL, classes=names)
    info = checkpoints.describe_model(model, Training(crop=(32, 64)))
    world = make_world("world", classes=(0, 1, 2), count=1)
    [sequence] = find_sequences([world / "images"])
    network = seeded_build(model, 0).eval()
    predict_frames(network, info, sequence, tmp_path / "out", lambda *_: None)
    path = tmp_path / "out" / "0_trainId.png"
    expected = predict(network, info, world / "images" / "0.png")
    assert len(np.unique(expected)) > 1
    for flag in (cv2.IMREAD_UNCHANGED, cv2.IMREAD_GRAYSCALE):
        assert np.array_equal(cv2.imread(str(path), flag), expected)
    with Image.open(path) as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), expected)
    ids = range(len(names))
    options = SimpleNamespace(evalLabels=list(ids), evalInstLevelScore=False)
    options.evalPixelAccuracy = False
    truth = world / "labels" / "0.png"
    counted = evaluation.generateMatrix(options)
    evaluation.evaluatePair(str(path), str(truth), counted, {}, {}, options)
    labels = np.asarray(Image.open(truth))
    pairs = [[((labels == i) & (expected == j)).sum() for j in ids] for i in ids]
    assert counted[: len(ids), : len(ids)].tolist() == pairs


def test_a_video_gives_a_video_of_the_same_length_and_rate(model, drive, tmp_path):
    notify = []
    [sequence] = find_sequences([drive])
    assert sequence.name == "drive"
    predict_video(*model, "drive", Video(drive), tmp_path / "out", lambda *n: notify.append(n))
    made = Video(tmp_path / "out" / "drive_overlay.mp4")
    assert (made.frames, made.rate) == (12, 6.0)
    assert notify[-1] == ("predicting drive", 12, 12)
    frames = [frame.mean() for frame in made]
    # Half of each overlay is the picture, which is 20 grey levels brighter from one to the next.
    assert frames[-1] - frames[0] > 80


def test_frames_of_different_sizes_make_no_video_and_leave_none(tmp_path):
    def write_odd():
        with write_video(tmp_path / "odd.mp4", 6.0) as video:
            for width in (64, 96):
                video.write(np.zeros((32, width, 3), np.uint8))

    with pytest.raises(FedsegError, match="frames differ in size"):
        write_odd()
    assert list(tmp_path.iterdir()) == []


def test_overlay_is_half_picture_half_colour():
    image = np.full((1, 1, 3), 100, np.uint8)
    assert overlay(image, np.zeros((1, 1), np.uint8))[0, 0].tolist() == [114, 82, 114]


def test_inputs_that_make_no_sense(make_world, tmp_path):
    with pytest.raises(FedsegError, match="no such file or folder"):
        find_sequences([tmp_path / "nowhere"])
    with pytest.raises(FedsegError, match="no image in this folder"):
        find_sequences([tmp_path])
    one, two = make_world("one"), make_world("two")
    with pytest.raises(FedsegError, match=r"both results would be 0_\*; rename one"):
        find_sequences([one / "images", two / "images"])
    (tmp_path / "torn.mp4").write_bytes(b"not a video")
    with pytest.raises(FedsegError, match=r"torn\.mp4: not a readable video"):
        find_sequences([tmp_path / "torn.mp4"])


def test_an_unreadable_image_does_not_end_the_rest(model, make_world, tmp_path):
    folder = make_world("world") / "images"
    (folder / "1.png").write_bytes(b"no image")
    [sequence] = find_sequences([folder])
    notify = []
    problems = predict_frames(*model, sequence, tmp_path / "out", lambda *n: notify.append(n))
    [problem] = problems
    assert problem.startswith(f"{folder}/1.png: not a readable image")
    assert notify[-1] == ("predicting images", 4, 4)
    written = {path.name for path in (tmp_path / "out").glob("*_trainId.png")}
    assert written == {"0_trainId.png", "2_trainId.png", "3_trainId.png"}


def test_probabilities_sum_to_one_and_agree_with_the_label(model, make_world, tmp_path):
    [sequence] = find_sequences([make_world("world", count=1) / "images"])
    predict_frames(*model, sequence, tmp_path, lambda *_: None, probabilities=True)
    found = np.load(tmp_path / "0_probabilities.npz")["probabilities"]
    assert (found.shape, found.dtype) == ((19, 48, 80), np.float16)
    assert np.allclose(found.sum(axis=0, dtype=np.float32), 1, atol=0.01)
    label = np.asarray(Image.open(tmp_path / "0_trainId.png"))
    chosen = np.take_along_axis(found, label[None].astype(int), axis=0)
    assert (chosen >= found.max(axis=0) - 1e-3).all()


@pytest.mark.parametrize("size", [(190, 320), (101, 163), (48, 80), (19, 33), (1500, 1501)])
@pytest.mark.parametrize("axis", [0, 1])
def test_predictions_lie_where_their_pictures_show_them(size, axis):
    """At the pictures' own size, whatever the size at which the model sees them."""
    info = checkpoints.describe_model(Model(**TINY_MODEL), Training(crop=(64, 96)))
    places = np.linspace(0.3, 0.7, 10 if size[0] > 999 else 60)
    labels = [edge(size, place, axis) for place in places]
    moved = []
    for index, image, logits in infer(
        Brightness(), info, lambda index: black_and_white(labels[index]), range(len(labels))
    ):
        found = class_map(logits, image.shape[:2]).numpy()
        moved.append(place_of(found, axis) - place_of(labels[index], axis))
    assert abs(np.mean(moved)) < max(TOLERANCE, 0.05 * size[0] / 96)
