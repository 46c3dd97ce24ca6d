"""Textures: noise tiles, foliage, facades, walls and fences.

Tiles and sprites are made once per process from fixed seeds (so every process has the same ones)
and are cropped, warped and tinted afterwards.
"""

from functools import lru_cache

import cv2
import numpy as np

from fedseg.resize import enlarge

TILE = 256  # pixels along a side of a noise tile

Colour = tuple[float, float, float]

_WEIGHTS = np.linspace(0, 1, 256)


def scaled(colour: Colour, factor: float) -> Colour:
    """The colour, lighter or darker (`factor` is not negative), at most 255."""
    r, g, b = colour
    r, g, b = r * factor, g * factor, b * factor
    return (r if r < 255 else 255.0, g if g < 255 else 255.0, b if b < 255 else 255.0)


def mixed(a: Colour, b: Colour, weight: float) -> Colour:
    """From `a` (weight 0) to `b` (weight 1)."""
    return tuple(p + (q - p) * weight for p, q in zip(a, b, strict=True))


@lru_cache(maxsize=64)
def noise(seed: int, coarse: int = 4, fine: int = 128, fall: float = 0.7) -> np.ndarray:
    """Fractal noise that wraps around: float32 TILE x TILE, mean 0, deviation 1.

    Octaves run from `coarse` to `fine` cells a side; each is `fall` times as strong as the last.
    """
    rng = np.random.default_rng(seed)
    total, strength, cells = np.zeros((TILE, TILE), np.float32), 1.0, coarse
    while cells <= fine:
        grid = np.pad(rng.standard_normal((cells, cells)).astype(np.float32), 2, mode="wrap")
        step = TILE // cells
        big = enlarge(grid, step)
        total += strength * big[2 * step : 2 * step + TILE, 2 * step : 2 * step + TILE]
        strength, cells = strength * fall, cells * 2
    return (total - total.mean()) / total.std()


def around_128(field: np.ndarray, spread: float) -> np.ndarray:
    """A field of deviation 1 as uint8 around 128, to multiply by with a scale of 1/128."""
    return np.clip(128 + spread * field, 0, 255).astype(np.uint8)


def crop(tile: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A piece of a wrapping tile from a random place, of any size."""
    y, x = rng.integers(TILE, size=2)
    if y + height <= TILE and x + width <= TILE:
        return tile[y : y + height, x : x + width]
    return tile[(np.arange(height) + y) % TILE][:, (np.arange(width) + x) % TILE]


@lru_cache(maxsize=8)
def surfaces(road: str) -> np.ndarray:
    """What the ground is multiplied by, around 128; spans 8 x 8 metres.

    Channels of a uint8 TILE + 1 x TILE + 1 x 3: the road (asphalt or cobbles), paving and grass.
    The last row and column repeat the first, so that interpolation wraps around.
    """
    tile = cv2.merge([_surface(kind) for kind in (road, "slabs", "grass")])
    return np.pad(tile, ((0, 1), (0, 1), (0, 0)), mode="wrap")


def _surface(kind: str) -> np.ndarray:
    if kind == "asphalt":
        field = 9 * noise(10, 2, 8) + 11 * noise(11, 32, 256, 1.0)
        field -= 40 * (np.abs(noise(12, 2, 32)) < 0.025)  # cracks
    elif kind == "grass":
        field = 20 * noise(13, 4, 32) + 26 * noise(14, 32, 256, 1.0)
    else:
        cell = {"slabs": 16, "cobbles": 8}[kind]
        rng = np.random.default_rng(15)
        tones = rng.standard_normal((TILE // cell, TILE // cell))
        field = 11 * np.kron(tones, np.ones((cell, cell))) + 9 * noise(16, 2, 128)
        joint = np.arange(TILE) % cell == 0
        field[joint] -= 34
        field[:, joint] -= 34
    return around_128(field, 1.0)


@lru_cache(maxsize=64)
def crown(kind: str, variant: int) -> np.ndarray:
    """A plant: its shading (0..255), what shows of it and what counts as it (0 or 255).

    These are the channels of a uint8 96 x 96 x 3. Kinds: round, cone, bush, palm, bare.
    """
    size = 96
    rng = np.random.default_rng([20, variant, len(kind), ord(kind[0])])
    light = np.zeros((size, size), np.float32)
    shape = np.zeros((size, size), np.uint8)
    if kind == "bare":
        _branch(shape, light, rng, (size / 2, size - 1.0), -np.pi / 2, size * 0.24, 4.0)
        counts = cv2.morphologyEx(shape, cv2.MORPH_CLOSE, np.ones((13, 13), np.uint8))
        return cv2.merge([np.clip(light, 0, 255).astype(np.uint8), shape, counts])
    if kind == "palm":
        for angle in np.linspace(0, 2 * np.pi, 13) + rng.uniform(0, 0.4, 13):
            bend = np.linspace(0, 1, 8)
            x = size / 2 + np.cos(angle) * 44 * bend
            y = size * 0.42 + np.sin(angle) * 26 * bend + 26 * bend**2
            points = np.rint(np.stack([x, y], 1)).astype(np.int32)
            tone = float(rng.uniform(70, 200))
            cv2.polylines(light, [points], False, tone, 7)
            cv2.polylines(shape, [points], False, 255, 7)
    else:
        for i in range(70):
            depth = i / 70
            angle, out = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform()) * 0.36 * size
            x, y = size / 2 + np.cos(angle) * out, size / 2 + np.sin(angle) * out
            radius = rng.uniform(5, 13)
            if kind == "cone":
                y = rng.uniform(0.12, 0.95) * size
                x = size / 2 + rng.uniform(-0.4, 0.4) * y
                radius = rng.uniform(3, 8)
            elif kind == "bush":
                x, y = rng.uniform(10, size - 10), rng.uniform(0.35, 1.0) * size
            tone = 45 + 75 * depth + 90 * (1 - y / size) + rng.normal(0, 14)
            cv2.circle(light, (int(x), int(y)), int(radius), float(tone), -1)
            cv2.circle(shape, (int(x), int(y)), int(radius), 255, -1)
    leaves = noise(21 + variant % 4, 16, 128, 1.0)[:size, :size]
    light = cv2.GaussianBlur(light, (0, 0), 1.5) + 30 * leaves
    ragged = cv2.GaussianBlur(shape, (0, 0), 3).astype(np.float32) + 55 * leaves
    shape = np.where(ragged > 110, 255, 0).astype(np.uint8)
    counts = cv2.morphologyEx(shape, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    return cv2.merge([np.clip(light, 0, 255).astype(np.uint8), shape, counts])


def _branch(shape, light, rng, start, angle, length, width) -> None:
    """A branch and, from its end, smaller ones."""
    end = (start[0] + np.cos(angle) * length, start[1] + np.sin(angle) * length)
    a, b = (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))
    cv2.line(shape, a, b, 255, max(int(width), 1))
    cv2.line(light, a, b, float(rng.uniform(60, 150)), max(int(width), 1))
    if length > 5:
        for turn in (-0.55, 0.0, 0.5):
            turned = angle + turn + rng.normal(0, 0.2)
            _branch(shape, light, rng, end, turned, length * 0.72, width * 0.6)


def ramp(dark: Colour, light: Colour) -> np.ndarray:
    """A colour map, uint8 256 x 3."""
    dark = np.array(dark)[:, None]  # long rows are what numpy is fast at
    return (dark + _WEIGHTS * (np.array(light)[:, None] - dark)).clip(0, 255).astype(np.uint8).T


STOREYS, BAYS, CELL = 8, 9, 16  # of a facade; a cell is one window's, in pixels
_PANES = np.array((22, 26, 32)) + _WEIGHTS[::4, None] * (130, 144, 156)  # dark to sky
_MIDDLE = 85  # index of the wall's own colour
_TONES = np.arange(128)[:, None] / _MIDDLE
_GLASS, _LAMP, _FRAME, _SILL, _CORNICE, _DOOR, _BOARD = 128, 192, 224, 225, 226, 227, 232


@lru_cache(maxsize=256)
def facade(windows: str, shop: bool, rough: float, variant: int) -> np.ndarray:
    """A house front as indices into `facade_colours`, uint8 STOREYS * CELL x BAYS * CELL.

    Houses show pieces of it. Windows: sash, wide, band or none. `rough` is the deviation of the
    wall's noise (of 128).
    """
    rng = np.random.default_rng([22, variant, len(windows), ord(windows[0]), shop])
    height, width = STOREYS * CELL, BAYS * CELL
    field = 0.8 * noise(1, 2, 16) + 0.6 * noise(2, 32, 256, 0.9)
    picture = (_MIDDLE + rough * 0.66 * crop(field, height, width, rng)).clip(0, 127)
    if rng.random() < 0.4:  # courses of brick
        picture[:: int(rng.integers(2, 5))] *= 0.85
    picture = picture.astype(np.uint8)
    if windows != "none":
        half, top, low = {"sash": (0.22, 0.2, 0.78), "wide": (0.34, 0.25, 0.75)}.get(
            windows, (0.5, 0.3, 0.8)
        )
        half, top, low = half * rng.uniform(0.85, 1.1), top + rng.uniform(-0.08, 0.05), low
        left, right = round((0.5 - half) * CELL), round((0.5 + half) * CELL)
        top, low = round(top * CELL), round(low * CELL)
        framed, split = rng.random() < 0.7, rng.random() < 0.6
        tones = np.empty((STOREYS, 1, BAYS, 1), int)
        for at in np.ndindex(tones.shape):
            first, last = (_LAMP, _FRAME) if rng.random() < 0.35 else (_GLASS, _LAMP)
            tones[at] = first + min(max(int(rng.normal(20, 14)), 0), last - first - 4)
        cells = picture.reshape(STOREYS, CELL, BAYS, CELL)  # all windows at once
        if framed:
            cells[:, top:low, :, max(left, 0) : right] = _FRAME
        shine = np.arange(low - top - 2)[::-1, None, None] // 3
        cells[:, top + 1 : low - 1, :, max(left + 1, 0) : right - 1] = tones + shine
        if split and windows != "band":
            cells[:, top:low, :, CELL // 2] = _FRAME
            if windows == "sash":
                cells[:, (top + low) // 2, :, left:right] = _FRAME
        cells[:, low, :, max(left - 1, 0) : right + 1] = _SILL
    if rng.random() < 0.5:
        picture[::CELL] = _CORNICE
    if shop:
        _shopfront(rng, picture[-CELL:])
    else:
        for bay in range(int(rng.integers(3)), BAYS, 3):
            picture[-CELL * 3 // 4 :, bay * CELL + 5 : bay * CELL + 11] = _DOOR
    return picture


def _shopfront(rng, floor: np.ndarray) -> None:
    """Turns a ground floor into shop windows under boards."""
    left = 0
    while left < floor.shape[1]:
        step = CELL * int(rng.integers(1, 4))
        kind, piece = int(rng.integers(8)), floor[:, left : left + step]
        piece[:] = _BOARD + 8 + kind
        piece[:4] = _BOARD + kind
        piece[1:3, step // 5 : step // 2] = _BOARD + 16 + kind
        piece[5:-2, 1:-2] = _GLASS + int(rng.integers(30))
        piece[5:-2, 1 : step // 2] += 8
        if rng.random() < 0.5:
            piece[4:, step // 2 : step // 2 + 5] = _BOARD + 8 + kind
        left += step


def facade_colours(wall: Colour, night: bool, rng: np.random.Generator) -> np.ndarray:
    """What the indices of a facade look like, float 256 x 3."""
    colours = np.empty((256, 3))
    colours[:_GLASS] = _TONES * wall
    colours[_GLASS:_LAMP] = _PANES
    colours[_LAMP:_FRAME] = (238, 196, 118) if night else _PANES[:32]
    colours[_FRAME] = (225, 222, 215) if rng.random() < 0.65 else scaled(wall, 0.6)
    colours[_SILL], colours[_CORNICE] = scaled(wall, 0.6), scaled(wall, 1.2)
    colours[_DOOR:_BOARD] = rng.uniform(20, 140, 3)
    boards = rng.uniform(20, 230, (8, 3))
    colours[_BOARD:] = np.concatenate([boards, boards * 0.45, 255 - boards])
    return colours


def shades(colour: Colour) -> np.ndarray:
    """Colours for an index picture whose middle (128) is `colour`, float 256 x 3."""
    return np.outer(np.arange(256) / 128, colour)


@lru_cache(maxsize=16)
def masonry(variant: int) -> np.ndarray:
    """A garden wall of bricks or concrete, uint8 24 x 96 around 128."""
    rng = np.random.default_rng([23, variant])
    wall = np.full((24, 96), 118.0)
    if variant % 3:
        wall[3::4] = 88
        for row in range(0, 24, 4):
            wall[row : row + 3, (row // 4 % 2) * 4 :: 8] = 85
    else:
        wall[:, ::24] = 85
    wall[:2] = 145
    return (wall + 20 * crop(noise(17, 4, 128), 24, 96, rng)).clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=16)
def railing(variant: int) -> np.ndarray:
    """What shows of a fence, uint8 0 or 255, 24 x 96: boards, bars, rails or mesh."""
    shows = np.zeros((24, 96), np.uint8)
    if variant % 4 == 0:
        shows[2:] = 255
        shows[:, ::6] = 0
    elif variant % 4 == 1:
        shows[:, ::3] = 255
    elif variant % 4 == 2:
        shows[4:9] = shows[13:18] = 255
    else:
        rows, columns = np.mgrid[:24, :96]
        shows[((rows + columns) % 6 == 0) | ((rows - columns) % 6 == 0)] = 255
    shows[:2] = shows[20:22] = 255
    shows[:, ::24] = shows[:, 1::24] = 255
    return shows
