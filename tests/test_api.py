"""What can be imported from `fedseg`: the examples in the docstrings run."""

import doctest
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import fedseg
from fedseg.storage.frames import to_html

NAMES = [name for name in fedseg.__all__ if name not in ("__version__", "PALETTE")]


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_has_an_example_that_runs(name, finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    [example] = doctest.DocTestFinder(recurse=False).find(getattr(fedseg, name), name)
    assert example.examples
    failed = doctest.DocTestRunner().run(example).failed
    assert not failed, capsys.readouterr().out


def test_names_are_listed_and_unknown_ones_refused():
    assert set(NAMES) < set(dir(fedseg))
    with pytest.raises(AttributeError, match="'simulat'"):
        fedseg.simulat  # noqa: B018


def test_the_command_line_does_not_wait_for_libraries():
    """Neither `import fedseg` nor `fedseg --help` needs what takes long to import."""
    code = "import sys, fedseg.cli; print({'torch', 'numpy', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_objects_are_short_in_a_console_and_tables_in_a_notebook(finished):
    pandas = pytest.importorskip("pandas")
    result = fedseg.load_result(finished / "runs" / "embedded")
    assert re.fullmatch(r"<Result completed: seed 0, 3 of 3 clients, \d+ models>", repr(result))
    frame = result.to_frame()
    miou = result.evaluation["global"]["stormnight"].miou
    assert frame.loc["global", "stormnight"] == pytest.approx(miou)
    assert list(frame.index) == list(result.evaluation)
    assert isinstance(frame, pandas.DataFrame)
    html = result._repr_html_()
    assert html.count("<tr>") == 1 + len(result.evaluation)  # below the header
    assert f"<td>{100 * miou:.1f}</td>" in html
    source = fedseg.Source(dataset="folder", root=finished / "data" / "stormnight")
    dataset = fedseg.open_dataset(source)
    assert repr(dataset) == "<Dataset folder all: 4 images, labels>"
    network, info = fedseg.load_checkpoint(finished / "runs" / "embedded" / "global")
    assert len(repr(info)) < 80
    score = fedseg.evaluate(network, info, dataset)
    assert repr(score).startswith("<Score folder all: mIoU ")
    assert score.to_frame().loc["road", "iou"] == pytest.approx(score.iou["road"])
    assert score._repr_html_().count("<tr>") == 1 + 19 + 1


def test_names_in_a_notebooks_table_are_text():
    assert "<b>" not in to_html({"<b>": {"x": None}}, "model", "<b>")


def test_a_dataset_is_a_sequence_of_pairs(finished):
    source = fedseg.Source(dataset="folder", root=finished / "data" / "stormnight")
    dataset = fedseg.open_dataset(source)
    image, label = dataset[0]
    assert (image == np.asarray(Image.open(dataset.images[0]))).all()
    assert (label == np.asarray(Image.open(dataset.labels[0]))).all()
    assert (dataset[-1][0] == dataset[3][0]).all()
    assert len(list(dataset)) == 4
    with pytest.raises(IndexError):
        dataset[4]
    assert fedseg.open_dataset(source, labelled=False)[0][1] is None
