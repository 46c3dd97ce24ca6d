import numpy as np
import pytest
from PIL import Image

from fedseg.classes import CLASSES
from fedseg.method.inconsistency import Agreement, record
from fedseg.report.figures import UNSTABLE, inconsistency_figure, save


@pytest.fixture
def content():
    agreement = Agreement({name: {0, 1, 2} for name in "abc"})
    rng = np.random.default_rng(0)
    agreement.update([rng.integers(0, 3, 200) for _ in range(2)] + [np.zeros(200, int)])
    return record(agreement, 2)


def test_bars_and_cells_show_the_numbers(content):
    bars, heat, _ = inconsistency_figure(content).axes
    widths = [bar.get_width() for bar in bars.patches]
    assert widths[0] == content.inconsistency["road"]
    assert widths[10] == 0  # sky: nobody knows it
    red = [CLASSES[i] for i, bar in enumerate(bars.patches) if bar.get_facecolor()[0] > 0.8]
    assert UNSTABLE == "#e45756"
    assert sorted(red) == sorted(content.unstable)
    cells = heat.images[0].get_array()
    assert cells.shape == (19, 3)
    assert cells[1, 0] == content.pairs[0].iou["sidewalk"]
    assert cells.mask[10].all()


def test_augmentation_is_marked_and_the_file_is_an_image(content, tmp_path):
    content = content.model_copy(update={"after_augmentation": content.inconsistency})
    figure = inconsistency_figure(content)
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "with generated"
    save(figure, tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").size[0] > 800


def test_one_client_alone_has_no_pairs():
    content = record(Agreement({"a": {0}}), 2)
    assert not inconsistency_figure(content).axes[1].images
