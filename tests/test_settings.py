"""Settings on the command line, and what differs between two configurations."""

import pytest

from fedseg import config
from fedseg.errors import FedsegError
from fedseg.files import EMBEDDED
from fedseg.settings import differences, with_settings

FILE = {
    "seed": 1,
    "training": {"iterations": 100, "crop": [64, 128]},
    "clients": [{"name": "metro"}, {"name": "suburb", "model": {"arch": "fpn"}}],
}


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("seed=2", ["seed"], 2),
        ("training.iterations = 500", ["training", "iterations"], 500),
        ("training.crop=[32, 64]", ["training", "crop"], [32, 64]),
        ("model.arch=unet", ["model", "arch"], "unet"),
        ('model.arch="unet"', ["model", "arch"], "unet"),
        ("server.distillation.fusion=a=b", ["server", "distillation", "fusion"], "a=b"),
        ("clients.suburb.model.arch=unet", ["clients", 1, "model", "arch"], "unet"),
        ("clients.0.model.arch=unet", ["clients", 0, "model", "arch"], "unet"),
        ("cross_site_evaluation=true", ["cross_site_evaluation"], True),
    ],
)
def test_a_setting_replaces_one_value(setting, path, value):
    found = changed = with_settings(FILE, [setting])
    for part in path:
        found = found[part]
    assert found == value
    assert type(found) is type(value)
    assert changed != FILE
    assert FILE["seed"] == 1
    assert FILE["clients"][0] == {"name": "metro"}


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("seed", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("training..crop=3", "expected KEY=VALUE"),
        ("seed.deep=3", "'seed' is a value"),
        ("clients.metr.arch=x", "did you mean 'metro'"),
        ("clients.name=x", "'clients' is a list"),
    ],
)
def test_what_is_no_setting_is_named(setting, problem):
    with pytest.raises(FedsegError, match=problem):
        with_settings(FILE, [setting])


def test_the_last_of_two_settings_counts():
    assert with_settings(FILE, ["seed=2", "seed=3"])["seed"] == 3


def test_settings_are_checked_like_the_file_and_inherited_from():
    federation = config.load(EMBEDDED, settings=["training.batch_size=3"])
    assert {client.training.batch_size for client in federation.clients} == {3}
    with pytest.raises(FedsegError, match=r"unknown key 'training\.iteration'; did you mean"):
        config.load(EMBEDDED, settings=["training.iteration=3"])
    with pytest.raises(FedsegError, match=r"embedded\.toml: 'training\.iterations' = -3"):
        config.load(EMBEDDED, settings=["training.iterations=-3"])


def test_keys_that_differ():
    assert differences(FILE, FILE) == []
    other = with_settings(FILE, ["seed=2", "clients.suburb.model.arch=unet", "out=5"])
    assert differences(FILE, other) == ["clients.suburb.model.arch", "out", "seed"]
    assert differences({"a": None, "b": {}}, {}) == []


def test_another_order_of_tables_is_a_difference():
    assert differences(FILE, FILE | {"clients": FILE["clients"][::-1]}) == ["clients"]
    assert differences({"a": None}, {"a": []}) == ["a"]
