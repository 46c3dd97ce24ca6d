import numpy as np
import pytest
from PIL import Image

from fedseg.classes import CITYSCAPES
from fedseg.config import Augmentation, Source
from fedseg.data.dataset import open_dataset
from fedseg.extras.mix import Mix, paste_region
from fedseg.files import read_json
from fedseg.method.generation.augmentation import weights_of
from fedseg.method.generation.candidates import judge_candidates, make_candidates
from fedseg.method.generation.regions import Region
from fedseg.run.records import Recipe
from tests.edges import TOLERANCE, edge, place_of

CAR, SKY, ROAD = 13, 10, 0
SETTINGS = Augmentation(generator="mix")


class Fake:
    """A teacher that says what it is given."""

    def __init__(self, labels, coverage=range(19)):
        self.labels = labels
        self.coverage = set(coverage)
        self.class_list = CITYSCAPES

    def classes(self, index):
        return self.labels[index].astype(np.uint8)


@pytest.fixture
def street(tmp_path):
    """Three grey pictures of 48x80; in the first, a red car near the bottom."""
    (tmp_path / "images").mkdir()
    labels = np.full((3, 12, 20), ROAD)
    labels[:, :4] = SKY
    labels[0, 6:9, 8:14] = CAR
    for index, label in enumerate(labels):
        picture = np.full((48, 80, 3), 128, np.uint8)
        picture[np.kron(label == CAR, np.ones((4, 4), bool))] = (250, 0, 0)
        Image.fromarray(picture).save(tmp_path / "images" / f"{index}.png")
    return open_dataset(Source(dataset="folder", root=tmp_path), labelled=False), labels


def test_a_region_is_pasted_where_its_class_occurs(street):
    images, labels = street
    made = Mix(SETTINGS, images, [Fake(labels), Fake(labels)]).make(CAR, np.random.default_rng(0))
    top, left, bottom, right = made.box
    assert bottom == pytest.approx(9 / 12, abs=0.02)  # where the only car stands
    assert 0.8 * 3 / 12 < bottom - top < 1.2 * 3 / 12
    assert made.area == pytest.approx(18 / 240, rel=0.4)
    assert made.made_of["from"] == "0.png"
    assert made.made_of["onto"] in ("1.png", "2.png")
    rows, columns = (
        slice(round(top * 48), round(bottom * 48)),
        slice(round(left * 80), round(right * 80)),
    )
    inside = made.image[rows, columns].astype(int)
    assert (inside[..., 0] - inside[..., 1]).mean() > 30  # still red, under any weather


def test_only_what_most_clients_agree_on_is_pasted(street):
    images, labels = street
    everywhere = np.full_like(labels, CAR)
    rng = np.random.default_rng(0)
    clients = [Fake(labels), Fake(everywhere), Fake(labels)]
    for made in (Mix(SETTINGS, images, clients).make(CAR, rng) for _ in range(5)):
        assert made.made_of["from"] == "0.png"
        assert made.area < 0.15


def test_of_a_class_that_nobody_agrees_on_what_one_client_sees_is_pasted(street):
    images, labels = street
    without = np.where(labels == CAR, ROAD, labels)
    ignorant = Fake(np.full_like(labels, CAR), coverage=set(range(19)) - {CAR})
    for others in ([Fake(without)], [ignorant], [Fake(without), Fake(without)]):
        made = Mix(SETTINGS, images, [Fake(labels), *others]).make(CAR, np.random.default_rng(0))
        assert made.made_of["from"] == "0.png"
        assert made.area == pytest.approx(18 / 240, rel=0.4)
    # Nobody who knows the class sees any.
    assert (
        Mix(SETTINGS, images, [Fake(without), ignorant]).make(CAR, np.random.default_rng()) is None
    )


def test_paste_cuts_off_what_sticks_out():
    image, patch = np.zeros((20, 20, 3), np.uint8), np.full((10, 10, 3), 200, np.uint8)
    out, box, area = paste_region(image, patch, np.ones((10, 10), np.float32), bottom=5, left=-4)
    assert box == (0, 0, 5 / 20, 6 / 20)
    assert area == 30 / 400
    assert out[:4, :5].min() > 150
    assert out[6:].max() == 0


def test_candidates_follow_from_the_seed_and_are_kept(street, tmp_path):
    images, labels = street
    mix = Mix(SETTINGS, images, [Fake(labels), Fake(labels)])
    notify = []

    def run(folder, seed=1):
        weights = {CAR: 1.0, SKY: 0.25}
        return make_candidates(
            mix, 20, weights, CITYSCAPES, seed, folder, {}, lambda *n: notify.append(n)
        )

    first = run(tmp_path / "a")
    assert [path.read_bytes() for path in run(tmp_path / "b")] == [p.read_bytes() for p in first]
    assert run(tmp_path / "c", seed=2)[0].read_bytes() != first[0].read_bytes()
    wanted = [read_json(path.with_suffix(".json"))["class"] for path in first]
    assert wanted.count("car") > wanted.count("sky") > 0
    before = first[3].stat().st_mtime_ns
    first[4].unlink()
    assert run(tmp_path / "a") == first
    assert first[3].stat().st_mtime_ns == before


def test_an_image_is_kept_only_if_the_clients_find_the_class(street, tmp_path):
    images, labels = street
    mix = Mix(SETTINGS, images, [Fake(labels), Fake(labels)])
    candidates = make_candidates(
        mix, 2, {CAR: 1.0}, CITYSCAPES, 0, tmp_path / "g", {}, lambda *_: None
    )
    everywhere, nowhere = np.full((5, 12, 20), CAR), np.full((5, 12, 20), ROAD)
    seen = everywhere.copy()
    seen[4] = ROAD  # the second generated image, after three of the server's
    manifest = tmp_path / "g" / "manifest.json"
    assert judge_candidates(candidates, 3, [Fake(seen)], manifest) == [3]
    assert [entry["kept"] for entry in read_json(manifest)["images"]] == [True, False]
    assert "find car in 0%" in read_json(manifest)["images"][1]["reason"]
    ignorant = Fake(nowhere, coverage={ROAD})  # who does not know cars is not asked
    assert judge_candidates(candidates, 3, [Fake(everywhere), ignorant], manifest) == [3, 4]


def test_an_image_that_shows_the_class_by_construction_needs_no_vote(street, tmp_path):
    images, labels = street
    mix = Mix(SETTINGS, images, [Fake(labels), Fake(labels)])
    [path] = make_candidates(mix, 1, {CAR: 1.0}, CITYSCAPES, 0, tmp_path / "g", {}, lambda *_: None)
    recipe = Recipe.read(path.with_suffix(".json"))
    recipe.model_copy(update={"is_certain": True}).write(path.with_suffix(".json"), {})
    nowhere = Fake(np.full((4, 12, 20), ROAD))
    manifest = tmp_path / "g" / "manifest.json"
    assert judge_candidates([path], 3, [nowhere], manifest) == [3]
    assert "find car in 0%" in read_json(manifest)["images"][0]["reason"]


def test_classes_that_nobody_sees_give_way_to_the_next_most_unstable(street):
    images, labels = street
    without = np.where(labels == CAR, ROAD, labels)
    mix = Mix(SETTINGS, images, [Fake(without), Fake(without)])
    scores = {"car": 1.0, "sky": 0.1, "road": 0.2, "bus": 0.9, "train": None, "wall": 0.0}
    assert weights_of(mix, scores, 5, CITYSCAPES) == {ROAD: 0.2, SKY: 0.1}
    assert weights_of(mix, scores, 1, CITYSCAPES) == {ROAD: 0.2}


@pytest.mark.parametrize("size", [(96, 160), (48, 80), (101, 67), (10, 15)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_region_is_cut_out_where_its_image_shows_it(tmp_path, size, axis):
    """Its mask, which is coarser or finer than the image, with an edge at each of its cells."""
    (tmp_path / "images").mkdir()
    grid = 12, 20
    moved = []
    for cell in range(4, 9):
        label = edge(grid, cell / grid[axis], axis)
        labels = np.where(label, CAR, ROAD)[None].repeat(2, axis=0)
        for index in range(2):
            picture = Image.fromarray(np.full((*size, 3), 128, np.uint8))
            picture.save(tmp_path / "images" / f"{index}.png")
        images = open_dataset(Source(dataset="folder", root=tmp_path), labelled=False)
        mix = Mix(SETTINGS, images, [Fake(labels), Fake(labels)])
        _, alpha = mix._cut(Region(0, 0.0, 0.0, 1.0, 1.0, 1.0), CAR)
        assert alpha.shape == size
        moved.append(place_of(alpha, axis) - cell * size[axis] / grid[axis])
    assert np.abs(moved).max() < TOLERANCE
