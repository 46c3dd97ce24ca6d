"""docs/extending.md, followed step by step."""

import re
import sys
from pathlib import Path

import pytest

from fedseg import registry
from fedseg.config import Federation
from fedseg.files import read_json
from fedseg.run.clients import good_clients
from fedseg.run.folder import open_run
from fedseg.run.progress import silent
from fedseg.workflows.baselines import make_baselines
from fedseg.workflows.server_stages import run_server
from tests.conftest import train_and_upload

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
NAMES = ("night", "maximum", "largest", "printed")
BLOCKS = re.findall(r"```(?:python|text)\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def extended(tmp_path, monkeypatch):
    """The page's files in a package beside fedseg, and its lines in the registries."""
    for block in BLOCKS:
        if not (found := re.match(r"# fedseg/(\S+)\n", block)):
            continue
        module = found[1].removesuffix(".py").replace("/", ".")
        path = tmp_path / "extra" / f"{module.rpartition('.')[2]}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(block)
    monkeypatch.syspath_prepend(tmp_path / "extra")
    registries = (
        registry.GENERATORS,
        registry.FUSION_RULES,
        registry.BASELINES,
        registry.TRACKERS,
    )
    for kind, name in zip(registries, NAMES, strict=True):
        line = next(block for block in BLOCKS if block.startswith(f'"{name}": '))
        target = line.split('"')[3]
        module, _, attribute = target.rpartition(":")
        monkeypatch.setattr(kind, "_entries", dict(kind._entries))
        kind.register(name, f"{module.rpartition('.')[2]}:{attribute}")
    yield
    for name in NAMES:
        sys.modules.pop(name, None)


def test_the_page_shows_a_file_and_a_line_of_each():
    assert len([block for block in BLOCKS if block.startswith("# fedseg/")]) == len(NAMES)
    assert len([block for block in BLOCKS if block.startswith('"')]) == len(NAMES)


def test_one_of_each_is_chosen_by_name(extended, federation_data, tmp_path, capsys):
    federation_data["server"]["augmentation"] = {"generator": "night", "images": 4}
    federation_data["server"]["distillation"] = {"fusion": "maximum", "iterations": 10}
    federation_data["tracking"] = {"trackers": ["printed"]}
    federation = Federation.model_validate(federation_data)
    run = train_and_upload(federation, tmp_path)
    run_server(run, federation, silent)
    assert (run.global_model / "model.safetensors").is_file()
    printed = capsys.readouterr().out
    assert re.search(r"global@1 10 \{'loss': [\d.]+\}\nglobal@1 ended", printed)
    assert re.search(r"scores 10 \{'mIoU/held-out/one'", printed)
    recipes = [read_json(path) for path in run.generated.glob("0*.json")]
    assert not recipes or "from" in str(recipes[0])
    make_baselines(open_run(run.path, federation), federation, silent)
    assert run.baseline("largest").is_dir()
    assert good_clients(run, federation)


@pytest.mark.parametrize(
    ("table", "key", "value", "message"),
    [
        ("augmentation", "generator", "nigth", "no generator 'nigth'; known: diffusion, mix, none"),
        ("distillation", "fusion", "meen", "no fusion 'meen'; did you mean 'mean'"),
    ],
)
def test_a_name_that_is_not_there_is_an_error_that_names_the_nearest(
    federation_data, table, key, value, message
):
    federation_data["server"][table] = {key: value}
    with pytest.raises(ValueError, match=re.escape(message)):
        Federation.model_validate(federation_data)
