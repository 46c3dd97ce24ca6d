import json
import time

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from fedseg.data.cards import load_card
from fedseg.data.encoding import read_label
from fedseg.errors import FedsegError


@pytest.fixture
def card(tmp_path):
    """Writes a card: card("ids = [300]") has one class, road, and is loaded."""

    def make(classes, more=""):
        path = tmp_path / "mine.toml"
        path.write_text(
            'name="mine"\ntitle="Mine"\nkind="real"\nimages="*.jpg"\nlabels="*.png"\n'
            f'{more}\n[splits.all]\n[[classes]]\nname="road"\n{classes}\n'
        )
        load_card.cache_clear()
        return load_card(str(path))

    return make


def save(path, array):
    Image.fromarray(np.asarray(array)).save(path)
    return path


def test_ids_beyond_a_byte(tmp_path, card):
    label = save(tmp_path / "a.png", np.array([[300, 7]], np.uint16))
    mine = card("ids = [300]", "ignore_ids = [7]")
    assert read_label(label, mine).tolist() == [[0, 255]]
    label = save(tmp_path / "a.png", np.array([[300, 40000]], np.uint16))
    with pytest.raises(FedsegError, match=r"does not list: 40000 \(1 px\)"):
        read_label(label, mine)


def test_unknown_values_are_counted_the_most_frequent_first(tmp_path, card):
    label = save(tmp_path / "a.png", np.array([[*range(20, 27), 26, 26, 25, 25]], np.uint8))
    said = r"does not list: 25 \(3 px\), 26 \(3 px\), .* and 2 more; choose the card"
    with pytest.raises(FedsegError, match=said):
        read_label(label, card("ids = [0]"))
    label = save(tmp_path / "b.png", np.array([[[1, 2, 3], [9, 8, 7], [1, 2, 3]]], np.uint8))
    mine = card("colours = [[9, 8, 7]]")
    with pytest.raises(FedsegError, match=r"label colours .* list: \(1, 2, 3\) \(2 px\);"):
        read_label(label, mine)


def test_a_palette_read_by_colours_where_the_card_lists_no_ids(tmp_path, card):
    image = Image.fromarray(np.full((2, 2), 1, np.uint8), mode="P")
    image.putpalette([0, 0, 0, 9, 8, 7])
    image.save(tmp_path / "a.png")
    assert (read_label(tmp_path / "a.png", card("colours = [[9, 8, 7]]")) == 0).all()


def test_a_label_of_the_other_kind(tmp_path, card):
    label = save(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(FedsegError, match="is an image of one channel, but the card 'mine' lists"):
        read_label(label, card("colours = [[9, 8, 7]]"))
    label = save(tmp_path / "b.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(FedsegError, match="has 3 channels, but the card reads channel 3"):
        read_label(label, card("ids = [0]", "channel = 3"))


def test_truncated_labels_of_16_bits(tmp_path, capfd):
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 9, (64, 64, 3), dtype=np.uint16)
    cv2.imwrite(str(path), noise)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FedsegError, match=r"a\.png: not a readable image"):
        read_label(path, load_card("synthia"))
    assert not capfd.readouterr().err  # libpng would say something of its own


def annotation(path, **changes):
    content = {
        "imgWidth": 40,
        "imgHeight": 30,
        "objects": [
            {"label": "sky", "polygon": [[0, 0], [40, 0], [40, 12.4], [0, 15.7]], "deleted": 0},
            {"label": "road", "polygon": [[0, 20], [39, 20], [39, 29], [0, 29]], "deleted": 0},
            {"label": "cargroup", "polygon": [[5.5, 10], [25, 8], [21, 26.5]], "deleted": 0},
            {"label": "bus", "polygon": [[0, 0], [9, 0], [9, 9]], "deleted": 1},
        ],
    }
    path.write_text(json.dumps(content | changes))
    return path


def test_polygons_are_drawn_like_autonue_draws_them(tmp_path):
    # json2labelImg.py with --id-type csTrainId: Pillow's polygons on a background of 255.
    expected = Image.new("L", (40, 30), 255)
    pen = ImageDraw.Draw(expected)
    pen.polygon([(0, 0), (40, 0), (40, 12.4), (0, 15.7)], fill=10)
    pen.polygon([(0, 20), (39, 20), (39, 29), (0, 29)], fill=0)
    pen.polygon([(5.5, 10), (25, 8), (21, 26.5)], fill=13)
    label = read_label(annotation(tmp_path / "a.json"), load_card("idd"))
    assert label.dtype == np.uint8
    assert np.array_equal(label, np.asarray(expected))


def test_polygons_that_cannot_be_read(tmp_path):
    idd = load_card("idd")
    triangle = [[0, 0], [9, 0], [9, 9]]
    unknown = [{"label": "tuktuk", "polygon": triangle}, {"label": "tuktuk", "polygon": triangle}]
    with pytest.raises(FedsegError, match=r"does not list: tuktuk \(2 polygons\)"):
        read_label(annotation(tmp_path / "a.json", objects=unknown), idd)
    with pytest.raises(FedsegError, match=r"a\.json: not readable polygons \(KeyError"):
        read_label(annotation(tmp_path / "a.json", objects=[{"label": "sky"}]), idd)
    path = annotation(tmp_path / "b.json")
    path.write_text(path.read_text()[:-9])
    with pytest.raises(FedsegError, match=r"b\.json: not readable polygons \(JSONDecodeError"):
        read_label(path, idd)


def test_translation_costs_less_than_decoding(tmp_path):
    # A label as large as Cityscapes', read by ids and by colours.
    ids = np.random.default_rng(0).choice([7, 11, 21, 26], (64, 128)).astype(np.uint8)
    ids = ids.repeat(16, axis=0).repeat(16, axis=1)
    palette = np.zeros((256, 3), np.uint8)
    palette[[7, 11, 21, 26]] = [(128, 64, 128), (70, 70, 70), (107, 142, 35), (0, 0, 142)]
    card = load_card("gta5")
    labels = [save(tmp_path / "ids.png", ids), save(tmp_path / "colours.png", palette[ids])]
    read = [read_label(path, card) for path in labels]  # makes the tables, too
    assert np.array_equal(*read)
    for path in labels:
        decoding = min(_seconds(lambda p=path: np.asarray(Image.open(p))) for _ in range(5))
        reading = min(_seconds(lambda p=path: read_label(p, card)) for _ in range(5))
        assert reading < 3 * decoding + 0.05


def _seconds(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
