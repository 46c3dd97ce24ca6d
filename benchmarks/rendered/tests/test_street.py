"""Streets of the rendered worlds; no renderer is needed."""

from functools import cache

import numpy as np
import pytest
from rendered.labels import IGNORE, SKY, TERRAIN, TRAIN, TRUCK
from rendered.rendering.scene import BUCKETS
from rendered.street.assets import Assets
from rendered.street.build import build
from rendered.worlds import WORLDS

from fedseg.classes import CLASSES

assets = cache(lambda name: Assets(WORLDS[name]))


@cache
def street(name: str, number: int):
    world = WORLDS[name]
    rng = np.random.default_rng([number, 101 * world.number])
    return build(world, rng, assets(name))


def test_world_and_number_alone_decide():
    again = build(WORLDS["suburb"], np.random.default_rng([0, 202]), assets("suburb"))
    other = street("suburb", 0).mesh.merged()
    for key, part in again.mesh.merged().items():
        np.testing.assert_array_equal(part.vertices, other[key].vertices)
    assert not np.array_equal(
        street("suburb", 1).mesh.merged()[SKY - 2, "plain"].vertices[:50],
        other[SKY - 2, "plain"].vertices[:50],
    )


@pytest.mark.parametrize("name", WORLDS)
def test_every_part_can_be_rendered(name):
    parts = street(name, 0).mesh.merged()
    assert set(parts) <= set(BUCKETS)
    for part in parts.values():
        assert all(np.isfinite(column).all() for column in part)
        assert part.faces.min() >= 0
        assert part.faces.max() < len(part.vertices)
    labels = {label for label, _ in parts}
    assert labels <= {*range(len(CLASSES)), IGNORE}
    assert SKY not in labels  # it is where nothing is


@pytest.mark.parametrize("name", WORLDS)
def test_nothing_on_the_road_hides_the_view(name):
    built = street(name, 0)
    for x, y, half_width, half_length in built.occupied:
        beside = abs(x - built.camera_x) >= half_width + 1.25
        assert beside or not -half_length - 3.5 < y < half_length + 3.2


def test_suburb_lacks_what_synthia_lacks():
    for number in range(2):
        labels = {label for label, _ in street("suburb", number).mesh.merged()}
        assert not labels & {TERRAIN, TRUCK, TRAIN}


def test_dark_is_never_a_fine_day():
    weathers = {street("dark", number).weather for number in range(3)}
    assert weathers <= {"rain", "dusk", "night"}
    assert len(weathers) > 1


def test_cab_looks_from_above():
    assert min(street("cab", number).camera_height for number in range(2)) >= 2.3


def test_worlds_have_their_own_numbers():
    numbers = [world.number for world in WORLDS.values()]
    assert len(set(numbers)) == len(numbers)
    for world in WORLDS.values():
        assert len(world.facades) == 16
        assert sum(world.lanes) == pytest.approx(1)
