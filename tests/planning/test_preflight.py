import re
import time

import numpy as np
import pytest
from PIL import Image

from fedseg.config import Federation, Model
from fedseg.errors import FedsegError
from fedseg.models.build import check_size
from fedseg.planning import preflight, quick_checks
from tests.conftest import TINY_MODEL


def quiet(*_, **__):
    """Takes progress and shows nothing."""


def with_model(data, **changes):
    return Federation.model_validate(data | {"model": TINY_MODEL | changes})


def test_an_encoder_of_one_size_is_refused_before_anything_is_trained(federation_data):
    """It takes the crop; but whole images are larger, and of other proportions."""
    training = {"iterations": 1, "batch_size": 2, "crop": [224, 224]}
    data = federation_data | {"training": training}
    federation = with_model(data, arch="upernet", encoder="tu-hiera_tiny_224")
    [error] = preflight.find_problems(federation, quiet)
    assert re.match("the global model: .* can't take images of", str(error))
    assert "tu-hiera_tiny_224" in str(error)
    assert "inference_height" in str(error)
    assert "\n" not in str(error)
    wrong = data | {"training": training | {"crop": [256, 256]}}
    wrong = with_model(wrong, arch="upernet", encoder="tu-hiera_tiny_224")
    [error] = preflight.find_problems(wrong, quiet)
    assert "can't be trained on images of" in str(error)


def test_a_window_of_its_size_lets_such_an_encoder_be_scored():
    model = Model(arch="upernet", encoder="tu-hiera_tiny_224", encoder_weights="none")
    check_size(model, (224, 224))
    check_size(model, (224, 224), batch=2)
    with pytest.raises(FedsegError, match="can't take images of 224x256"):
        check_size(model, (224, 256))


@pytest.mark.parametrize(
    ("arch", "encoder"),
    [
        ("fpn", "tu-lcnet_050"),
        ("unet", "resnet18"),
        ("segformer", "mit_b0"),
        ("linknet", "resnet18"),
    ],
)
def test_encoders_of_any_size_pass_quickly(federation_data, arch, encoder):
    federation = with_model(federation_data, arch=arch, encoder=encoder)
    started = time.monotonic()
    assert not list(preflight.find_problems(federation, quiet))
    assert time.monotonic() - started < 20


def test_every_size_of_a_set_is_tried(federation_data, make_world):
    """One portrait among landscapes is enough for a model to die of."""
    federation = with_model(federation_data)
    root = federation.evaluation[0].root
    tried = []
    for path, size in (("images", (48, 80, 3)), ("labels", (48, 80))):
        array = np.zeros(size, np.uint8).swapaxes(0, 1)
        Image.fromarray(np.ascontiguousarray(array)).save(root / path / "9.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preflight, "check_size", lambda model, size, *_: tried.append(size))
        preflight.check_sizes(federation, quiet)
    # Inference height 32 (1.25 x 32, rounded to 32): 80:48 to 64 wide, 48:80 to 32.
    assert sorted(set(tried)) == [(32, 32), (32, 64)]


def test_windows_and_heights_of_a_protocol_are_tried(federation_data):
    protocol = {"height": 96, "window": [64, 96]}
    data = dict(federation_data)
    data["evaluation"] = [{**data["evaluation"][0], "protocol": protocol}]
    tried = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preflight, "check_size", lambda model, size, *_: tried.add(size))
        preflight.check_sizes(with_model(data), quiet)
    assert (64, 96) in tried
    assert not any(height > 64 for height, _ in tried)


def test_too_small_a_batch_for_normalisation_is_found():
    """Global pooling leaves one value a channel: batch normalisation needs two images."""
    model = Model(arch="deeplabv3", encoder="resnet18", encoder_weights="none")
    check_size(model, (64, 64), batch=2)
    with pytest.raises(FedsegError, match=r"can't be trained on images of 64x64 .*more than 1"):
        check_size(model, (64, 64), batch=1)


def test_a_client_without_a_labelled_pixel_is_found_before_others_train(federation_data):
    federation = with_model(federation_data)
    for path in (federation.clients[1].root / "labels").iterdir():
        Image.fromarray(np.full((48, 80), 255, np.uint8)).save(path)
    [error] = preflight.find_problems(federation, quiet)
    assert str(error).startswith("client 'two': no labelled pixel in its data")


def test_too_little_memory_is_found_before_others_train(monkeypatch):
    monkeypatch.setattr(quick_checks, "memory", lambda: 2 * 2**30)
    with pytest.raises(FedsegError, match=r"2\.0 GiB of memory are allowed here, but .* 2\.5 at"):
        quick_checks.check_memory()


def test_what_the_server_needs_is_there(federation_data):
    preflight.check_server(with_model(federation_data), quiet)
    with pytest.raises(FedsegError, match="the global model: no encoder 'resnet19'"):
        preflight.check_server(with_model(federation_data, encoder="resnet19"), quiet)


def test_misspelt_classes_are_found_before_anything_is_trained(federation_data):
    """The list of the report: nothing was wrong with it, and nobody could learn a person."""
    members = {"drivable": ["road", "parkin"], "vehicle": ["car", "trukc"]}
    classes = {"names": ["drivable", "vehicle", "persn"], "members": members}
    federation = Federation.model_validate(federation_data | {"classes": classes})
    found = [str(error) for error in quick_checks.quick_problems(federation)]
    assert len(found) == 1
    assert "'persn' (did you mean 'person'?)" in found[0]
    assert "'trukc' in 'vehicle' (did you mean 'truck'?)" in found[0]


def test_classes_that_no_client_has_are_noted(federation_data):
    """Of the list's classes, the clients' worlds hold all but the truck's pixels."""
    classes = ["road", "building", "vegetation", "terrain", "sky", "car", "truck"]
    notes = []
    federation = Federation.model_validate(federation_data | {"classes": classes})
    assert not list(preflight.find_problems(federation, quiet, notes.append))
    assert len(notes) == 1
    assert "1 of the 7 classes: truck;" in notes[0]
    federation = Federation.model_validate(federation_data | {"classes": classes[:-1]})
    assert not list(preflight.find_problems(federation, quiet, notes.append))
    assert len(notes) == 1
