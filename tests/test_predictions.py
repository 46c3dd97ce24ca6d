import numpy as np
import torch

from fedseg import checkpoints, predictions
from fedseg.config import Model, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.models import build
from fedseg.predictions import fuse, predict, read
from tests.conftest import TINY_MODEL


def one_hot(train_id, chance=255):
    pixel = np.zeros((1, 1, 19), np.uint8)
    pixel[..., train_id] = chance
    return pixel


ALL = set(range(19))


def test_fusion_is_the_mean_where_all_know_all():
    fused = fuse([one_hot(0), one_hot(0), one_hot(1), one_hot(2)], [ALL] * 4)[0, 0]
    assert fused[:3].tolist() == [128, 64, 64]


def test_a_class_is_not_voted_down_by_clients_who_never_saw_it():
    # Two of three know terrain (9) and see it; the third, who does not, says vegetation (8).
    # Terrain: mean over the two = 1. Vegetation: mean over the three = 1/3. So 3/4 and 1/4.
    fused = fuse([one_hot(9), one_hot(9), one_hot(8)], [ALL, ALL, ALL - {9}])[0, 0]
    assert fused[[9, 8]].tolist() == [191, 64]


def test_a_vote_for_an_unknown_class_does_not_count():
    fused = fuse([one_hot(9), one_hot(8)], [ALL - {9}, ALL])[0, 0]
    assert fused[9] == 0
    assert fused[8] == 255


def test_predictions_sum_to_one_leave_out_unseen_classes_and_are_kept(make_world, tmp_path):
    torch.manual_seed(0)
    model = Model(**TINY_MODEL)
    training = Training(crop=(32, 64))
    info = checkpoints.describe(model, training, coverage=(0, 1, 2))
    checkpoints.save(tmp_path / "client", build(model), info)
    dataset = open_dataset(Source(dataset="folder", root=make_world("server")), labelled=False)
    folder = tmp_path / "predictions"
    told = []
    predict(tmp_path / "client", dataset, info, folder, lambda *n: told.append(n))
    assert told[-1] == (4, 4)
    chances = read(folder, 0)
    assert chances.shape == (8, 16, 19)  # inference height 32, 5:3 pictures to 64 wide, stride 4
    assert (abs(chances.sum(axis=-1, dtype=int) - 255) <= 2).all()
    assert chances[..., 3:].max() == 0
    # A second call finds all there and does not touch it; a lost one is made again, the same.
    before = predictions.image_file(folder, 1).read_bytes()
    predictions.image_file(folder, 1).unlink()
    told.clear()
    predict(tmp_path / "client", dataset, info, folder, lambda *n: told.append(n))
    assert told == [(4, 4)]
    assert predictions.image_file(folder, 1).read_bytes() == before
