"""The road's texture: its surface, and the lines, arrows and crosswalks painted on it."""

import cv2
import numpy as np

from ..textures.roads import Markings
from .assets import ROAD_LENGTH
from .street import SIDES

TEXTURE_START = -6.0
"""The y at which the road's texture begins; it repeats."""
CLEAR = 5.2
"""Metres beside a crossing street without lines."""
RED_LANE = (0.45, 0.16, 0.13)


def paint_road(street):
    """Sets `street.road_texture` (uint8); returns the white of its paint."""
    rng, world = street.rng, street.world
    surface, cobbled = street.assets.road(int(rng.integers(14)), street.half_width)
    wet = street.weather == "rain"
    bright = rng.uniform(0.55, 0.75) if wet else rng.uniform(0.85, 1.12)
    surface = cv2.convertScaleAbs(surface, alpha=bright)
    markings = Markings(rng, surface, street.half_width, ROAD_LENGTH, TEXTURE_START)
    white = np.array([0.80, 0.80, 0.78]) * rng.uniform(0.85, 1.1)
    yellow = np.array([0.78, 0.58, 0.14]) * rng.uniform(0.85, 1.1)
    if not cobbled or rng.uniform() < 0.4:
        for start, end in _pieces(street):
            _center(street, markings, start, end, yellow if world.yellow_center else white)
            _lanes(street, markings, start, end, white)
            _edges(street, markings, start, end, white, yellow)
            _cycle_lane(street, markings, start, end)
            _arrows(street, markings, end, white)
        _crosswalks(street, markings, white, yellow)
    if street.tram:
        _rails(street, markings)
    street.road_texture = markings.worn(rng.uniform(0.02, 0.45))
    return white


def _pieces(street):
    """(start, end) of the road between crossing streets, within the texture."""
    last = TEXTURE_START + ROAD_LENGTH
    start = TEXTURE_START
    pieces = []
    for at, width in street.crossings:
        pieces.append((start, at - width / 2 - CLEAR))
        start = at + width / 2 + CLEAR
    pieces.append((start, last))
    pieces = [(max(start, TEXTURE_START), min(end, last)) for start, end in pieces]
    return [(start, end) for start, end in pieces if end - start >= 1]


def _center(street, markings, start, end, color):
    rng, world = street.rng, street.world
    if street.lanes > 1 or world.yellow_center:
        if not street.median:
            for x in (-0.14, 0.14):
                markings.rectangle(x - 0.06, start, x + 0.06, end, color)
    elif world.center_line >= 1 or rng.uniform() < world.center_line:
        if rng.uniform() < 0.75:
            dash, gap = rng.uniform(1.5, 4), rng.uniform(2, 5)
            markings.dashed(0, 0.13, dash, gap, color, start, end, rng.uniform(-3, 0))
        else:
            markings.rectangle(-0.07, start, 0.07, end, color)


def _lanes(street, markings, start, end, white):
    rng = street.rng
    for lane in range(1, street.lanes):
        for side in SIDES:
            x = side * (street.median / 2 + lane * street.lane_width)
            gap = rng.uniform(4, 8)
            markings.dashed(x, 0.12, 3, gap, white, start, end, rng.uniform(-3, 0))


def _edges(street, markings, start, end, white, yellow):
    """Lines of parking lanes, or at the kerb."""
    rng = street.rng
    for i, side in enumerate(SIDES):
        if street.parking[i] and street.half_width - street.half_lanes > 1:
            x = side * street.half_lanes
            if rng.uniform() < 0.6:
                markings.rectangle(x - 0.05, start, x + 0.05, end, white)
            if rng.uniform() < 0.3:
                for y in np.arange(start, end, 5.6):
                    kerb = side * (street.half_width - 0.1)
                    markings.rectangle(x, y - 0.05, kerb, y + 0.05, white)
        elif rng.uniform() < 0.5:
            for inward in (0, 0.2) if street.world.double_edge else (0,):
                x = side * (street.half_width - 0.35 - inward)
                color = yellow if rng.uniform() < 0.35 else white
                markings.rectangle(x - 0.05, start, x + 0.05, end, color)


def _cycle_lane(street, markings, start, end):
    rng = street.rng
    chosen = rng.uniform() < 0.3
    if chosen and street.world.cycle_lanes and street.lanes == 1 and rng.uniform() < 0.4:
        right = street.half_lanes - 0.1
        markings.rectangle(right - 1.2, start, right, end, RED_LANE)


def _arrows(street, markings, end, white):
    rng = street.rng
    if rng.uniform() >= 0.45:
        return
    for lane in range(street.lanes):
        x = street.median / 2 + (lane + 0.5) * street.lane_width
        y = end - rng.uniform(4, 12)
        markings.rectangle(x - 0.08, y - 2.6, x + 0.08, y - 0.6, white)
        markings.polygon([(x - 0.32, y - 0.8), (x + 0.32, y - 0.8), (x, y + 0.5)], white)


def _crosswalks(street, markings, white, yellow):
    """Crosswalks and stop lines at the crossing streets, and box junctions."""
    rng, world, half_width = street.rng, street.world, street.half_width
    zebra = rng.uniform() < 0.7
    for at, width in street.crossings:
        for edge, away in ((at - width / 2, -1), (at + width / 2, 1)):
            if rng.uniform() < world.crosswalks:
                _crosswalk(markings, half_width, edge, away, zebra, white)
            left, right = street.median / 2, street.half_lanes
            if away > 0:
                left, right = -street.half_lanes, -street.median / 2
            markings.rectangle(left, edge + away * 4.1, right, edge + away * 4.55, white)
        if world.box_junctions and rng.uniform() < world.box_junctions:
            _box_junction(markings, half_width, at, width, yellow)


def _crosswalk(markings, half_width, edge, away, zebra, white):
    if zebra:
        for x in np.arange(-half_width + 0.3, half_width - 0.3, 1.0):
            markings.rectangle(x, edge + away * 0.6, x + 0.5, edge + away * 3.4, white)
        return
    for line in (0.6, 3.2):
        y = edge + away * line
        markings.rectangle(-half_width + 0.1, y - 0.13, half_width - 0.1, y + 0.13, white)


def _box_junction(markings, half_width, at, width, yellow):
    """Diagonal lines both ways."""
    low, high = at - width / 2, at + width / 2
    for x in np.arange(-half_width - width, half_width, 1.6):
        ahead = x + width
        rising = [(x, low), (x + 0.14, low), (ahead + 0.14, high), (ahead, high)]
        falling = [(x, high), (x + 0.14, high), (ahead + 0.14, low), (ahead, low)]
        markings.polygon(rising, yellow)
        markings.polygon(falling, yellow)


def _rails(street, markings):
    start, end = TEXTURE_START, TEXTURE_START + ROAD_LENGTH
    for track in street.tracks:
        for offset in (-0.72, 0.72):
            rail = track + offset
            markings.rectangle(rail - 0.09, start, rail + 0.09, end, (0.33, 0.33, 0.33))
            markings.rectangle(rail - 0.035, start, rail + 0.035, end, (0.16, 0.15, 0.15))
            markings.rectangle(rail - 0.06, start, rail - 0.03, end, (0.6, 0.6, 0.6))
