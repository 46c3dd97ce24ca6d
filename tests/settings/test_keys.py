"""`--set KEY=VALUE` in place of a value of a file."""

import pytest

from fedseg import config
from fedseg.errors import FedsegError
from fedseg.files import EMBEDDED
from fedseg.settings import with_settings

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
        ("clients.name=x", r"write --set clients\.NAME\.KEY=VALUE.*one of metro, suburb"),
        ("clients.0=3", r"write --set clients\.NAME\.KEY=VALUE"),
        ("seed.deep=3", "write it as a whole, as in --set seed=1$"),
        ("training.crop.0=3", r"write it as a whole, as in --set training\.crop=\[64,128\]$"),
        ('model.arch="fpn', "bracket is missing; write --set model.arch=fpn$"),
        ("model.arch=fpn'", "bracket is missing; write --set model.arch=fpn$"),
        ("training.crop=[96,128", r"missing; write --set training\.crop=\[96,128\]$"),
        ("training.crop=96,128]", r"missing; write --set training\.crop=\[96,128\]$"),
        (
            "tracking.trackers=[mlflow,wandb]",
            r"""write --set 'tracking\.trackers=\["mlflow","wandb"\]'$""",
        ),
        ("seed=" + "1" * 5000, "--set seed: it holds a number of thousands of digits"),
        ("training.crop=[" + "1" * 5000 + "]", "it holds a number of thousands of digits"),
        ("training.crop=" + "[" * 5000, "it is nested too deeply"),
    ],
)
def test_what_is_no_setting_is_named(setting, problem):
    with pytest.raises(FedsegError, match=problem):
        with_settings(FILE, [setting])


@pytest.mark.parametrize("text", ["it's", "data/[old", "a = 1\nb = 2", "x'y'z", "2 m"])
def test_a_value_without_an_open_quote_or_bracket_is_a_text(text):
    if "[" in text:
        with pytest.raises(FedsegError, match="bracket is missing"):
            with_settings(FILE, [f"model.arch={text}"])
    else:
        assert with_settings(FILE, [f"model.arch={text}"])["model"] == {"arch": text}


def test_evaluation_sets_go_by_the_names_of_their_datasets():
    sets = [{"dataset": "camvid"}, {"dataset": "cards/mine.toml"}, {"name": "night"}]
    file = {"evaluation": sets}
    changed = with_settings(file, [f"evaluation.{name}.split=val" for name in ("camvid", "mine")])
    assert [one.get("split") for one in changed["evaluation"]] == ["val", "val", None]


def test_tables_whose_names_cannot_be_parts_of_a_key_go_by_number():
    file = {"clients": [{"name": "a.b"}, {"name": "c"}, {"name": "c"}]}
    changed = with_settings(file, ["clients.0.root=x", "clients.2.root=y"])
    assert [one.get("root") for one in changed["clients"]] == ["x", None, "y"]
    with pytest.raises(FedsegError, match="known: 0, 1, 2"):
        with_settings(file, ["clients.zzz.root=x"])


def test_the_last_of_two_settings_counts():
    assert with_settings(FILE, ["seed=2", "seed=3"])["seed"] == 3


def test_settings_are_checked_like_the_file_and_inherited_from():
    federation = config.load(EMBEDDED, settings=["training.batch_size=3"])
    assert {client.training.batch_size for client in federation.clients} == {3}
    with pytest.raises(FedsegError, match=r"unknown key 'training\.iteration'; did you mean"):
        config.load(EMBEDDED, settings=["training.iteration=3"])
    with pytest.raises(FedsegError, match=r"embedded\.toml: 'training\.iterations' = -3"):
        config.load(EMBEDDED, settings=["training.iterations=-3"])
