import json
import time

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from fedseg.data.cards import Card, load_card
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
    expected = r"does not list: 25 \(3 px\), 26 \(3 px\), .* and 2 more; choose the card"
    with pytest.raises(FedsegError, match=expected):
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


def palette_image(path, values, palette):
    """A palette PNG of one row."""
    image = Image.fromarray(np.array([values], np.uint8), mode="P")
    image.putpalette([level for colour in palette for level in colour])
    image.save(path)
    return path


ROAD, BUILDING, SKY, POLE = (128, 64, 128), (70, 70, 70), (70, 130, 180), (153, 153, 153)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".PNG"])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
def test_lossy_content_is_refused_under_any_suffix(tmp_path, suffix, kind):
    path = tmp_path / f"a{suffix}"
    options = {"TIFF": {"compression": "jpeg"}}.get(kind, {})
    Image.fromarray(np.full((16, 16, 3), 9, np.uint8)).save(path, kind, quality=100, **options)
    with pytest.raises(FedsegError, match=rf"a\{suffix}: its compression is lossy \({kind}\)"):
        read_label(path, load_card("folder"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"lossless": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
        *(("TIFF", {"compression": c}) for c in (None, "tiff_lzw", "tiff_deflate", "packbits")),
    ],
)
def test_lossless_content_is_read_under_any_suffix(tmp_path, card, kind, options):
    path = tmp_path / "a.png"
    colours = np.array([[[9, 8, 7], [1, 2, 3]]], np.uint8)
    Image.fromarray(colours).save(path, kind, **options)
    mine = card("colours = [[9, 8, 7]]", "ignore_colours = [[1, 2, 3]]")
    assert read_label(path, mine).tolist() == [[0, 255]]


def test_a_palette_that_a_tool_reduced_is_read_by_its_colours(tmp_path):
    """GTA5's labels: ids of Cityscapes, in Cityscapes' colours; the card lists both."""
    gta5 = load_card("gta5")
    names = [entry.name for entry in gta5.classes]
    original = np.zeros((35, 3), int)
    for entry in gta5.classes:
        original[entry.ids[0]] = entry.colours[0]
    wanted = [names.index(name) for name in ("road", "building", "sky", "car")]
    ids = [gta5.classes[place].ids[0] for place in wanted]
    path = palette_image(tmp_path / "a.png", ids, original.tolist())
    assert read_label(path, gta5).tolist() == [wanted]
    # Reduced to the colours that are used, in another order; and reordered as a whole.
    for order in (ids[::-1], np.random.default_rng(0).permutation(35).tolist()):
        renumbered = [order.index(value) for value in ids]
        path = palette_image(tmp_path / "a.png", renumbered, original[order].tolist())
        assert read_label(path, gta5).tolist() == [wanted]


def test_numbers_that_share_a_colour_stay_apart_in_the_original_palette(tmp_path):
    """34, the licence plate, has the colour of a car in Cityscapes' table, but is ignored."""
    gta5 = load_card("gta5")
    original = np.zeros((35, 3), int)
    for entry in gta5.classes:
        original[entry.ids[0]] = entry.colours[0]
    original[34] = original[26]
    car = [entry.name for entry in gta5.classes].index("car")
    path = palette_image(tmp_path / "a.png", [26, 34], original.tolist())
    assert read_label(path, gta5).tolist() == [[car, 255]]


def test_where_colours_are_not_listed_a_reduced_palette_is_refused(tmp_path):
    folder = load_card("folder")
    path = palette_image(tmp_path / "a.png", [0, 1], [(1, 99, 3), (4, 99, 6)])
    with pytest.raises(FedsegError, match=r"a\.png: a tool has probably renumbered its palette"):
        read_label(path, folder)
    # A palette as long as the classes is the one that ids were written with.
    rest = [(n, 99, 250 - n) for n in range(19)]
    path = palette_image(tmp_path / "a.png", [0, 18], rest)
    assert read_label(path, folder).tolist() == [[0, 18]]
    # Unless its colours are Cityscapes' in another order.
    path = palette_image(tmp_path / "a.png", [0, 2], [SKY, *rest[:1], ROAD, *rest[3:]])
    with pytest.raises(FedsegError, match="renumbered"):
        read_label(path, folder)


def test_shades_of_a_grey_palette_are_ids(tmp_path):
    """What optimisers make of a grey image with few values."""
    path = palette_image(tmp_path / "a.png", [1, 0, 2], [(0,) * 3, (13,) * 3, (255,) * 3])
    assert read_label(path, load_card("folder")).tolist() == [[13, 0, 255]]


def test_our_own_predictions_can_be_labels(tmp_path):
    label = save(tmp_path / "a.png", np.array([[0, 13, 18, 255]], np.uint8))
    assert read_label(label, load_card("folder")).tolist() == [[0, 13, 18, 255]]


def test_grey_of_few_bits_is_refused(tmp_path):
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.tif")
    for name in ("a.png", "b.tif"):
        with pytest.raises(FedsegError, match=f"{name}: is grey of 1 bits a pixel"):
            read_label(tmp_path / name, load_card("folder"))


def test_alpha_beside_ids(tmp_path):
    ids = np.array([[0, 13]], np.uint8)
    opaque = np.dstack([ids, np.full_like(ids, 255)])
    Image.fromarray(opaque, "LA").save(tmp_path / "a.png")
    assert read_label(tmp_path / "a.png", load_card("folder")).tolist() == [[0, 13]]
    opaque[0, 0, 1] = 3
    Image.fromarray(opaque, "LA").save(tmp_path / "a.png")
    with pytest.raises(FedsegError, match="Pillow's mode 'LA'"):
        read_label(tmp_path / "a.png", load_card("folder"))


@pytest.mark.parametrize("mode", ["F", "CMYK", "YCbCr"])
def test_other_kinds_are_no_labels(tmp_path, mode):
    Image.new(mode, (2, 2)).save(tmp_path / "a.tif")
    with pytest.raises(FedsegError, match=f"no label \\(Pillow's mode '{mode}'"):
        read_label(tmp_path / "a.tif", load_card("folder"))


def with_polygons(*polygons, size=(8, 6)):
    objects = [{"label": "road", "polygon": polygon} for polygon in polygons]
    return json.dumps({"imgWidth": size[0], "imgHeight": size[1], "objects": objects})


@pytest.fixture
def polygons(tmp_path, card):
    """Draws an annotation, given as the text of its file."""
    mine = card('names = ["road"]')

    def draw(text):
        path = tmp_path / "a.json"
        path.write_text(text)
        return read_label(path, mine)

    return draw


def test_polygons_of_fewer_than_three_points_cover_nothing(polygons):
    assert (polygons(with_polygons([], [[1, 1]], [[1, 1], [5, 5]])) == 255).all()


@pytest.mark.parametrize("far", [1e3, 1e6, 1e12])
def test_far_coordinates_are_clipped(polygons, far):
    # The right half; and a diagonal that a clip to each point alone would bend.
    half = polygons(with_polygons([[4, -far], [far, -far], [far, far], [4, far]]))
    assert (half[:, 4:] == 0).all()
    assert (half[:, :4] == 255).all()
    diagonal = polygons(with_polygons([[-far, -far], [far, far], [-far, far]]))
    rows, columns = np.indices(diagonal.shape)
    assert (diagonal[rows > columns] == 0).all()
    assert (diagonal[rows < columns] == 255).all()
    around = polygons(with_polygons([[-far, -far], [far, -far], [far, far], [-far, far]]))
    assert (around == 0).all()
    beside = polygons(with_polygons([[far / 2, 0], [far / 2, 5], [far, 5]]))
    assert (beside == 255).all()


@pytest.mark.parametrize(
    "text",
    [
        with_polygons([[0, 0], [float("nan"), 3], [3, 3]]),
        with_polygons([[0, 0], [float("inf"), 3], [3, 3]]),
        with_polygons([[0, 0], [1e300, 3], [3, 3]]),
        with_polygons([[0, 0], ["1", 3], [3, 3]]),
        with_polygons([[0, 0], [True, 3], [3, 3]]),
        with_polygons([[0, 0], [1], [3, 3]]),
        with_polygons([[0, 0], [10**400, 3], [3, 3]]),
        with_polygons("abc"),
        with_polygons(5),
        with_polygons(size=(0, 5)),
        with_polygons(size=(-3, 5)),
        with_polygons(size=(10**9, 10**9)),
        with_polygons(size=(1.5, 5)),
        with_polygons(size=("8", 6)),
        "[" * 100_000 + "]" * 100_000,
        '{"imgWidth": 8, "imgHeight": 6, "objects": [{"label": ["road"], "polygon": []}]}',
        '{"imgWidth": 8, "imgHeight": 6, "objects": {"label": 1}}',
        '{"imgWidth": 8, "imgHeight": 6}',
        "[]",
        "null",
        "",
    ],
)
def test_other_polygons_are_one_line(polygons, text):
    with pytest.raises(FedsegError, match=r"a\.json: .*(not readable polygons|is empty)") as error:
        polygons(text)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def full_card():
    """A card of as many classes as a label can hold, in every encoding."""
    classes = [
        {"name": f"thing {n}", "ids": [n], "colours": [[n, 255 - n, 7]], "names": [f"thing {n}"]}
        for n in range(255)
    ]
    where = {"images": "*.jpg", "labels": "*.png", "splits": {"all": {}}}
    return Card(name="full", title="Full", kind="real", classes=classes, **where)


def test_the_last_of_255_classes_is_read_in_every_encoding(tmp_path, full_card):
    expected = np.array([[254, 0, 253, 255]])
    ids = expected.astype(np.uint8)
    assert (read_label(save(tmp_path / "a.png", ids), full_card) == expected).all()
    wide = save(tmp_path / "b.png", ids.astype(np.uint16))
    label = read_label(wide, full_card)
    assert (label == expected).all()
    assert label.dtype == np.uint8
    colours = np.stack([ids, 255 - ids, np.full_like(ids, 7)], axis=-1)[:, :3]
    label = read_label(save(tmp_path / "c.png", colours), full_card)
    assert (label == expected[:, :3]).all()
    assert label.dtype == np.uint8
    polygon = [[0, 0], [3, 0], [3, 1], [0, 1]]
    item = {"label": "thing 254", "polygon": polygon}
    drawn = {"imgWidth": 4, "imgHeight": 2, "objects": [item]}
    (tmp_path / "d.json").write_text(json.dumps(drawn))
    assert (read_label(tmp_path / "d.json", full_card) == 254).all()
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    image.putpalette([254, 1, 7, 0, 255, 7])
    image.save(tmp_path / "e.png")
    label = read_label(tmp_path / "e.png", full_card)
    assert label.tolist() == [[254, 0]]
    assert label.dtype == np.uint8


def test_what_a_card_of_255_classes_does_not_list_is_an_error(tmp_path, full_card):
    with pytest.raises(FedsegError, match=r"does not list: 256 \(1 px\)"):
        read_label(save(tmp_path / "a.png", np.array([[254, 256]], np.uint16)), full_card)
    with pytest.raises(FedsegError, match=r"does not list: \(1, 2, 3\) \(1 px\)"):
        read_label(save(tmp_path / "b.png", np.array([[[1, 2, 3]]], np.uint8)), full_card)
