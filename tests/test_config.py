import os
import time
from pathlib import Path

import pytest
import tomli_w

from fedseg import config
from fedseg.data.cards import Card
from fedseg.errors import FedsegError
from fedseg.files import EMBEDDED
from fedseg.models.encoder_weights import shipped_weights
from fedseg.participants.node import Node


@pytest.fixture
def load(tmp_path):
    def load(data):
        path = tmp_path / "federation.toml"
        path.write_text(tomli_w.dumps(data))
        return config.load(path)

    return load


def test_defaults_are_handed_down_and_overridden(load, federation_data):
    federation_data["clients"][1]["training"] = {"iterations": 7}
    federation_data["clients"][1]["model"] = {"arch": "unet"}
    federation = load(federation_data)
    one, two = federation.clients
    assert (one.training.iterations, two.training.iterations) == (3, 7)
    assert two.training.batch_size == 2
    assert (two.model.arch, two.model.encoder) == ("unet", "tu-lcnet_050")
    assert federation.server.distillation.training.crop == (32, 64)


def test_dump_reads_back_equal(load, federation_data, tmp_path):
    federation = load(federation_data)
    path = tmp_path / "again" / "config.toml"
    path.parent.mkdir()
    path.write_text(config.dump(federation))
    assert config.load(path) == federation


def test_relative_paths_are_relative_to_the_file(load, federation_data, tmp_path):
    federation_data["clients"][0]["root"] = "data/../one"
    federation_data["clients"][0]["dataset"] = "cards/mine.toml"
    federation_data["model"] = {"encoder_weights": "weights.safetensors"}
    federation_data["server"]["augmentation"] = {"options": {"model": "./checkpoint"}}
    federation = load(federation_data)
    assert federation.clients[0].root == tmp_path / "one"
    assert federation.clients[0].dataset == str(tmp_path / "cards" / "mine.toml")
    assert federation.model.encoder_weights == str(tmp_path / "weights.safetensors")
    assert federation.server.augmentation.options["model"] == str(tmp_path / "checkpoint")
    options = {"model": "owner/checkpoint"}  # a name on the hub
    federation_data["server"]["augmentation"] = {"options": options}
    assert load(federation_data).server.augmentation.options == options


def test_the_embedded_default_is_valid():
    federation = config.load(EMBEDDED)
    assert len(federation.clients) == 3
    assert shipped_weights(federation.model.encoder)  # it runs without a network


def _duplicate_name(data):
    data["clients"][1]["name"] = "one"


def _misspelt(data):
    data["clients"][0]["training"] = {"iteratons": 5}


def _missing_server(data):
    del data["server"]


def _too_few(data):
    data["min_clients"] = 3


def _bad_type(data):
    data["training"]["iterations"] = "many"


def _bad_name(data):
    data["clients"][0]["name"] = "../one"


def _bad_scale(data):
    data["training"]["scale"] = [0.9, 0.5]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_duplicate_name, "the name 'one' is given twice"),
        (_misspelt, "'clients.one.training.iteratons'; did you mean 'iterations'?"),
        (_missing_server, "'server' is missing"),
        (_too_few, "min_clients: 3"),
        (_bad_type, "'training.iterations' = 'many'"),
        (_bad_name, "'../one'"),
        (_bad_scale, "the first number must not exceed the second"),
    ],
)
def test_a_mistake_is_named_in_one_line(load, federation_data, spoil, expected):
    spoil(federation_data)
    with pytest.raises(FedsegError) as caught:
        load(federation_data)
    assert expected in str(caught.value)
    assert "federation.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_toml(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("seed = ")
    with pytest.raises(FedsegError, match="not valid TOML"):
        config.load(path)
    with pytest.raises(FedsegError, match="no such file"):
        config.load(Path("nowhere.toml"))


def test_protocols_are_handed_down_to_sets_and_evaluators(load, federation_data):
    federation_data["protocol"] = {"window": (32, 64), "height": 64}
    federation_data["evaluation"][0]["protocol"] = {"height": "original"}
    federation_data["evaluators"] = [{"dataset": "camvid"}]
    federation = load(federation_data)
    assert federation.evaluation[0].protocol == config.Protocol(window=(32, 64), height="original")
    assert federation.evaluators[0].name == "camvid"
    assert federation.evaluators[0].protocol == config.Protocol(window=(32, 64), height=64)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"protocol": {"window": [16, 128]}},
            "window' = \\[16, 128\\]: expected a list of 2 whole numbers from 32 to 8192",
        ),
        ({"protocol": {"heigth": 64}}, "unknown key 'protocol.heigth'; did you mean 'height'"),
        ({"evaluators": [{"name": "one", "dataset": "folder"}]}, "the name 'one' is given twice"),
        ({"evaluators": [{"dataset": "folder", "rot": "."}]}, "did you mean 'root'"),
    ],
)
def test_mistakes_in_protocols_and_evaluators(load, federation_data, change, expected):
    with pytest.raises(FedsegError, match=expected):
        load(federation_data | change)


def test_a_suite_is_read_like_a_federation(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text(tomli_w.dumps({"evaluation": [{"dataset": "folder", "root": "city"}]}))
    suite = config.load(path, config.Suite)
    assert suite.evaluation[0].root == tmp_path / "city"
    path.write_text(tomli_w.dumps({"evaluation": [{"dataset": "folder"}] * 2}))
    with pytest.raises(FedsegError, match="the name 'folder' is given twice"):
        config.load(path, config.Suite)


def test_a_key_misspelt_in_a_list_of_tables_is_explained():
    with pytest.raises(FedsegError, match=r"classes.*did you mean 'members'"):
        config.parse(
            Card,
            {
                "name": "x", "title": "x", "kind": "real", "images": "*", "labels": "*",
                "splits": {"all": {}}, "classes": [{"name": "a", "ids": [1], "membrs": ["road"]}],
            },
            Path("x.toml"),
        )  # fmt: skip


def test_files_as_editors_write_them(tmp_path, federation_data):
    text = tomli_w.dumps(federation_data)
    plain, windows = tmp_path / "plain.toml", tmp_path / "windows.toml"
    plain.write_text(text)
    windows.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert config.load(windows) == config.load(plain)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("seed = 1".encode("utf-16"), "cannot be read as UTF-8 text"),
        (b"name = 'caf\xe9'", "cannot be read as UTF-8 text"),
        (b"seed = 1\0", "not valid TOML"),
        (b"\xef\xbb\xbf\xef\xbb\xbfseed = 1", "not valid TOML"),  # of two marks one is content
        (b"seed = " + b"1" * 5000, "not valid TOML: it holds a number of thousands of digits"),
        (b"seed = 0x" + b"f" * 5000, "'seed' = a number of 20000 bits: expected a whole number"),
        (b"seed = 1e999", "'seed' = inf: expected a whole number"),
        (b"client_timeout = 1e999", "'client_timeout' = inf: expected a number above 0"),
        (b"client_timeout = nan", "'client_timeout' = nan: expected a number above 0"),
        (b'server.root = "a\\u0000b"', r"server\.root: holds a NUL"),
        *((b"seed = " + b"[" * depth + b"]" * depth, "") for depth in range(200, 500, 20)),
        *((b"a" + b".a" * depth + b" = 1", "") for depth in range(20, 500, 20)),
        (b"a = " + b"[" * 100_000, "not valid TOML: it is nested too deeply"),
        (b"a = " + b"{a = " * 100_000, "not valid TOML: it is nested too deeply"),
        (b"a" + b" . 'b'" * 100_000 + b" = 1", "not valid TOML: it is nested too deeply"),
    ],
    ids=lambda one: repr(one[:20]),
)
def test_files_that_are_no_toml(tmp_path, content, why):
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    for kind in (config.Federation, config.Suite, Card, Node):
        with pytest.raises(FedsegError, match=r"a\.toml: ") as caught:
            config.load(path, kind)
        assert "\n" not in str(caught.value)
        if kind is config.Federation or "TOML" in why or "UTF" in why:
            caught.match(why)


@pytest.mark.parametrize("text", ["a" * 10**6, "a" + " " * 10**6 + "!", "a . " * 99 + "! " * 10**5])
def test_a_long_text_is_read_in_bearable_time(text):
    """Words are not tried again from each of their letters: 40 000 took 45 s."""
    started = time.monotonic()
    assert config.parse_toml(f"x = '{text}'", Path("a.toml")) == {"x": text}
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("root", ["~nobody-of-this-name/data", "loop"])
def test_a_path_that_cannot_be_followed_is_named(load, federation_data, tmp_path, root):
    (tmp_path / "loop").symlink_to("loop")
    federation_data["server"]["root"] = root
    with pytest.raises(FedsegError, match=rf"federation\.toml: root = '{root}': "):
        load(federation_data)


def test_a_folder_in_place_of_a_file_names_the_files_in_it(tmp_path):
    for name in ("config.toml", "result.json"):
        (tmp_path / name).touch()
    with pytest.raises(FedsegError, match=rf"is no file; did you mean '{tmp_path}/config\.toml'\?"):
        config.load(tmp_path)


def test_no_file_hangs(tmp_path):
    os.mkfifo(tmp_path / "a.toml")
    for path in (tmp_path / "a.toml", tmp_path, Path("/dev/zero")):
        with pytest.raises(FedsegError, match="is no file"):
            config.load(path)
