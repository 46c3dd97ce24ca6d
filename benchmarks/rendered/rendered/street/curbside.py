"""What stands on the sidewalk near the kerb."""

from typing import ClassVar

import numpy as np

from ..chance import happens, pick
from ..labels import IGNORE, POLE, TERRAIN
from ..objects.barriers import fence
from ..objects.cycles import bicycle, motorcycle
from ..objects.furniture import (
    bollard,
    bus_shelter,
    cabinet,
    cafe,
    cone,
    hydrant,
    lamp,
    lantern,
    litter_bin,
    utility_pole,
    wire,
)
from ..objects.signs import sign
from ..objects.traffic_lights import traffic_light
from ..objects.vegetation import bush
from .street import KERB, SIDES

LEANING = np.array([[1, 0, 0.08], [0, 1, 0], [-0.0, 0, 1.0]])
"""How a parked bicycle stands."""


def corners(street):
    """Traffic lights or signs at the crossing streets."""
    rng, mesh, world = street.rng, street.mesh, street.world
    for at, width in street.crossings:
        before, after = at - width / 2, at + width / 2
        if rng.uniform() < world.traffic_lights:
            state = rng.integers(3)
            for y in (before - 1.0, after + 1.2):
                for side in (1, -1):
                    if rng.uniform() < 0.8 and y > 2.5:
                        with mesh.at((side * (street.half_width + 0.55), y, KERB)):
                            traffic_light(mesh, rng, world, side, state)
            continue
        for side in SIDES:
            if rng.uniform() < 0.6 and before - 2 > 2:
                x, y = side * (street.half_width + 0.5), before - rng.uniform(1, 3)
                with mesh.at((x, y, KERB)):
                    sign(mesh, rng, world)


def curbside(street):
    """Everything along both kerbs, and the wires above."""
    rng, world = street.rng, street.world
    trees = [rng.uniform() < world.street_trees for _ in SIDES]
    for i, side in enumerate(SIDES):
        y = rng.uniform(1.5, 4)
        rng.uniform()  # not used
        while y < 130:
            step = rng.uniform(2.0, 3.2)
            if street.on_block(y, 2.5):
                step = Kerb(street, i, y).place(pick(rng, world.curbside), trees[i], step)
            y += step
        _lamps(street, side)
    _wires(street)


class Kerb:
    """A place at the kerb on side `i`, at `y`."""

    def __init__(self, street, i, y):
        self.street, self.mesh, self.rng, self.world = (
            street,
            street.mesh,
            street.rng,
            street.world,
        )
        self.i, self.side, self.y = i, SIDES[i], y

    def place(self, kind, trees, step):
        """Draws a thing of a kind; returns metres to the next, at least or about `step`."""
        street, rng = self.street, self.rng
        x = self.side * (street.half_width + rng.uniform(0.35, 0.6))
        if kind == "tree":
            room = street.sidewalk[self.i] + street.verge[self.i] >= 1.9
            return self._tree(step) if trees and room else step
        if kind == "bush":
            with self.mesh.at((self._planting_x(), self.y, KERB)):
                bush(self.mesh, rng, rng.uniform(0.3, 0.6), 0 if self.y < 25 else 1)
            return max(step, 4.0)
        if kind == "none":
            return step
        with self.mesh.at((x, self.y, KERB)):
            return self.DRAW[kind](self) or step

    def _planting_x(self):
        verge = self.street.verge[self.i]
        return self.side * (self.street.half_width + (verge * 0.5 if verge else 0.85))

    def _tree(self, step):
        x = self._planting_x()
        scale = self.rng.uniform(*self.world.tree_scale)
        self.street.assets.trees.plant(self.mesh, self.rng, x, self.y, KERB, scale)
        if not self.street.verge[self.i]:  # the pit it stands in
            label = TERRAIN if self.world.bare_tree_pits else IGNORE
            center = (x, self.y, KERB + 0.008)
            self.mesh.box(label, center, (1.1, 1.1, 0.02), (0.24, 0.18, 0.13), 0.95)
        return max(step, 4.0)

    def _bollards(self):
        for i in range(self.rng.integers(2, 6)):
            if self.street.on_block(self.y + 1.5 * i, 1.0):
                with self.mesh.at((0, 1.5 * i, 0)):
                    bollard(self.mesh, np.random.default_rng(4))  # all alike
        return 8

    def _fence(self):
        length, seed = self.rng.uniform(3, 7), self.rng.integers(1 << 30)
        if self.street.on_block(self.y + length):
            fence(self.mesh, np.random.default_rng(seed), length, 1.05, "rail")
        return length + 1

    def _bicycles(self):
        mesh, rng = self.mesh, self.rng
        count = rng.integers(1, self.world.bicycles_in_a_row)
        for i in range(count):
            turn = rng.normal(0, 0.15) + (np.pi / 2 if rng.uniform() < 0.6 else 0)
            with mesh.at((self.side * 0.35, i * 0.75, 0), turn), mesh.at(matrix=LEANING):
                bicycle(mesh, rng)
        return count * 0.75 + 1.4

    def _motorcycles(self):
        mesh, rng = self.mesh, self.rng
        count = rng.integers(1, 3)
        for i in range(count):
            turn = rng.normal(0, 0.3) + (np.pi / 2 if rng.uniform() < 0.5 else 0)
            with mesh.at((self.side * 0.45, i * 1.1, 0), turn):
                motorcycle(mesh, rng)
        return count * 1.1 + 1.5

    def _shelter(self):
        if self.street.sidewalk[self.i] > 2.4 and self.street.on_block(self.y, 4):
            bus_shelter(self.mesh, self.rng, self.side)
        return 5

    def _cafe(self):
        cafe(self.mesh, self.rng, self.side)
        return 4

    DRAW: ClassVar = {
        "lamp": lambda k: lamp(k.mesh, k.rng, k.world, k.street.night, k.side),
        "lantern": lambda k: lantern(k.mesh, k.rng, k.street.night),
        "sign": lambda k: sign(k.mesh, k.rng, k.world),
        "hydrant": lambda k: hydrant(k.mesh, k.rng),
        "bin": lambda k: litter_bin(k.mesh, k.rng),
        "cone": lambda k: cone(k.mesh),
        "cabinet": lambda k: cabinet(k.mesh, k.rng),
        "pole": lambda k: utility_pole(k.mesh, k.rng, k.world.wooden_poles),
        "bollards": _bollards,
        "fence": _fence,
        "bicycles": _bicycles,
        "motorcycles": _motorcycles,
        "shelter": _shelter,
        "cafe": _cafe,
    }
    """How each kind is drawn; what is returned is metres to the next thing."""


def _lamps(street, side):
    """Lamps at regular distances."""
    rng, mesh = street.rng, street.mesh
    y = rng.uniform(4, 20)
    while y < 150:
        if street.on_block(y) and rng.uniform() < 0.75:
            with mesh.at((side * (street.half_width + 0.45), y, KERB)):
                lamp(mesh, rng, street.world, street.night, side)
        y += rng.uniform(18, 32)


def _wires(street):
    """Wires above the tracks of trams, or between poles."""
    rng, mesh, edge = street.rng, street.mesh, street.half_width
    if street.tram and rng.uniform() < 0.9:
        for x in street.tracks:
            for y in np.arange(-10, 150, 8.0):
                wire(mesh, (x, y, 5.4), (x, y + 8, 5.4))
        for y in np.arange(rng.uniform(4, 20), 140, 26):
            wire(mesh, (-edge - 2, y, 7.2), (edge + 2, y, 7.2))
            for side in SIDES:
                if street.on_block(y, 1):
                    foot, top = (side * (edge + 0.7), y, 0), (side * (edge + 0.7), y, 7.4)
                    mesh.cylinder(POLE, foot, top, 0.11, 0.09, (0.3, 0.32, 0.32), 0.5, 8)
    elif happens(rng, street.world.wires):
        z = rng.uniform(6.5, 8)
        for offset in (-0.4, 0, 0.4):
            x = edge + 0.9 + offset
            for y in np.arange(-10, 150, 8.0):
                wire(mesh, (x, y, z), (x, y + 8, z))
