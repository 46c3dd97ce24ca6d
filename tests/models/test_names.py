import subprocess
import sys

import pytest
import segmentation_models_pytorch as smp
import timm
from segmentation_models_pytorch.encoders import get_encoder_names

from fedseg.errors import FedsegError
from fedseg.extras.huggingface import FAMILIES
from fedseg.models.names import check_names, smp_encoders, timm_models
from fedseg.registry import MODELS, SMP_MODELS


def test_names_are_those_of_the_libraries():
    assert sorted(timm_models()) == sorted(timm.list_models())
    assert sorted(smp_encoders()) == sorted(get_encoder_names())
    assert set(SMP_MODELS) == smp.MODEL_ARCHITECTURES_MAPPING.keys()
    assert set(MODELS) - set(SMP_MODELS) == FAMILIES.keys()


@pytest.mark.parametrize(
    ("arch", "encoder", "expected"),
    [
        ("fpm", "resnet18", "no architecture 'fpm'; did you mean 'fpn'"),
        ("fpn", "resnet19", "no encoder 'resnet19'; did you mean 'resnet18'"),
        ("fpn", "tu-lcnet_05", "no encoder 'tu-lcnet_05'; did you mean 'tu-lcnet_0"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(arch, encoder, expected):
    with pytest.raises(FedsegError, match=expected):
        check_names(arch, encoder)


@pytest.mark.parametrize(
    ("arch", "encoder"),
    [
        ("fpn", "resnet18"),
        ("unet", "tu-lcnet_050"),
        ("dpt", "tu-vit_tiny_patch16_224.augreg_in1k"),
        ("no_such_module:build", "any text"),
    ],
)
def test_known_names_pass(arch, encoder):
    check_names(arch, encoder)


def test_wandb_is_not_imported_with_timm_and_can_be_later():
    code = """
import sys
import fedseg.models.build, fedseg.training.losses
print([name for name in ("timm", "wandb") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "['timm']\n", done.stderr
