"""Mistakes in settings: each says what the key takes and what to write, in words for people."""

import re
import tomllib
from copy import deepcopy
from datetime import date
from pathlib import Path

import pytest
import tomli_w

from fedseg import config
from fedseg.config import Federation, Section, Suite
from fedseg.data.cards import Card
from fedseg.errors import FedsegError
from fedseg.files import EMBEDDED
from fedseg.participants.node import Node
from fedseg.settings import with_settings

PYDANTIC = re.compile(
    r"(?i:input|valid (int|num|str|dict|list|tup|bool)|instance|tuple|dictionary|boolean|parse|"
    r"literal|constrained|function|pydantic|<class|\[key\]|datetime)|True|False|None"
)
"""Words of the library and of Python."""
WRONG = (
    {"nothing": {}},
    [[["x"]]],
    "nothing",
    1.5,
    True,
    -7,
    float("nan"),
    2**70,
    date(2024, 1, 1),
)
"""Values; no key takes all of them, and most take two at most."""
FILES = {
    Federation: with_settings(config.read_toml(EMBEDDED), ["clients.boulevard.privacy.epsilon=8"])
    | {
        "evaluators": [{"name": "clinic", "dataset": "camvid"}],
        "tracking": {"trackers": []},
        "classes": {"names": ["road", "sky"]},
    },
    Suite: {"evaluation": [{"name": "night", "dataset": "camvid"}]},
    Node: {"name": "metro", "role": "trainer", "dataset": "camvid", "privacy": {"epsilon": 8.0}},
    Card: {
        "name": "x",
        "title": "x",
        "kind": "real",
        "images": "*.png",
        "labels": "*.png",
        "splits": {"all": {}},
        "faults": [{"image": "a.png", "reason": "black"}],
        "classes": [{"name": "road", "ids": [1]}],
    },
}


def keys_of(kind: type[Section], path: tuple = ()) -> list[tuple]:
    """The path of every key of a model, through one table of each list and each dictionary."""
    found = []
    for name, field in kind.model_fields.items():
        if field.exclude:  # no key of a file
            continue
        found.append((*path, name))
        for inner, step in _tables(field.annotation):
            found += keys_of(inner, (*path, name, *step))
    return found


def _tables(annotation) -> list[tuple[type[Section], tuple]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [(annotation, ())]
    arguments = getattr(annotation, "__args__", ())
    step = {list: (0,), tuple: (0,), dict: ("all",)}.get(
        getattr(annotation, "__origin__", None), ()
    )
    kinds = [one for one in arguments if isinstance(one, type) and issubclass(one, Section)]
    return [(one, step) for one in kinds]


KEYS = [(kind, path) for kind in FILES for path in keys_of(kind)]


def with_value(data: dict, path: tuple, value) -> dict:
    """The content of a file with another value for a key; its list of classes is a table here."""
    data = table = deepcopy(data)
    for part in path[:-1]:
        table = table[part] if isinstance(table, list) else table.setdefault(part, {})
    table[path[-1]] = value
    return data


def message(kind: type[Section], data: dict, *settings: str) -> str:
    try:
        config.parse(kind, data, Path("a.toml"), settings)
    except FedsegError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("kind", "path"),
    KEYS,
    ids=lambda one: getattr(one, "__name__", None) or ".".join(map(str, one)),
)
def test_every_key_says_what_it_takes(kind, path):
    refused = 0
    for value in WRONG:
        said = message(kind, with_value(FILES[kind], path, value))
        refused += bool(said)
        if not said:
            continue
        assert "\n" not in said
        assert not PYDANTIC.search(said), (value, said)
        assert path[-1] in said, (value, said)
        for written in re.findall(r"(?:; write|, as in) ([a-z_]+ = .*?)(?=; '|$)", said):
            given = tomllib.loads(written)
            assert message(kind, with_value(FILES[kind], path, given[path[-1]])) == "", said
    assert refused >= 5


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("training=10", "training.iterations=10"),
        ("training=bfloat16", "training.precision=bfloat16"),
        ("training.crop=96,128", "training.crop=[96,128]"),
        ("training.crop=96x128", "training.crop=[96,128]"),
        ("training.crop=(96, 128)", "training.crop=[96,128]"),
        ("training.crop=96", "training.crop=[96,96]"),
        ("training.crop=big", "training.crop=[192,256]"),
        ("training.scale=0.5 1", "training.scale=[0.5,1]"),
        ("training.iterations=many", "training.iterations=2000"),
        ("training.iterations=[10]", "training.iterations=10"),
        ("training.iterations=", "training.iterations=2000"),
        ("training.learning_rate=1e999", "training.learning_rate=0.001"),
        ("protocol.flip=yes", "protocol.flip=true"),
        ("protocol.flip=0", "protocol.flip=false"),
        ("model.train=decodr", "model.train=decoder"),
        ("model.arch=", "model.arch=fpn"),
        ("model=unet", "model.arch=unet"),
        ("evaluation.0.protocol=5", "evaluation.harbour.protocol.height=model"),
        ("evaluation.harbour.protocol=64", "evaluation.harbour.protocol.height=64"),
        ("server=crosstown", "server.dataset=crosstown"),
        ("server.augmentation=mix", "server.augmentation.generator=mix"),
        ("clients.suburb.privacy=8", "clients.suburb.privacy.epsilon=8"),
        ("clients.suburb.dataset=", "clients.suburb.dataset=VALUE"),
        ("clients=3", "clients.NAME.KEY=VALUE"),
        ("tracking.trackers=wandb", """'tracking.trackers=["wandb"]'"""),
        ("tracking.trackers=mlflow, wandb", """'tracking.trackers=["mlflow","wandb"]'"""),
        ("classes=road,sky", """'classes=["road","sky"]'"""),
        ("clients.suburb.root=5", """'clients.suburb.root="5"'"""),
    ],
)
def test_a_setting_of_the_wrong_type_says_what_to_write(setting, hint):
    data = config.read_toml(EMBEDDED)
    said = message(Federation, data, setting)
    assert said.endswith((f"; write --set {hint}", f", as in --set {hint}")), said
    key, _, value = hint.strip("'").partition("=")
    if value != "VALUE":  # and that is right
        content = with_settings(data, [f"{key}={value}"])
        assert key.rpartition(".")[2] not in message(Federation, content)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"training": 10}, "write training.iterations = 10"),
        ({"training": [{"iterations": 10}]}, "write [training]"),
        ({"training": {"crop": "96x128"}}, "write crop = [96, 128]"),
        ({"clients": {"name": "a"}}, "write [[clients]]"),
        ({"clients": []}, "'clients' is empty; add at least one [[clients]] table"),
        ({"clients": [1]}, "'clients.0' = 1: expected a table with keys such as dataset"),
        ({"model": {"norm": "group"}}, "unknown key 'model.norm'"),
        ({"model": {"lora_targets": ["qkv"]}}, "unknown key 'model.lora_targets'; known: arch, "),
        ({"model": {"decoder": {"Foo": 1}}}, "'model.decoder.Foo': use small letters and '_' only"),
        ({"model": {"arch": "a" * 10**5}}, "'model.arch' is a text of more than 10000 characters"),
        ({"seed": 2**20000}, "'seed' = a number of 20001 bits: expected a whole number"),
    ],
    ids=lambda one: one[:30] if isinstance(one, str) else None,
)
def test_a_mistake_in_a_file_says_what_to_write(change, said):
    assert said in message(Federation, config.read_toml(EMBEDDED) | change)


@pytest.mark.parametrize("from_file", [False, True])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("clients.suburb.training.iteration=10", "unknown key 'clients.suburb.training.iteration'"),
        ("clients.1.training.iterations=x", "'clients.suburb.training.iterations' = 'x'"),
        ("evaluation.harbour.protocol.windo=1", "unknown key 'evaluation.harbour.protocol.windo'"),
        ("evaluators.clinic.protocol.window=9", "'evaluators.clinic.protocol.window' = 9"),
        ("clients.suburb.privacy.epsilon=-1", "'clients.suburb.privacy.epsilon' = -1"),
        ("clients.suburb.privacy.delta=0.1", "'clients.suburb.privacy.epsilon' is missing"),
    ],
)
def test_tables_of_a_list_are_named(setting, said, from_file):
    data = FILES[Federation]
    if from_file:
        data, settings = with_settings(data, [setting]), []
    else:
        settings = [setting]
    assert said in message(Federation, data, *settings)


def test_a_mistake_is_told_once_and_each_of_several(federation_data):
    federation_data["protocol"] = {"height": 5}
    federation_data["training"] = {"crop": 5}
    federation_data["clients"][0]["training"] = {"iterations": "a"}
    federation_data["clients"][1]["training"] = {"iterations": "b"}
    said = message(Federation, federation_data)
    wrong = re.findall(r"'([\w.-]+)' = ", said)
    assert wrong == [
        "training.crop",
        "clients.one.training.iterations",
        "clients.two.training.iterations",
        "protocol.height",
    ]


def test_a_thousand_mistakes_are_not_all_told(federation_data):
    said = message(Federation, federation_data | {f"key{n}": n for n in range(1000)})
    assert said.count("unknown key") == 10


def test_files_read_back_as_hints_write_them(tmp_path, federation_data):
    """What an error writes for a file is right there, in the table that has the mistake."""
    federation_data["clients"][0]["training"] = {"crop": "96,128"}
    [hint] = re.findall(r"; write (.*)$", message(Federation, federation_data))
    federation_data["clients"][0]["training"] = tomllib.loads(hint)
    path = tmp_path / "a.toml"
    path.write_text(tomli_w.dumps(federation_data))
    assert config.load(path).clients[0].training.crop == (96, 128)
