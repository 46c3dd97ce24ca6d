"""docs/extending.md and examples/plugins: code outside of the package, by "module:object"."""

import json
import math
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from fedseg import config
from fedseg.config import Federation, Model, Source, Training
from fedseg.data.check import check
from fedseg.data.dataset import check_source, open_dataset
from fedseg.data.own_datasets import source_card
from fedseg.errors import FedsegError, PublicError
from fedseg.files import read_json
from fedseg.method.baselines import make_baselines
from fedseg.method.context import open_context
from fedseg.method.pipeline import distillation_inputs
from fedseg.method.scoring import score_models
from fedseg.models import checkpoints
from fedseg.models.build import build, check_size, model_inputs, model_stride, seeded_build
from fedseg.models.info import load_info, trust_model
from fedseg.participants.answers import score_answer
from fedseg.participants.node import Node, ScoreTask, train_task
from fedseg.participants.uploads import check_architecture, store_upload
from fedseg.planning import preflight
from fedseg.planning.sources import current_sources
from fedseg.plugins import locate_reference, source_hash
from fedseg.registry import (
    BASELINES,
    DATASETS,
    FUSION_RULES,
    GENERATORS,
    LOSSES,
    MODELS,
    TRACKERS,
    TRAINERS,
)
from fedseg.run.folder import open_run
from fedseg.run.progress import silent
from fedseg.run.result import scores
from fedseg.run.uploads import read_accepted
from fedseg.training.losses import check_loss
from fedseg.workflows.server import run_server
from tests.conftest import paint, train_and_upload

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "extending.md").read_text()
PLUGINS = REPOSITORY / "examples" / "plugins"
TRAINING = Training(crop=(32, 64))


def plugin(name):
    return locate_reference(name, [PLUGINS])


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
    federation_data["model"] = {"arch": plugin("lraspp:build"), "encoder_weights": "none"}
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
    assert load_info(run.global_model).arch == "lraspp:build"


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
    reference = locate_reference("own_rules.rule:rule", [tmp_path])
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
    (MODELS, "wrong:NUMBER", "is a int; expected model(spec, classes)"),
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
        registry.load(locate_reference(name, [tmp_path]))
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


OWN_MODEL = """from torch import nn

class Own(nn.Module):
    stride = 8

    def __init__(self, classes):
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 1)
        self.segmentation_head = nn.Conv2d(4, classes, 1)

    def forward(self, images):
        return self.segmentation_head(self.encoder(images))

def build(spec, classes):
    return Own(classes)
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return Own(classes)", "return 3", "returned int; expected a torch.nn.Module"),
        ("return Own(classes)", "return nn.ReLU()", "has no parameters"),
        ("return Own(classes)", "return Own(4)", "is [2, 4, 64, 64]; expected [2, 19, 64, 64]"),
        ("return self.seg", "return {}, self.seg", "its output is tuple; expected [2, 19, 64, 64]"),
        ("(self.encoder(images))", "(self.encoder(images))[..., 1:]", "its output is 64x63"),
        ("return Own(classes)", "return Own(spec.wide)", "has no attribute 'wide' (own_model.py"),
        ("forward(self, images):", "forward(self, images):\n        images.sum().item()", "item"),
        ("stride = 8", "stride = 7", "stride is 7; expected one of 4, 8, 16,"),
    ],
)
def test_a_model_is_tried_before_training(old, new, message, tmp_path):
    path = write(tmp_path, "own_model", OWN_MODEL.replace(old, new))
    model = Model(arch=f"{path}:build", encoder_weights="none")
    with pytest.raises(FedsegError, match=re.escape(message)) as caught:
        check_size(model, (8 * model_stride(model), 64), 2)
    assert "own_model.py:build" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_models_attributes_are_what_fedseg_uses(federation_data, tmp_path):
    path = write(tmp_path, "own_attributes", OWN_MODEL)
    federation_data["model"] = {
        "arch": f"{path}:build",
        "encoder_weights": "none",
        "train": "decoder",
    }
    federation_data["server"]["distillation"] = {"fusion": "features"}
    federation = Federation.model_validate(federation_data)
    run = train_and_upload(federation, tmp_path)
    run_server(run, federation, silent)
    info = load_info(run.global_model)
    assert (info.arch, info.stride) == ("own_attributes:build", 8)
    network = checkpoints.load(run.global_model)[0]
    untrained = seeded_build(federation.model, 0)
    assert torch.equal(network.encoder.weight, untrained.encoder.weight)
    assert not torch.equal(network.segmentation_head.weight, untrained.segmentation_head.weight)


def test_a_checkpoint_imports_no_code(tmp_path, monkeypatch):
    path = write(tmp_path, "marked", f"open({str(tmp_path / 'imported')!r}, 'w')\n" + OWN_MODEL)
    kind = Model(arch=f"{path}:build", encoder_weights="none")
    checkpoints.save(tmp_path / "theirs", build(kind), checkpoints.describe_model(kind, TRAINING))
    (tmp_path / "imported").unlink()
    sys.modules.pop("marked")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FedsegError, match=r"not imported for that; .* --plugin marked:build"):
        checkpoints.load(tmp_path / "theirs")
    assert not (tmp_path / "imported").exists()
    assert "marked" not in sys.modules
    trust_model("marked:build")
    assert checkpoints.load(tmp_path / "theirs")[1].arch == "marked:build"


@pytest.fixture
def upload(federation_data, tmp_path):
    """One of a client whose model is a plugin, with its weights, and the federation."""
    path = write(tmp_path, "asked_model", OWN_MODEL)
    federation_data["clients"][0]["model"] = {
        "arch": f"{path}:build",
        "encoder": "",
        "encoder_weights": "none",
    }
    federation = Federation.model_validate(federation_data)
    run = train_and_upload(federation, tmp_path)
    weights, _ = checkpoints.load(run.clients / "one")
    return read_accepted(run.clients / "one"), weights.state_dict(), federation


@pytest.mark.parametrize("arch", ["os:system", "unasked_model:build", "/unasked_model.py:build"])
def test_an_upload_imports_nothing_that_the_server_has_not_named(arch, upload, tmp_path):
    write(tmp_path, "unasked_model", "raise SystemExit\n")
    given, weights, federation = upload
    client = federation.clients[0]
    check_architecture(given, [client.model, federation.model])
    other = federation.clients[1]
    with pytest.raises(FedsegError, match="'asked_model:build', is not built in"):
        check_architecture(given, [other.model, federation.model])
    hostile = given.model_copy(update={"info": given.info.model_copy(update={"arch": arch})})
    with pytest.raises(FedsegError, match=f"its architecture, '{arch}', is not built in, and not"):
        check_architecture(hostile, [client.model, federation.model])
    with pytest.raises(FedsegError, match=f"'{arch}' is code that a checkpoint names, and is not"):
        store_upload(open_run(tmp_path / "other", federation), hostile, weights)
    assert not {"unasked_model"} & sys.modules.keys()


def test_a_node_runs_the_models_that_its_owner_lists(upload, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where its state is kept
    given, weights, federation = upload
    task = train_task(federation.clients[0], federation.seed, 60.0)
    settings = {"name": "one", "role": "trainer", "server": "host:1", "dataset": "folder"}
    settings["cross_site_evaluation"] = True
    node = Node.model_validate(settings)
    with pytest.raises(PublicError, match="runs no model 'asked_model:build': its owner has not"):
        node.client(task)
    score = ScoreTask(protocol={}, timeout=1)
    for arch in ("asked_model:build", "os:system"):
        info = given.info.model_copy(update={"arch": arch}).model_dump_json()
        with pytest.raises(PublicError, match=f"runs no model '{arch}': its owner has not"):
            score_answer(node, score, True, info, weights, 1, silent)
    own = write(tmp_path, "asked_model", OWN_MODEL)
    node = Node.model_validate(settings | {"plugins": [f"{own}:build"]})
    assert node.client(task).model.arch == f"{own}:build"
    unlisted = Node.model_validate(settings | {"model": {"arch": "own_choice:build"}})
    assert unlisted.client(task).model.arch == "own_choice:build"  # the owner wrote it


def test_a_models_source_is_an_input_of_its_scores_and_checkpoints(tmp_path):
    path = write(tmp_path, "scored_model", OWN_MODEL)
    model = Model(arch=f"{path}:build", encoder_weights="none")
    MODELS.trust(model.arch)
    info = checkpoints.describe_model(model, TRAINING)
    before = model_inputs(model), info.inputs
    assert (model_inputs(model), info.inputs) == before
    write(tmp_path, "scored_model", OWN_MODEL + "# changed\n")
    assert model_inputs(model) != before[0]
    assert info.inputs != before[1]


def write_pairs(folder, seed, count=4):
    """Photos with masks of the classes of examples/plugins/pairs.py."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for index in range(count):
        image, label = paint(rng, [0, 1, 2, 3, 5])
        Image.fromarray(image).save(folder / f"{index}.jpg", quality=95)
        Image.fromarray(label).save(folder / f"{index}_mask.png")
    return {"dataset": plugin("pairs:Pairs"), "root": str(folder)}


def test_a_dataset_in_python_takes_every_part(federation_data, tmp_path):
    federation_data["clients"][0] |= write_pairs(tmp_path / "client", 1)
    federation_data["server"] |= write_pairs(tmp_path / "unlabelled", 2)
    for path in (tmp_path / "unlabelled").glob("*_mask.png"):
        path.unlink()  # the server's labels are never asked for
    federation_data["evaluation"] = [write_pairs(tmp_path / "scored", 3)]
    federation = Federation.model_validate(federation_data)
    assert not list(preflight.find_problems(federation, silent))
    run = train_and_upload(federation, tmp_path)
    run_server(run, federation, silent)
    score_models(open_context(run, federation, silent))
    upload = read_accepted(run.clients / "one")
    assert (upload.dataset, upload.images) == ("pairs:Pairs", 4)
    seen = [federation.classes.names[train_id] for train_id in upload.info.coverage]
    assert seen == ["road", "building", "vegetation", "sky", "car"]
    score = scores(run, federation)["global"]["pairs"]
    assert (score.dataset, score.split, score.images) == ("pairs:Pairs", "all", 4)
    known = current_sources(federation)
    assert current_sources(federation) == known
    write_pairs(tmp_path / "more", 9, 5)
    shutil.copytree(tmp_path / "more", tmp_path / "client", dirs_exist_ok=True)
    now = current_sources(federation)
    assert {name for name in now if now[name] != known[name]} == {"client 'one'"}


def test_a_dataset_in_python_is_read_as_it_is(tmp_path):
    source = Source(**write_pairs(tmp_path / "pairs", 1), split="mine")
    dataset = open_dataset(source)
    own = DATASETS.load(source.dataset)(source)
    assert (dataset.card.name, dataset.split, len(dataset)) == ("pairs:Pairs", "mine", len(own))
    for index in range(len(own)):
        assert (dataset.image(index) == own.image(index)).all()
        assert (dataset.label(index) == own.label(index)).all()
    assert open_dataset(source, labelled=False).labels is None
    (tmp_path / "pairs" / "3.jpg").unlink()
    assert len(open_dataset(source)) == 3
    assert not check(dataset.card, dataset.images[0].parents[1]).problems


OWN_DATASET = """import numpy as np

class Own:
    classes = ("road", "sky")

    def __init__(self, source):
        self.count = 3

    def __len__(self):
        return self.count

    def image(self, index):
        return np.zeros((48, 80, 3), np.uint8)

    def label(self, index):
        return np.full((48, 80), 1, np.uint8)
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(48, 80, 3), np.uint8", "(48, 80), np.uint8", "image(0) is uint8 [48, 80]; expected ui"),
        ("(48, 80, 3), np.uint8", "(48, 80, 3)", "image(0) is float64 [48, 80, 3]; expected uint8"),
        (
            "return np.zeros",
            "return index or np.zeros",
            "image(1) is int; expected uint8 [H",
        ),
        ("np.full((48, 80)", "np.full((48, 81)", "label(0) is uint8 [48, 81]; expected uint8 [48,"),
        (
            "80), 1, np.uint8",
            "80), index, np.uint8",
            "label(2) holds 2; expected 0 to 1, pl",
        ),
        ("80), 1, np.uint8", "80), 1, int", "label(0) is int64 [48, 80]; expected uint8 [48, 80]"),
        ("count = 3", "count = 0", "has no image; root None, split None"),
        ("def image", "def picture", "Own has no method 'image'"),
        ('("road", "sky")', '"road"', "classes is 'road'; expected the names of its classes"),
        ('("road", "sky")', '("road", "road")', "classes: 'road' is a member of two"),
        ("self.count = 3", "self.count = 1 / 0", "ZeroDivisionError: division by zero (own_"),
        ("return self.count", "return self.size", "has no attribute 'size' (own_"),
        ("(self, source)", "(self)", "takes (); expected dataset(source)"),
        ("def label", "def labels", "no labels of split 'all' are published"),
    ],
)
def test_a_mistake_in_a_dataset_names_the_index(old, new, message, tmp_path):
    path = write(tmp_path, "own_dataset", OWN_DATASET.replace(old, new))
    with pytest.raises(FedsegError, match=re.escape(message)) as caught:
        open_dataset(Source(dataset=f"{path}:Own"))
    assert "own_dataset" in str(caught.value) or "published" in message
    assert "\n" not in str(caught.value)


def test_a_datasets_card_is_known_before_an_image_is_read(tmp_path):
    broken = OWN_DATASET.replace("return np.zeros", "raise SystemExit\n        return np.zeros")
    source = Source(dataset=f"{write(tmp_path, 'unread', broken)}:Own")
    check_source(source)
    assert [entry.name for entry in source_card(source).classes] == ["road", "sky"]
    with pytest.raises(FedsegError, match="no such folder; set the root of dataset"):
        check_source(source.model_copy(update={"root": tmp_path / "nowhere"}))


def test_commands_take_a_dataset_in_python(tmp_path, run_cli, monkeypatch):
    write_pairs(tmp_path / "data", 1)
    shutil.copy(PLUGINS / "pairs.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    done = run_cli("data", "check", "pairs:Pairs", "data", "--json", "--sheet", "sheet.png")
    assert done.returncode == 0, done.err
    assert json.loads(done.out)["found"] == {"all": 4}
    assert (tmp_path / "sheet.png").is_file()
