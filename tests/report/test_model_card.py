"""The model card of a published checkpoint."""

import json
import shutil

from huggingface_hub import ModelCard

from fedseg.files import read_json, write_json
from fedseg.report.model_card import model_card


def test_it_says_what_the_run_says(finished):
    run = finished.path
    text = model_card(run / "global", "me/city")
    card = ModelCard(text)  # the hub's own reader of the head
    assert card.data.license == "other"
    assert card.data.pipeline_tag == "image-segmentation"
    result = json.loads((run / "result.json").read_text())
    for name, one in result["clients"].items():
        row = f"| {name} | {one['dataset']} | {one['images']} |"
        assert (row in text) == (one["status"] == "good")
    for name, score in result["evaluation"]["global"].items():
        line = next(line for line in text.splitlines() if line.startswith(f"**{name}**"))
        assert f"{score['images']} images): mIoU {100 * score['miou']:.1f} %" in line
        assert f"| road | {100 * score['iou']['road']:.1f} |" in text
    assert "weights of" in text or "data of folder" in text
    assert str(finished.path.parent) not in text
    assert 'smp.from_pretrained("me/city")' in text


def test_of_a_checkpoint_alone_only_the_model_is_described(finished, tmp_path):
    shutil.copytree(finished.path / "global", tmp_path / "global")
    text = model_card(tmp_path / "global", "me/city")
    assert "## Clients" not in text
    assert "None are recorded" in text
    assert "are not recorded" in text


def test_of_a_plugin_no_other_library_opens_it(finished, tmp_path):
    shutil.copytree(finished.path / "global", tmp_path / "own")
    (tmp_path / "own" / "config.json").unlink()
    info = read_json(tmp_path / "own" / "fedseg.json")
    write_json(tmp_path / "own" / "fedseg.json", info | {"arch": "own_model:build"})
    text = model_card(tmp_path / "own", "me/city")
    assert "segmentation" + "_models" not in text
    assert "library_name" not in text
    assert "photo.jpg --out predictions --plugin own_model:build`" in text


def test_names_of_others_are_no_markup(copied):
    result = read_json(copied.result)
    name = next(iter(result["clients"]))
    result["clients"][name]["dataset"] = "a | b <script>\n# [x](http://y)"
    write_json(copied.result, result)
    text = model_card(copied.global_model, "me/city")
    [row] = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    assert row.startswith(rf"| {name} | a \| b \<script\>")
    assert r"\# \[x\](http://y)" in row
    assert "<script>" not in text


def test_the_command_writes_it_without_a_network(finished, run_cli, tmp_path):
    checkpoint = finished.path / "global"
    done = run_cli("push", checkpoint, "me/city", "--card", tmp_path / "card.md")
    assert done.returncode == 0
    assert (tmp_path / "card.md").read_text() == model_card(checkpoint, "me/city")
