"""docs/extending.md and examples/plugins: code outside of the package, by "module:object"."""

import math
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fedseg import config
from fedseg.config import Federation
from fedseg.errors import FedsegError
from fedseg.files import read_json
from fedseg.method.baselines import make_baselines
from fedseg.method.context import open_context
from fedseg.method.pipeline import distillation_inputs
from fedseg.method.scoring import score_models
from fedseg.plugins import located, source_hash
from fedseg.registry import BASELINES, FUSION_RULES, GENERATORS, LOSSES, TRACKERS, TRAINERS
from fedseg.run.folder import open_run
from fedseg.run.progress import silent
from fedseg.run.result import scores
from fedseg.training.losses import check_loss
from fedseg.workflows.server import run_server
from tests.conftest import train_and_upload

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "extending.md").read_text()
PLUGINS = REPOSITORY / "examples" / "plugins"


def plugin(name):
    return located(name, [PLUGINS])


def test_the_page_shows_the_examples_as_they_are():
    shown = dict(
        re.findall(r"```python\n# examples/plugins/(\S+)\n(.*?)```", PAGE, flags=re.DOTALL)
    )
    files = {path.name: path.read_text() for path in PLUGINS.glob("*.py")}
    assert shown == files
    assert all(len(text.splitlines()) <= 40 for text in files.values())


def test_one_of_each_makes_a_federation(federation_data, tmp_path, capsys):
    federation_data["server"]["augmentation"] = {
        "generator": plugin("night:Night"),
        "images": 4,
    }
    federation_data["server"]["distillation"] = {
        "fusion": plugin("maximum:write_targets"),
        "training": {"iterations": 10},
    }
    federation_data["training"]["loss"] = plugin("focal:focal_loss")
    for client in federation_data["clients"]:
        client["trainer"] = plugin("fedprox:train")
    federation_data["tracking"] = {"trackers": [plugin("printed:Printed")]}
    federation = Federation.model_validate(federation_data)
    run = train_and_upload(federation, tmp_path)
    run_server(run, federation, silent)
    assert (run.global_model / "model.safetensors").is_file()
    printed = capsys.readouterr().out
    assert re.search(r"global 10 \{'loss': [\d.]+\}\nglobal ended", printed)
    recipes = [read_json(path) for path in run.generated.glob("0*.json")]
    assert not recipes or "from" in str(recipes[0])
    context = open_context(run, federation, silent)
    make_baselines(context, [plugin("largest:make")])
    score_models(context)
    assert "held-out" in scores(run, federation)["largest"]


def write(folder, name, text):
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def test_a_name_in_a_file_becomes_the_path_of_the_module_beside_it(tmp_path, monkeypatch):
    shutil.copy(REPOSITORY / "examples" / "embedded.toml", tmp_path / "own.toml")
    write(tmp_path, "beside_the_file", "def rule(task): ...\n")
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere", "in_the_folder", "def rule(task): ...\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name, folder in (("beside_the_file", tmp_path), ("in_the_folder", tmp_path / "elsewhere")):
        setting = f"server.distillation.fusion={name}:rule"
        federation = config.load(tmp_path / "own.toml", settings=[setting])
        fusion = federation.server.distillation.fusion
        assert fusion == f"{folder / name}.py:rule"
        (tmp_path / "run.toml").write_text(config.dump(federation))
        assert config.load(tmp_path / "run.toml") == federation
        assert FUSION_RULES.load(fusion).__name__ == "rule"


def test_a_plugins_source_is_an_input_of_what_it_makes(federation_data, tmp_path, trained):
    path = write(tmp_path, "input_rule", "def rule(task): ...\n")
    federation_data["server"]["distillation"] = {"fusion": f"{path}:rule"}
    federation = Federation.model_validate(federation_data)
    run = open_run(tmp_path / "run", federation)
    shutil.copytree(trained, run.clients, dirs_exist_ok=True)
    context = open_context(run, federation, silent)
    before = distillation_inputs(context, context.clients)
    assert distillation_inputs(context, context.clients) == before
    write(tmp_path, "input_rule", "def rule(task): pass\n")
    after = distillation_inputs(context, context.clients)
    assert {key for key in after if after[key] != before[key]} == {"plugins"}


def test_all_files_of_a_package_are_its_source(tmp_path):
    package = tmp_path / "own_rules"
    package.mkdir()
    write(package, "__init__", "")
    write(package, "helper", "VALUE = 1\n")
    write(package, "rule", "from own_rules.helper import VALUE\n\ndef rule(task): return VALUE\n")
    reference = located("own_rules.rule:rule", [tmp_path])
    assert reference == f"{package / 'rule.py'}:rule"
    assert FUSION_RULES.load(reference)(None) == 1
    before = source_hash(reference)
    write(package, "helper", "VALUE = 2\n")
    assert source_hash(reference) != before


MISTAKES = [
    (FUSION_RULES, "no_such_module:rule", "importing it failed: ModuleNotFoundError: No module"),
    (FUSION_RULES, "wrong:missing", "the module has no 'missing'"),
    (FUSION_RULES, "wrong:two", "takes (one, two); expected fusion(task)"),
    (FUSION_RULES, "wrong:NUMBER", "is a int; expected fusion(task)"),
    (FUSION_RULES, "syntax:rule", "importing it failed: SyntaxError"),
    (FUSION_RULES, "division:rule", "ZeroDivisionError: division by zero (division.py, line 1)"),
    (GENERATORS, "wrong:Empty", "takes (); expected generator(settings, images, teachers)"),
    (TRACKERS, "wrong:Silent", "has no method 'log'"),
    (LOSSES, "wrong:two", "takes (one, two); expected loss(logits, labels, weights)"),
    (TRAINERS, "wrong:two", "takes (one, two); expected trainer(task)"),
    (BASELINES, "wrong:two", "expected baseline(context)"),
]


@pytest.mark.parametrize(("registry", "name", "message"), MISTAKES)
def test_a_mistake_is_one_line_that_names_the_plugin(registry, name, message, tmp_path):
    write(
        tmp_path,
        "wrong",
        "NUMBER = 3\n\ndef two(one, two): ...\n\nclass Empty:\n    ...\n\n"
        "class Silent:\n    def __init__(self, folder, run, name): ...\n",
    )
    write(tmp_path, "syntax", "def rule(task:\n")
    write(tmp_path, "division", "1 / 0\n")
    with pytest.raises(FedsegError) as caught:
        registry.load(located(name, [tmp_path]))
    assert message in str(caught.value)
    assert f"{registry.kind} '" in str(caught.value)
    assert name in str(caught.value).replace(f"{tmp_path}/", "").replace(".py:", ":")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return logits", "returned [2, 19, 4, 4]; expected a scalar tensor"),
        ("return 3.0", "returned float; expected a scalar tensor"),
        ("return torch.tensor(1.0)", "gave 1 without a gradient"),
        ("return logits.sum() / (labels != 255).sum()", "random pixels without labels"),
        ("return logits[7].sum()", "failed: IndexError: index 7"),
    ],
)
def test_a_loss_is_tried_before_training(body, message, tmp_path):
    path = tmp_path / "own_loss.py"
    path.write_text(f"import torch\n\ndef loss(logits, labels, weights):\n    {body}\n")
    with pytest.raises(FedsegError, match=re.escape(message)):
        check_loss(f"{path}:loss", 19)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", "wrote no target of image 0"),
        ("task.write(0, task.predictions(0)[0][1:])", "expected uint8 ["),
        ("task.write(0, task.predictions(0)[0] / 255)", "the target is float64"),
        ("task.write(0, None)", "the target is NoneType"),
        ("task.teachers['nobody']", "failed: KeyError: 'nobody' (own_rule.py, line 2)"),
    ],
)
def test_a_fusion_rule_that_writes_nonsense_is_named(
    body, message, federation_data, tmp_path, trained
):
    path = tmp_path / "own_rule.py"
    path.write_text(f"def rule(task):\n    {body}\n")
    federation_data["server"]["distillation"] = {"fusion": f"{path}:rule"}
    federation = Federation.model_validate(federation_data)
    run = open_run(tmp_path / "run", federation)
    shutil.copytree(trained, run.clients, dirs_exist_ok=True)
    with pytest.raises(FedsegError, match=re.escape(message)) as caught:
        run_server(run, federation, silent)
    assert "own_rule.py:rule" in str(caught.value)


@pytest.fixture
def trained(federation_data, tmp_path_factory):
    """The clients' folder of a federation."""
    federation = Federation.model_validate(federation_data)
    return train_and_upload(federation, tmp_path_factory.mktemp("trained")).clients


def test_fedprox_adds_the_distance_from_the_first_weights():
    module = module_of(plugin("fedprox:train"))
    network = torch.nn.Linear(2, 1)
    task = SimpleNamespace(network=network, loss=lambda logits, labels: logits.sum())
    loss = module.ProximalLoss(task)
    with torch.no_grad():
        network.weight += 3.0  # two weights move by 3, and one bias by 1: 9 + 9 + 1 = 19
        network.bias -= 1.0
    value = loss(torch.tensor([5.0]), None)
    assert value.item() == pytest.approx(5 + 0.01 / 2 * 19)
    value.backward()  # mu (w - w0)
    assert network.weight.grad.tolist() == [[pytest.approx(0.03), pytest.approx(0.03)]]


def module_of(name):
    return sys.modules[TRAINERS.load(name).__module__]


def test_a_file_that_changed_is_imported_anew(tmp_path):
    for value in (1, 2):
        path = write(tmp_path, "changing", f"def rule(task): return {value}\n")
        assert FUSION_RULES.load(f"{path}:rule")(None) == value
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other", "changing", "def rule(task): return 3\n")
    assert FUSION_RULES.load(f"{other}:rule")(None) == 3
    assert FUSION_RULES.load(f"{path}:rule")(None) == 2


def test_a_file_named_like_an_installed_module_is_refused(tmp_path):
    path = write(tmp_path, "calendar", "def rule(task): ...\n")
    with pytest.raises(
        FedsegError, match=r"another module is called 'calendar' .*; rename the file"
    ):
        FUSION_RULES.load(f"{path}:rule")


def test_the_focal_loss_by_hand():
    p = torch.tensor([[[[0.9, 0.6, 0.3]], [[0.1, 0.4, 0.7]]]])
    labels = torch.tensor([[[0, 1, 255]]], dtype=torch.uint8)
    value = LOSSES.load(plugin("focal:focal_loss"))(p.log(), labels, torch.tensor([0.5, 2.0]))
    wanted = (0.5 * 0.1**2 * -math.log(0.9) + 2.0 * 0.6**2 * -math.log(0.4)) / 2
    assert value.item() == pytest.approx(wanted, rel=1e-5)


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
