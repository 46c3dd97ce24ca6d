import logging

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from fedseg.errors import FedsegError
from fedseg.models.prefixes import strip_prefix, without_common_prefix


def make(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Conv2d(4, 2, 1)))


def below(prefix, network):
    return {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}


def is_equal(weights, network):
    own = network.state_dict()
    return weights.keys() == own.keys() and all(torch.equal(weights[n], own[n]) for n in own)


PREFIXES = [
    "",
    "module.",
    "_orig_mod.",
    "module._orig_mod.",
    "_orig_mod.module.",
    "ema_model.",
    "ema_model.module.",
    "net.",
    "network.",
    "student.",
    "state_dict.model.net.",
    "x.y.z.",
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_prefix_of_whole_components_is_left_out(prefix):
    network = make(0)
    assert is_equal(strip_prefix(network.state_dict(), below(prefix, network), "file"), network)


def test_what_pytorch_itself_writes_is_read():
    network = make(0)
    compiled = torch.compile(network)
    parallel = nn.DataParallel(compiled)
    average = AveragedModel(network)  # with a counter beside it
    inner = make(0)
    inner[2] = torch.compile(inner[2])
    for wrapped in (compiled, parallel, average, AveragedModel(compiled), inner):
        assert wrapped.state_dict().keys() != network.state_dict().keys()
        found = strip_prefix(network.state_dict(), wrapped.state_dict(), "file")
        assert is_equal(found, network)


def test_names_that_are_not_the_models_stay_as_they_are():
    network = make(0)
    own = network.state_dict()
    for changed in (
        below("prefix", network),  # no component of its own
        below("a.", network) | {"a.backdoor": torch.zeros(1)},
        {name: t for name, t in below("a.", network).items() if name != "a.0.bias"},
        own | {"backdoor": torch.zeros(1)},
    ):
        assert strip_prefix(own, changed, "file").keys() == changed.keys()


@pytest.mark.parametrize(
    ("plain", "average"),
    [
        ("model.", "ema_model."),
        ("online_model.", "ema_model.module."),
        ("", "ema."),
        ("state_dict.", "state_dict_ema."),
        ("net.", "net_swa."),
    ],
)
def test_an_average_is_preferred_with_a_notice(caplog, plain, average):
    one, other = make(0), make(1)
    weights = below(plain, one) | below(average, other) | {"step": torch.tensor(3)}
    with caplog.at_level(logging.WARNING):
        found = strip_prefix(one.state_dict(), weights, f"file {plain}")
    assert is_equal(found, other)
    [record] = caplog.records
    assert f"using '{average}', the average" in record.getMessage()


def test_two_models_of_which_neither_is_an_average_are_refused():
    one, other = make(0), make(1)
    weights = below("student.", one) | below("teacher.", other)
    with pytest.raises(FedsegError, match=r"file: holds several models, below 'student\.' and 'te"):
        strip_prefix(one.state_dict(), weights, "file")
    twice = below("student.", one) | below("teacher.", one)
    assert is_equal(strip_prefix(one.state_dict(), twice, "file"), one)


def test_the_common_prefix_is_of_whole_components():
    assert without_common_prefix({"a.b1.c": 1, "a.b2.c": 2}) == {"b1.c": 1, "b2.c": 2}
    assert without_common_prefix({"a.b": 1, "c": 2}) == {"a.b": 1, "c": 2}
    assert without_common_prefix({}) == {}
