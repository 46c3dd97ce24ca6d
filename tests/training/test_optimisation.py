import numpy as np
import pytest
import torch

from fedseg.training.optimisation import autocast, choose_precision, learning_rate_factor

CPU = torch.device("cpu")


def test_learning_rate_rises_linearly_and_falls_as_half_a_cosine():
    rates = [learning_rate_factor(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[-1] < 0.001
    assert np.argmax(rates) == 10


def test_auto_is_what_the_device_has(monkeypatch):
    cuda = torch.device("cuda")
    assert choose_precision(CPU, "auto") == torch.float32
    assert not autocast(CPU, "auto")._enabled
    for has, expected in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda has=has, **_: has)
        assert choose_precision(cuda, "auto") == expected
    assert choose_precision(cuda, "float32") == torch.float32
