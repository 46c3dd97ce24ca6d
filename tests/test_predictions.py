import torch

from fedseg import checkpoints, predictions
from fedseg.config import Model, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.models import build
from fedseg.predictions import predict, read
from tests.conftest import TINY_MODEL


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
