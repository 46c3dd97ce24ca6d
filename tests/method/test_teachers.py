import shutil
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from fedseg.config import Model, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.evaluation.inference import PLAIN
from fedseg.files import DamagedFile
from fedseg.method import teachers
from fedseg.method.teachers import predict_images
from fedseg.models import checkpoints
from fedseg.models.build import build
from fedseg.run.progress import silent
from fedseg.storage.arrays import read_array
from tests.conftest import TINY_MODEL
from tests.edges import TOLERANCE, Brightness, place_of, write_edges


def test_predictions_sum_to_one_leave_out_unseen_classes_and_are_kept(make_world, tmp_path):
    torch.manual_seed(0)
    model = Model(**TINY_MODEL)
    training = Training(crop=(32, 64))
    info = checkpoints.describe_model(model, training, coverage=(0, 1, 2))
    checkpoints.save(tmp_path / "client", build(model), info)
    dataset = open_dataset(Source(dataset="folder", root=make_world("server")), labelled=False)
    folder = tmp_path / "predictions"
    notify = []

    def run():
        notify.clear()
        return predict_images(
            tmp_path / "client", dataset, info, folder, lambda *n: notify.append(n), "labels"
        )

    files = run()
    assert notify[-1] == ("labels", 4, 4)
    probabilities = read_array(files[0])
    assert probabilities.shape == (8, 16, 19)  # height 32, 5:3 pictures to 64 wide, stride 4
    assert (abs(probabilities.sum(axis=-1, dtype=int) - 255) <= 2).all()
    assert probabilities[..., 3:].max() == 0
    # A second call finds all there and does not touch it; a lost one is made again, the same.
    before = files[1].read_bytes()
    files[1].unlink()
    assert run() == files
    assert notify == [("labels", 4, 4)]
    planes = np.load(BytesIO(before))["planes"]
    assert (read_array(files[1]) == np.moveaxis(planes, 0, -1)).all()


def test_each_image_keeps_its_own_predictions_when_others_come_and_go(make_world, tmp_path):
    """Predictions belong to the content of an image, not to its number in the folder."""
    torch.manual_seed(0)
    model = Model(**TINY_MODEL)
    info = checkpoints.describe_model(model, Training(crop=(32, 64)))
    checkpoints.save(tmp_path / "client", build(model), info)
    root = make_world("server", count=3)
    source = Source(dataset="folder", root=root)

    def run():
        dataset = open_dataset(source, labelled=False)
        files = predict_images(tmp_path / "client", dataset, info, tmp_path / "p", silent, "labels")
        names = [path.name for path in dataset.images]
        return {name: read_array(file) for name, file in zip(names, files, strict=True)}

    before = run()
    Image.open(root / "images" / "0.png").rotate(180).save(root / "images" / "00.png")
    Image.open(root / "images" / "1.png").transpose(Image.FLIP_LEFT_RIGHT).save(
        root / "images" / "2.png"
    )
    after = run()
    assert list(after) == ["0.png", "00.png", "1.png", "2.png"]
    for name in ("0.png", "1.png"):
        assert (after[name] == before[name]).all()
    shutil.rmtree(tmp_path / "p")
    afresh = run()
    assert all((after[name] == afresh[name]).all() for name in after)
    assert (after["2.png"] != before["2.png"]).any()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "another's"])
def test_a_damaged_prediction_is_made_again(make_world, tmp_path, damage):
    torch.manual_seed(0)
    model = Model(**TINY_MODEL)
    info = checkpoints.describe_model(model, Training(crop=(32, 64)))
    checkpoints.save(tmp_path / "client", build(model), info)
    dataset = open_dataset(Source(dataset="folder", root=make_world("server")), labelled=False)

    def run():
        return predict_images(tmp_path / "client", dataset, info, tmp_path / "p", silent, "labels")

    files = run()
    whole = read_array(files[2])
    content = bytearray(files[2].read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    files[2].write_bytes(
        {
            "truncated": bytes(content[:-100]),
            "flipped": bytes(content),
            "empty": b"",
            "another's": files[1].read_bytes(),
        }[damage]
    )
    with pytest.raises(DamagedFile, match=files[2].name):
        read_array(files[2])
    assert (read_array(run()[2]) == whole).all()


@pytest.mark.parametrize("size", [(190, 320), (101, 163), (48, 80), (19, 33)])
@pytest.mark.parametrize("axis", [0, 1])
def test_predictions_lie_where_their_images_show_them(tmp_path, monkeypatch, size, axis):
    """On the coarse grid of the targets; soft at an edge, so to parts of a cell."""
    info = checkpoints.describe_model(Model(**TINY_MODEL), Training(crop=(64, 96)))
    images = write_edges(tmp_path / "edges", size, axis, 40)
    monkeypatch.setattr(teachers.checkpoints, "load", lambda *_: (Brightness(), info))
    moved = []
    for index, found in teachers._probabilities(tmp_path, images, info, PLAIN, range(len(images))):
        scale = size[axis] / found.shape[axis]
        place = place_of(images.image(index)[..., 0] / 255, axis)
        moved.append(place_of(found[..., 1] / 255, axis) * scale - place)
    assert abs(np.mean(moved)) < TOLERANCE * max(scale, 1)
