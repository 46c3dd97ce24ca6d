import numpy as np
import pytest
from PIL import Image

from fedseg.config import Model, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.method.teachers import target_size, write_target
from fedseg.method.views import Views, ViewSource, aligned_size, random_view
from fedseg.models import checkpoints
from tests.conftest import TINY_MODEL
from tests.edges import TOLERANCE, black_and_white, edge, place_of


def test_view_and_target_show_the_same_place():
    # The target grid is the picture at a quarter of its size, so any view of both must match too.
    rng = np.random.default_rng(0)
    target = rng.integers(0, 255, (12, 20, 3)).astype(np.uint8)
    image = np.kron(target, np.ones((4, 4, 1), np.uint8))
    for seed in range(20):
        view, part = random_view(image, target, (48, 80), (0.3, 1.0), np.random.default_rng(seed))
        assert view.shape == (48, 80, 3)
        assert part.shape == (12, 20, 3)
        small = view.reshape(12, 4, 20, 4, 3).mean(axis=(1, 3))
        correlation = np.corrcoef(small.ravel(), part.astype(float).ravel())[0, 1]
        assert correlation > 0.9


def test_whole_picture_is_the_largest_view():
    image = np.zeros((48, 80, 3), np.uint8)
    target = np.arange(12 * 20 * 3, dtype=np.uint8).reshape(12, 20, 3)
    _, part = random_view(image, target, (48, 80), (1.0, 1.0), np.random.default_rng(1))
    assert part.shape == (12, 20, 3)


@pytest.fixture
def draw(tmp_path):
    """Views of two images, black and white, each of two classes of its own."""

    root = tmp_path / "server"
    (root / "images").mkdir(parents=True)
    for index in range(2):
        shade = np.full((32, 64, 3), 255 * index, np.uint8)
        Image.fromarray(shade).save(root / "images" / f"{index}.png")
        labels = np.full((8, 16), index)
        labels[:, 8:] = index + 2
        write_target(tmp_path, index, np.eye(19, dtype=np.uint8)[labels] * 255)
    images = open_dataset(Source(dataset="folder", root=root), labelled=False)

    def draw(seed: int):
        chosen = Training(crop=(32, 64), scale=(1.0, 1.0), inference_height=32)
        info = checkpoints.describe_model(Model(**TINY_MODEL), chosen)
        return Views(images, tmp_path, chosen, info)(np.random.default_rng(seed))

    return draw


def test_views_are_a_function_of_the_random_numbers(draw):
    (one, target), (other, same) = draw(3), draw(3)
    assert (one == other).all()
    assert (target == same).all()


GRIDS = [
    ((263, 479), (12, 20)),  # much larger than its target
    ((97, 163), (24, 40)),
    ((100, 161), (48, 80)),
    ((61, 103), (48, 80)),
    ((24, 40), (48, 80)),  # smaller
    ((37, 53), (48, 80)),
]


@pytest.mark.parametrize(("size", "grid"), GRIDS)
@pytest.mark.parametrize("axis", [0, 1])
def test_targets_lie_where_their_views_show_them(size, grid, axis):
    """Edges in a view and in its target, flipped or not, wherever windows are cut."""
    crop = 48, 80
    rng = np.random.default_rng(0)
    moved: dict[bool, list[float]] = {False: [], True: []}
    for seed, place in enumerate(rng.uniform(0.2, 0.8, 800)):
        image = black_and_white(edge(size, place, axis))
        image[..., 1] = np.linspace(0, 255, size[1])
        # The target's edge is soft, so that it may lie anywhere in a cell.
        cells = np.clip(np.arange(1, grid[axis] + 1) - place_of(image[..., 0] / 255, axis)
                        * grid[axis] / size[axis], 0, 1)  # fmt: skip
        soft = np.broadcast_to(cells[:, None] if axis == 0 else cells, grid)
        target = np.rint(soft[..., None] * 255).astype(np.uint8)
        view, part = random_view(image, target, crop, (0.3, 1.0), np.random.default_rng(seed))
        shown = view[..., 0] / 255
        if 0.15 < shown.mean() < 0.85:
            distance = 4 * place_of(part[..., 0] / 255, axis) - place_of(shown, axis)
            moved[bool(view[0, 0, 1] > view[0, -1, 1])].append(distance)
    for distances in moved.values():
        assert len(distances) > 100
        assert abs(np.mean(distances)) < TOLERANCE
        assert np.abs(distances).max() < 1.5  # soft edges are cut off at the borders of a window


@pytest.mark.parametrize(("size", "grid"), GRIDS)
def test_a_cell_is_a_whole_number_of_pixels(size, grid):
    rows, columns = aligned_size(size, grid, (48, 80), 0.3)
    assert (rows % grid[0], columns % grid[1]) == (0, 0)
    assert rows // grid[0] == columns // grid[1]
    # No view is enlarged, but where images are too small anyway.
    smallest = rows * np.sqrt(0.3 / 1.25), columns * np.sqrt(0.3 * 0.8)
    cell = rows // grid[0]
    is_enough = smallest[0] >= 48 - cell and smallest[1] >= 80 - cell
    assert is_enough or (rows >= size[0] and columns >= size[1])
    assert aligned_size((rows, columns), grid, (48, 80), 0.3) == (rows, columns)


def test_views_are_cut_from_images_on_the_grid_of_their_targets():
    settings = Training(crop=(32, 64), scale=(0.5, 1.0))
    info = checkpoints.describe_model(Model(**TINY_MODEL), settings)
    source = ViewSource((32, 64), 0.5, info)
    grid = target_size((1024, 2048), info)
    assert source(1024, 2048) == aligned_size((1024, 2048), grid, (32, 64), 0.5)
    assert repr(source) == repr(ViewSource((32, 64), 0.5, info.model_copy(update={"coverage": ()})))


@pytest.mark.parametrize("channels", [127, 129, 255 + 32])
def test_a_target_may_have_more_channels_than_an_image(channels):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, (12, 20, channels), np.uint8)
    image = np.zeros((48, 80, 3), np.uint8)
    _, part = random_view(image, target, (32, 64), (0.3, 1.0), np.random.default_rng(1))
    assert part.shape == (8, 16, channels)
    for c in (0, channels - 1):  # each channel as if it were alone
        alone = np.repeat(target[..., c : c + 1], 3, axis=-1)
        _, expected = random_view(image, alone, (32, 64), (0.3, 1.0), np.random.default_rng(1))
        assert (part[..., c] == expected[..., 0]).all()
