import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from fedseg.classes import CITYSCAPES, CLASSES
from fedseg.cli.tables import remarks, result_table
from fedseg.config import Augmentation
from fedseg.data.dataset import open_dataset
from fedseg.errors import RunFailed
from fedseg.files import read_json, write_json
from fedseg.method import labelling, student, teachers
from fedseg.method.context import open_context
from fedseg.method.generation import augmentation
from fedseg.method.generation.augmentation import weights_of
from fedseg.method.generation.candidates import Made
from fedseg.method.pipeline import make_targets
from fedseg.method.teachers import read_target
from fedseg.models import checkpoints
from fedseg.report.write import conclude_run
from fedseg.run.folder import Run
from fedseg.run.progress import FileProgress, silent
from fedseg.run.records import Result
from fedseg.run.result import gather_result
from fedseg.storage import provenance
from fedseg.storage.hashes import content_hash
from fedseg.workflows.server import run_server


def finish(run, federation):
    run_server(run, federation, FileProgress(run.progress, "server"))
    return content_hash(checkpoints.load(run.global_model)[0].state_dict())


def killed_at(patch, folder, index):
    """Have the server killed when it comes to write the target of an image."""
    real = teachers.write_array

    def write_array(path, array):
        if path == teachers.target_file(path.parent, index) and path.parent.name == folder:
            raise KeyboardInterrupt
        real(path, array)

    patch.setattr(teachers, "write_array", write_array)


def finish_seeing_targets(run, federation, monkeypatch):
    """What `finish` returns, and every target by its folder's name and its image's number."""
    seen = {}
    real = teachers.write_array

    def write_array(path, array):
        if path.stem.isdecimal():
            seen.setdefault(path.parent.name, {})[int(path.stem)] = array
        real(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(teachers, "write_array", write_array)
        return finish(run, federation), seen


def copy_client(run, source, name):
    """One client's upload as another's."""
    folder = run.clients / name
    shutil.copytree(run.clients / source, folder)
    write_json(folder / "client.json", read_json(folder / "client.json") | {"name": name})
    provenance.seal(folder, {})


def test_from_uploads_to_scores(run, federation):
    finish(run, federation)
    result = gather_result(run, federation, "completed", {}, {})
    result.write(run.result)
    assert result == Result.read(run.result)
    assert set(result.evaluation) == {"one", "two", "global"}
    score = read_json(run.score("global", "held-out"))
    assert sum(map(sum, score["confusion"])) == 4 * 48 * 80
    assert result.clients["two"].coverage == [0, 2, 9, 10, 13]
    # vegetation (8) is known to client one alone, terrain (9) to client two: no pair can disagree
    assert result.inconsistency["vegetation"] is None
    assert result.inconsistency["terrain"] is None
    assert checkpoints.load_info(run.global_model).coverage == (0, 2, 8, 9, 10, 13)
    assert not run.targets.exists()


def test_interrupted_anywhere_it_ends_the_same(run, federation, monkeypatch):
    whole = finish(run, federation)
    scores = run.score("global", "held-out").read_text()

    shutil.rmtree(run.global_model)
    shutil.rmtree(run.evaluation)
    with monkeypatch.context() as patch:
        killed_at(patch, "fused", 2)
        with pytest.raises(KeyboardInterrupt):
            finish(run, federation)
    assert finish(run, federation) == whole
    assert run.score("global", "held-out").read_text() == scores


def test_features_of_clients_of_different_kinds_are_fused(run, federation, monkeypatch):
    data = federation.model_dump()
    data["server"]["distillation"] |= {"fusion": "features"}
    federation = type(federation).model_validate(data)
    monkeypatch.setattr("fedseg.extras.gated_fusion.STEPS", 20)
    whole, seen = finish_seeing_targets(run, federation, monkeypatch)
    assert {target.shape[-1] for target in seen["mean"].values()} == {19}
    assert {target.shape[-1] for target in seen["fused"].values()} == {19 + 32}
    # The student left its projection behind: the model is one that anybody can load.
    assert checkpoints.load_info(run.global_model).arch == "fpn"

    shutil.rmtree(run.global_model)
    shutil.rmtree(run.state, ignore_errors=True)
    with monkeypatch.context() as patch:
        killed_at(patch, "fused", 2)
        with pytest.raises(KeyboardInterrupt):
            finish(run, federation)
    assert finish(run, federation) == whole


def test_what_is_done_is_not_done_again(run, federation):
    finish(run, federation)
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*.safetensors")}
    finish(run, federation)
    assert before == {p: p.stat().st_mtime_ns for p in run.path.rglob("*.safetensors")}


def test_too_few_clients(run, federation):
    stricter = federation.model_copy(update={"min_clients": 2})
    shutil.rmtree(run.clients / "two")
    with pytest.raises(RunFailed, match="1 good uploads, but min_clients = 2"):
        run_server(run, stricter, FileProgress(run.progress, "server"))


def test_generated_images_join_the_servers_and_the_manifest_says_which(run, federation):
    mixed = {"generator": "mix", "images": 6, "unstable_classes": 19}
    server = federation.server.model_copy(
        update={"augmentation": federation.server.augmentation.model_copy(update=mixed)}
    )
    finish(run, federation.model_copy(update={"server": server}))
    manifest = read_json(run.generated / "manifest.json")
    assert manifest["made"] == len(manifest["images"]) <= 6
    assert manifest["kept"] == sum(entry["kept"] for entry in manifest["images"])
    assert len(read_json(run.inconsistency)["after_augmentation"]) == 19


def test_generated_images_of_other_clients_are_not_gone_on_with(
    run, federation, tmp_path, monkeypatch
):
    """A client answers late, after images were made without it: as if it had been there always."""
    late = federation.clients[1].model_copy(update={"name": "late"})
    torch.manual_seed(0)
    network, info = checkpoints.load(run.clients / "two")
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    meta = read_json(run.clients / "two" / "client.json") | {"name": "late", "sha256": "0" * 64}
    data = federation.model_dump()
    data["clients"].append(late.model_dump())
    data["server"]["augmentation"] |= {"generator": "mix", "images": 3, "unstable_classes": 19}
    data["server"]["distillation"] |= {"fusion": "features"}
    federation = type(federation).model_validate(data)
    monkeypatch.setattr("fedseg.extras.gated_fusion.STEPS", 2)

    def images(run):
        return {path.name: path.read_bytes() for path in run.generated.glob("*.png")}

    with monkeypatch.context() as patch:
        killed_at(patch, "fused", 2)
        with pytest.raises(KeyboardInterrupt):
            finish(run, federation)
    without = images(run)
    checkpoints.save(run.clients / "late", network, info, client=meta)
    fresh = Run(tmp_path / "fresh")
    shutil.copytree(run.clients, fresh.clients)
    assert finish(run, federation) == finish(fresh, federation)
    assert images(run) == images(fresh) != without
    manifests = [read_json(r.generated / "manifest.json") for r in (run, fresh)]
    assert manifests[0] == manifests[1]


def test_a_client_of_random_weights_leaves_the_global_model_as_it_was(run, federation, tmp_path):
    """Three that agree and one that does not: the same global model as of the three alone."""
    clients = {c.name: c for c in federation.clients}
    names = {"twin": "one", "bad": "two"}
    more = [clients[of].model_copy(update={"name": name}) for name, of in names.items()]
    for name, of in names.items():
        copy_client(run, of, name)
    # The two clients of the fixture have hardly learnt anything: make three of a kind of one.
    shutil.rmtree(run.clients / "two")
    copy_client(run, "one", "two")
    network, info = checkpoints.load(run.clients / "bad")
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape)
    meta = read_json(run.clients / "bad" / "client.json") | {"sha256": "0" * 64}
    checkpoints.save(run.clients / "bad", network, info, client=meta)
    with_bad = federation.model_copy(update={"clients": [*federation.clients, *more]})
    poisoned = finish(run, with_bad)
    assert read_json(run.inconsistency)["suspects"] == ["bad"]
    shutil.rmtree(run.global_model)
    shutil.rmtree(run.clients / "bad")
    assert finish(run, with_bad.model_copy(update={"clients": with_bad.clients[:-1]})) == poisoned


def test_a_client_whose_output_is_not_finite_is_left_out(run, federation, caplog):
    """Its weights are finite and pass every check."""
    network, info = checkpoints.load(run.clients / "one")
    state = network.state_dict()
    state["segmentation_head.0.weight"] *= 1e38
    network.load_state_dict(state)
    meta = read_json(run.clients / "one" / "client.json")
    checkpoints.save(run.clients / "one", network, info, client=meta)
    with pytest.raises(RunFailed, match="the models of one give nothing"):
        finish(run, federation)
    finish(run, federation.model_copy(update={"min_clients": 1}))
    assert "client 'one' is left out: the model's output holds NaN or infinity" in caplog.text
    assert read_json(run.inconsistency)["suspects"] == ["one"]


def test_a_start_that_overflows_in_training_gives_way_to_the_next(
    run, federation, monkeypatch, caplog
):
    starts = []
    real = student.distill

    def distill(images, targets, start, *more):
        starts.append(content_hash(start.state_dict()))
        if len(starts) == 1:
            raise FloatingPointError("the loss became nan at step 2")
        network = real(images, targets, start, *more)
        if len(starts) == 2:  # a loss may stay finite where running statistics do not
            network.segmentation_head[0].bias.data[3] = torch.inf
        return network

    monkeypatch.setattr(student, "distill", distill)
    final = finish(run, federation)
    assert len(set(starts)) == 3  # both clients, and an untrained model
    assert "the loss became nan" in caplog.text
    assert "holds NaN or infinity" in caplog.text
    assert final == content_hash(checkpoints.load(run.global_model)[0].state_dict())


def test_no_start_that_trains(run, federation, monkeypatch):
    def fail(*_, **__):
        raise FloatingPointError("the loss became nan at step 1")

    monkeypatch.setattr(student, "distill", fail)
    with pytest.raises(RunFailed, match="no finite model from any start"):
        finish(run, federation)
    assert not run.global_model.exists()
    assert not list(run.state.glob("*"))


def test_without_a_labelled_set_there_is_a_model_and_the_inconsistency(run, federation):
    federation = federation.model_copy(update={"evaluation": []})
    seconds = run_server(run, federation, FileProgress(run.progress, "server"))
    result = gather_result(run, federation, "completed", {}, seconds)
    conclude_run(run, federation, result, FileProgress(run.progress, "server"))
    checkpoints.load(run.global_model)
    assert result.evaluation == {}
    assert result.inconsistency["road"] is not None
    report = run.report.read_text()
    assert "the federation has no labelled set" in report
    console = Console(record=True, width=100)
    console.print(result_table(result))
    shown = console.export_text()
    assert "global" in shown
    assert remarks(result)[0] == "nothing was scored: no set has labels"


@pytest.fixture
def context(run, federation):
    return open_context(run, federation, silent)


def spoil(folder: Path) -> None:
    """Make a client's model overflow, though its weights are finite."""
    network, info = checkpoints.load(folder)
    network.segmentation_head[0].weight.data *= 1e38
    checkpoints.save(folder, network, info)


def test_every_image_of_the_server_gets_a_target(context, tmp_path):
    images, content = make_targets(context, tmp_path / "targets", {"made": "of this"})
    assert images.images == open_dataset(context.federation.server, labelled=False).images
    targets = [read_target(tmp_path / "targets", index) for index in range(len(images))]
    assert {(target.shape[-1], target.dtype) for target in targets} == {(19, np.dtype(np.uint8))}
    # 255 stands for 1; a class that no client was trained on has no probability.
    known = [0, 2, 8, 9, 10, 13]
    unknown = [c for c in range(19) if c not in known]
    assert all(abs(t.sum(axis=-1, dtype=int) - 255).max() <= len(known) for t in targets)
    assert not any(target[..., unknown].any() for target in targets)
    assert content.clients == ["one", "two"]
    assert content == type(content).read(context.run.inconsistency)


def test_a_client_without_finite_output_is_no_teacher(context, tmp_path):
    spoil(context.clients["two"])
    federation = context.federation.model_copy(update={"min_clients": 1})
    context = replace(context, federation=federation)
    _, content = make_targets(context, tmp_path / "targets", {})
    assert content.clients == ["one"]
    assert [*content.unusable] == ["two"]


def test_a_generator_is_gone_before_its_images_are_labelled(context, tmp_path, monkeypatch):
    """Its model and a client's may not fit on a GPU together."""
    alive = []

    class Painter:
        def __init__(self, *_):
            alive.append(weakref.ref(self))

        def makes(self, train_id):
            return True

        def make(self, train_id, rng):
            return Made(np.zeros((48, 80, 3), np.uint8), (0, 0, 1, 1), 1.0, {})

    seen = []
    real = labelling.predict_images

    def watched(*given):
        seen.append([ref() is not None for ref in alive])
        return real(*given)

    monkeypatch.setattr(labelling, "predict_images", watched)
    registry = SimpleNamespace(load=lambda name: Painter)
    monkeypatch.setattr(augmentation, "GENERATORS", registry)
    mixed = Augmentation(generator="mix", images=2)
    server = context.federation.server.model_copy(update={"augmentation": mixed})
    federation = context.federation.model_copy(update={"server": server})
    make_targets(replace(context, federation=federation), tmp_path / "targets", {})
    assert seen == [[], [], [False], [False]]


def test_without_enough_teachers_nothing_is_written(context, tmp_path):
    spoil(context.clients["two"])
    with pytest.raises(RunFailed, match="the models of two give nothing"):
        make_targets(context, tmp_path / "targets", {})
    assert not (tmp_path / "targets").exists()
    assert not context.run.inconsistency.exists()


def test_a_generator_is_asked_for_the_most_unstable_classes_that_it_can_make():
    class Generator:
        def makes(self, train_id):
            return CLASSES[train_id] != "train"

    scores = {"road": 0.1, "train": 0.9, "rider": 0.8, "sky": 0.0, "fence": None, "bus": 0.5}
    wanted = weights_of(Generator(), scores, 2, CITYSCAPES)
    assert wanted == {CLASSES.index("rider"): 0.8, CLASSES.index("bus"): 0.5}
