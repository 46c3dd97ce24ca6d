import json

import pytest
import torch

from fedseg.config import Model
from fedseg.errors import FedsegError
from fedseg.models import checkpoints
from fedseg.participants.metadata import parse_upload
from fedseg.participants.uploads import check_cost, check_sizes, store_upload
from fedseg.run.folder import Run
from fedseg.run.uploads import Upload, read_upload
from fedseg.storage.hashes import content_hash
from tests.conftest import TINY_MODEL
from tests.disks import no_space


@pytest.fixture
def uploaded(trained):
    [folder] = (trained / "one").glob("checkpoint-*")
    return read_upload(folder), checkpoints.load(folder)[0].state_dict()


def test_a_good_upload_is_stored(uploaded, tmp_path):
    upload, weights = uploaded
    parsed = parse_upload(upload.model_dump_json(), expected="one")
    folder = store_upload(Run(tmp_path / "run"), parsed, weights)
    network, info = checkpoints.load(folder)
    assert info == upload.info
    assert content_hash(network.state_dict()) == upload.sha256
    assert json.loads((folder / "client.json").read_text())["images"] == 4


@pytest.mark.parametrize(
    ("train", "base", "expected"),
    [
        ("all", "0" * 64, "sent a part of a model, but was asked for a whole"),
        ("decoder", None, "sent a whole model, but was asked for a part"),
        ("decoder", "0" * 64, "upload: has an unknown tensor 'encoder"),
    ],
)
def test_more_or_less_of_a_model_than_was_asked_for(
    uploaded, federation, tmp_path, train, base, expected
):
    upload, weights = uploaded
    model = federation.clients[0].model.model_copy(update={"train": train})
    with pytest.raises(FedsegError, match=expected):
        store_upload(
            Run(tmp_path / "run"), upload.model_copy(update={"base": base}), weights, model, seed=0
        )
    assert not list((tmp_path / "run").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "two"}, "in the name of 'two'"),
        ({"images": "four"}, "malformed metadata: 'images'"),
        ({"pixel_counts": [1, 2]}, "malformed metadata: unknown key 'pixel_counts'"),
        ({"bytes": 10**400}, "malformed metadata: 'bytes'"),
        ({"bytes": -1}, "malformed metadata: 'bytes'"),
        ({"images": 10**15}, "malformed metadata: 'images'"),
        ({"images": 0}, "malformed metadata: 'images'"),
        ({"seconds": float("nan")}, "malformed metadata: 'seconds'"),
        ({"seconds": float("inf")}, "malformed metadata: 'seconds'"),
        ({"dataset": "x" * 101}, "malformed metadata: 'dataset'"),
        ({"dataset": "x" * 20_000_000}, "malformed metadata: it has more than"),
        ({"dataset": "../../dev/zero"}, "not the name of a dataset card"),
        ({"dataset": "mine.toml"}, "not the name of a dataset card"),
        ({"dataset": "\x1b[2J"}, "not the name of a dataset card"),
        ({"iterations": True}, "malformed metadata: 'iterations'"),
        ({"images": 1e18}, "malformed metadata: 'images'"),
        ({"epsilon": float("nan")}, "malformed metadata: 'epsilon'"),
        ({"delta": 2.0}, "malformed metadata: 'delta'"),
        ({"base": {"weights": "\n", "sha256": "0" * 64}}, r"malformed metadata: 'base\.weights'"),
        ({"sha256": "../../etc/passwd"}, "malformed metadata: 'sha256'"),
        ({"iterations": 0}, "malformed metadata: 'iterations'"),
        ({"images": "DEEP"}, "malformed metadata: .* nested too deeply"),
        ({"images": "LONG"}, "malformed metadata: it holds a number of thousands of digits"),
        ({f"key{n}": n for n in range(1000)}, "malformed metadata: unknown key"),
        ({"path": "/home/alice"}, "malformed metadata: unknown key 'path'"),
    ],
)
def test_metadata_that_cannot_be(uploaded, change, expected):
    content = json.dumps(uploaded[0].model_dump(mode="json") | change)
    content = content.replace('"DEEP"', "[" * 900 + "]" * 900).replace('"LONG"', "1" * 5000)
    with pytest.raises(FedsegError, match=expected):
        parse_upload(content, expected="one")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"coverage": []}, r"'info\.coverage'.*: expected a non-empty list"),
        ({"coverage": [25]}, r"not made of trainIds 0\.\.18"),
        ({"coverage": [0, -1]}, r"not made of trainIds 0\.\.18"),
        ({"coverage": [0, 0]}, "coverage: 0 is given twice"),
        ({"coverage": [0] * 100_000}, r"'info\.coverage'"),
        ({"coverage": [True]}, r"'info\.coverage'"),
        ({"decoder": {"channels": 10**9}}, r"info\.decoder"),
        ({"decoder": {f"a{'b' * n}": 1 for n in range(11)}}, r"info\.decoder"),
        (
            {"std": [1, 0, 1]},
            r"'info\.std' = \[1, 0, 1\]: expected a list of 3 numbers from 0\.001 to 10",
        ),
        ({"std": [1, -1, 1]}, r"'info\.std'"),
        ({"mean": [1e300, 0, 1]}, r"'info\.mean'"),
        ({"crop": [0, 32]}, r"'info\.crop'"),
        ({"crop": [32, 10**9]}, r"'info\.crop'"),
        ({"inference_height": 10**6}, r"info\.inference_height"),
        ({"arch": "x" * 20_000}, r"info\.arch"),
        ({"classes": ["road"]}, "a list of at least 2 "),
        ({"classes": ["road", "sky"], "coverage": [0]}, "not those of the federation"),
    ],
)
def test_a_description_that_cannot_be(uploaded, change, expected):
    content = uploaded[0].model_dump(mode="json")
    content["info"] |= change
    with pytest.raises(FedsegError, match=expected):
        parse_upload(json.dumps(content), expected="one")


def refused(tmp_path, upload: Upload, weights, expected):
    run = Run(tmp_path / "run")
    with pytest.raises(FedsegError, match=expected):
        store_upload(run, upload, weights)
    assert not (run.clients / upload.name).exists()


def test_bad_weights_leave_nothing_behind(uploaded, tmp_path):
    upload, weights = uploaded
    name = "segmentation_head.0.bias"
    refused(tmp_path, upload, weights | {name: torch.full((19,), torch.nan)}, "NaN")
    refused(tmp_path, upload, weights | {name: torch.zeros(18)}, r"\[18\]")
    narrow = {key: t.half() if t.is_floating_point() else t for key, t in weights.items()}
    refused(tmp_path, upload, narrow, r"is float16 \[.*\], but must be float32")
    variance = next(name for name in weights if name.endswith("running_var"))
    negative = weights | {variance: -weights[variance]}
    refused(tmp_path, upload, negative, f"'{variance}' holds a negative variance")
    refused(tmp_path, upload, weights | {name: weights[name] + 1}, "damaged on the way")
    foreign = upload.model_copy(update={"info": upload.info.model_copy(update={"arch": "os"})})
    refused(tmp_path, foreign, weights, "no architecture 'os'")


def test_an_upload_that_can_not_be_written_leaves_nothing_behind(uploaded, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "write_json", no_space)  # after the weights
    refused(tmp_path, *uploaded, "the server can't keep its upload: .*No space left")
    assert list((tmp_path / "run" / "clients").iterdir()) == []


def test_what_the_server_can_count_is_not_the_clients_word(uploaded, federation, tmp_path):
    upload, weights = uploaded
    training = federation.clients[0].training
    more = upload.model_copy(update={"iterations": training.iterations + 1})
    with pytest.raises(FedsegError, match="says that it trained 4 iterations, but was asked for 3"):
        check_sizes(more, training)
    kept = store_upload(Run(tmp_path / "run"), upload.model_copy(update={"bytes": 1}), weights)
    known = sum(tensor.nbytes for tensor in weights.values())
    assert json.loads((kept / "client.json").read_text())["bytes"] == known


def test_a_model_may_cost_what_others_of_its_kind_do(uploaded, federation):
    """One that was asked for costs what it costs; another's bound follows from it."""
    upload = uploaded[0]

    def check(asked, **changes):
        info = upload.info.model_copy(update=changes)
        check_cost(upload.model_copy(update={"info": info}), [Model(**TINY_MODEL), asked])

    wide = {"pyramid_channels": 2048, "segmentation_channels": 2048}
    check(Model(**TINY_MODEL))
    check(Model(**TINY_MODEL), encoder="resnet18")
    check(Model(**TINY_MODEL, decoder=wide), decoder=wide)
    check(Model(**TINY_MODEL, decoder=wide), encoder="resnet50")
    with pytest.raises(FedsegError, match="costs more than 30 times the operations"):
        check(Model(**TINY_MODEL), decoder=wide)
    late = {"channels": (16, 16, 16, 16, 4096)}
    with pytest.raises(FedsegError, match="costs more than 30 times the"):
        check(Model(**TINY_MODEL), arch="unet", decoder=late)


def test_the_size_at_which_its_model_runs_is_not_the_clients_choice(uploaded, federation):
    upload = uploaded[0]
    training = federation.clients[0].training
    check_sizes(upload, training)
    for change in ({"inference_height": 8192}, {"crop": (4096, 4096)}, {"stride": 4}):
        large = upload.model_copy(update={"info": upload.info.model_copy(update=change)})
        with pytest.raises(FedsegError, match="was asked for"):
            check_sizes(large, training)
