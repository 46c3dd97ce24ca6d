"""Vehicles, people on two wheels, and pedestrians."""

import numpy as np

from ..chance import pick
from ..mesh import Mesh
from ..objects.buses import bus
from ..objects.cars import car
from ..objects.cycles import bicycle, motorcycle
from ..objects.people import person, rider
from ..objects.trams import tram
from ..objects.trucks import truck
from .street import KERB, SIDES

VEHICLES = {"car": car, "bus": bus, "truck": truck}


def traffic(street):
    """Everything on the road."""
    density = street.world.draw(street.rng, street.world.density)
    _trams(street)
    for lane in range(street.lanes):
        for side in (1, -1):
            _lane(street, lane, side, density)
    for i in range(2):
        _parked(street, i)
        _along_kerb(street, i)
    _crossing(street)


def _vehicle(street, kind, x, y, turn):
    """A vehicle, if there is room for it."""
    rng, world, mesh = street.rng, street.world, Mesh()
    if kind == "tram":
        length, half_width = tram(mesh, rng)
    else:
        wet = street.weather in ("rain", "fog")
        lights = street.night or (wet and rng.random() < 0.7) or rng.random() < 0.12
        length, half_width = VEHICLES[kind](mesh, rng, world, lights)
    if street.claim(x, y, half_width, length / 2):
        with street.mesh.at((x, y, 0), turn):
            street.mesh.add_mesh(mesh)


def _two_wheeler(street, kind, x, y, turn):
    """A bicycle or motorcycle with a rider, if there is room."""
    if not street.claim(x, y, 0.35, 0.9):
        return
    rng, mesh = street.rng, street.mesh
    with mesh.at((x, y, 0), turn + rng.normal(0, 0.08)):
        (bicycle if kind == "bicycle" else motorcycle)(mesh, rng)
        seat = (0, -0.04, 0.0) if kind == "bicycle" else (0, -0.02, -0.12)
        with mesh.at(seat):
            rider(mesh, rng)


def _trams(street):
    if not street.tram:
        return
    rng = street.rng
    for x, turn in zip(street.tracks, (0, np.pi), strict=True):
        if rng.uniform() < street.world.tram_running:
            ahead = x > 0 and abs(x - street.camera_x) < 2
            y = rng.uniform(18, 75) if ahead else rng.uniform(10, 60)
            _vehicle(street, "tram", x, y + 8, turn)


def _lane(street, lane, side, density):
    """Vehicles in a lane; side 1 goes with the camera, -1 towards it."""
    rng = street.rng
    middle = side * (street.median / 2 + (lane + 0.5) * street.lane_width)
    first = rng.uniform(6, 34) if side > 0 else rng.uniform(4, 28)
    y = first / max(0.6, density)
    while y < 130:
        kind = pick(rng, street.world.traffic)
        x = middle + rng.normal(0, 0.22)
        turn = (0 if side > 0 else np.pi) + rng.normal(0, 0.02)
        half_length = {"bus": 7, "truck": 5}.get(kind, 2.5)
        hides_view = kind in ("bus", "truck") and abs(x - street.camera_x) < 2 and y < 16
        if kind in ("motorcycle", "bicycle"):
            aside = street.lane_width * 0.3 if kind == "bicycle" else rng.uniform(-0.6, 0.6)
            _two_wheeler(street, kind, x + side * aside, y, turn)
        elif not hides_view:
            _vehicle(street, kind, x, y + half_length, turn)
        y += half_length * 2 + 2 + rng.exponential(20) / density


def _parked(street, i):
    """Parked cars on side `i`."""
    if not (street.parking[i] and street.half_width - street.half_lanes > 1):
        return
    rng, side = street.rng, SIDES[i]
    full, y = rng.uniform(0.5, 1.0), rng.uniform(-6, 3)
    while y < 110:
        if street.on_block(y, 6.5) and rng.uniform() < full:
            kind = "car" if rng.uniform() < street.world.parked_cars else "truck"
            x = side * (street.half_width - 1.13) + rng.normal(0, 0.08)
            turn = (0 if side > 0 else np.pi) + rng.normal(0, 0.03)
            turn += np.pi if rng.uniform() < 0.08 else 0
            _vehicle(street, kind, x, y, turn)
            y += 2.5 if kind == "truck" else 0
        y += rng.uniform(5.4, 6.6)


def _along_kerb(street, i):
    """Cyclists near the kerb on side `i`."""
    rng, side = street.rng, SIDES[i]
    for _ in range(rng.poisson(street.world.cyclists)):
        edge = street.half_lanes if street.parking[i] else street.half_width
        x = side * (edge - rng.uniform(0.5, 1.0))
        kind = "bicycle" if rng.uniform() < 0.8 else "motorcycle"
        y = 5 + 45 * rng.uniform() ** 1.6
        _two_wheeler(street, kind, x, y, 0 if side > 0 else np.pi)


def _crossing(street):
    """Vehicles on the streets that cross."""
    rng, world = street.rng, street.world
    for at, width in street.crossings:
        if rng.uniform() >= 0.55:
            continue
        direction = 1 if rng.uniform() < 0.5 else -1
        x = rng.uniform(-16, 16)
        is_car = rng.uniform() < 0.85 or not world.crossing_trucks
        mesh = Mesh()
        length, half_width = (car if is_car else truck)(mesh, rng, world, street.night)
        y = at - direction * width * 0.22
        if y > 9 and street.claim(x, y, length / 2, half_width):
            with street.mesh.at((x, y, -0.02), -direction * np.pi / 2):
                street.mesh.add_mesh(mesh)


def pedestrians(street):
    """People on the sidewalks, at the crossings and on the road."""
    rng, world = street.rng, street.world
    expected = world.pedestrians * rng.uniform(0.4, 1.7)
    for i in range(2):
        _on_sidewalk(street, i, expected)
    for crossing in street.crossings:
        if rng.uniform() < world.crossing_pedestrians:
            _on_crosswalk(street, *crossing)
    for _ in range(rng.poisson(0.35)):
        x, y = rng.uniform(-street.half_width, street.half_width), rng.uniform(10, 45)
        if street.claim(x, y, 0.3, 0.3):
            with street.mesh.at((x, y, 0), rng.uniform(0, 6.28)):
                person(street.mesh, rng)


def _on_sidewalk(street, i, expected):
    rng, mesh, side = street.rng, street.mesh, SIDES[i]
    near = street.half_width + max(street.verge[i], 0.9) + 0.2
    far = street.half_width + street.verge[i] + street.sidewalk[i] - 0.3
    near = min(near, far - 0.3) if far - near < 0.3 else near
    for _ in range(rng.poisson(expected)):
        x, y = side * rng.uniform(near, far), 3.5 + 62 * rng.uniform() ** 1.5
        for companion in range(1 + (rng.uniform() < 0.3)):
            if not street.on_block(y, -0.5):
                continue
            outward = side * (1 if abs(x) + 0.6 < far else -1)
            place = (x + companion * 0.6 * outward, y + companion * 0.15, KERB)
            turn = (0 if rng.uniform() < 0.5 else np.pi) + rng.normal(0, 0.3)
            with mesh.at(place, turn):
                person(mesh, rng, walking=rng.uniform() < 0.75)


def _on_crosswalk(street, at, width):
    rng, mesh = street.rng, street.mesh
    for _ in range(rng.integers(1, 6)):
        x = rng.uniform(-street.half_width, street.half_width)
        before = rng.uniform() < 0.6
        beside = rng.uniform(0.8, 3.2)
        y = at - width / 2 - beside if before else at + width / 2 + beside
        if y > 5 and street.claim(x, y, 0.3, 0.3):
            turn = (np.pi / 2 if rng.uniform() < 0.5 else -np.pi / 2) + rng.normal(0, 0.3)
            with mesh.at((x, y, 0), turn):
                person(mesh, rng)
