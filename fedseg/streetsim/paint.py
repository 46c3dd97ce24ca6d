"""Painting on the canvas: every stroke goes to the picture and to the label at once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import cv2
import numpy as np

from .camera import Camera, frame, project
from .texture import Colour

SHIFT = 3  # binary digits behind the point in polygon corners

Shape = tuple[Sequence[tuple[float, ...]], Colour, int]  # outline, colour, label


@dataclass
class Canvas:
    """Picture and label while they are painted, in one array so that each stroke is one call."""

    pixels: np.ndarray  # uint8 H x W x 4: red, green, blue, label
    camera: Camera
    haze: Colour  # what distance fades to
    visibility: float  # metres at which 63 % has faded
    night: bool
    glows: list[tuple[float, float, float, Colour]] = field(default_factory=list)  # x, y, radius

    def fading(self, depth: float) -> float:
        """How much of something `depth` metres away is lost in haze, 0..1."""
        return 1 - math.exp(-depth / self.visibility)


def window(canvas: Canvas, points: np.ndarray) -> tuple[int, int, int, int] | None:
    """The canvas around points (int32 N x 2): left, top, right, low; None if they are outside."""
    height, width = canvas.pixels.shape[:2]
    x, y, w, h = cv2.boundingRect(points)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def fill(
    canvas: Canvas,
    shapes: Sequence[Shape],
    place: Callable[[np.ndarray], np.ndarray],
    depth: float,
) -> None:
    """Fills polygons, the first at the back, hazy as at `depth` metres.

    `place` takes an array of all corners to canvas positions (N x 2): one call for all of them,
    because calls cost more than corners.
    """
    numbers = chain.from_iterable(chain.from_iterable([shape[0] for shape in shapes]))
    corners = place(np.fromiter(numbers, float).reshape(-1, len(shapes[0][0][0])))
    pieces = [(len(outline), colour, label) for outline, colour, label in shapes]
    fill_placed(canvas, corners, pieces, depth)


def fill_placed(
    canvas: Canvas, corners: np.ndarray, pieces: list[tuple[int, Colour, int]], depth: float
) -> None:
    """Fills polygons whose corners have canvas positions; a piece is count, colour and label."""
    corners = np.rint(corners * (1 << SHIFT)).astype(np.int32)
    lost, start = canvas.fading(depth), 0
    keep, (hr, hg, hb) = 1 - lost, [lost * c for c in canvas.haze]
    for count, (r, g, b), label in pieces:
        stop = start + count
        pixel = (r * keep + hr, g * keep + hg, b * keep + hb, label)
        cv2.fillPoly(canvas.pixels, [corners[start:stop]], pixel, shift=SHIFT)
        start = stop


def fill_street(canvas: Canvas, shapes: Sequence[Shape], depth: float) -> None:
    """Fills polygons given in street coordinates."""
    fill(canvas, shapes, partial(project, canvas.camera), depth)


def figure(canvas: Canvas, t: float, s: float, shapes: Sequence[Shape]) -> None:
    """Fills polygons given in metres right and up from a foot on the ground."""
    x, y, scale = frame(canvas.camera, t, s)
    fill(canvas, shapes, lambda corners: corners * (scale, -scale) + (x, y), s)


def panel(
    canvas: Canvas,
    corners: np.ndarray,
    picture: np.ndarray,
    colours: np.ndarray,
    label: int,
    shows: np.ndarray | None = None,
) -> None:
    """Hangs a picture on four street points: top left, top right, low right, low left.

    The picture (uint8) holds indices into `colours` (256 x 3). Where `shows` (uint8, the picture's
    size) is 0 the background stays; the label covers it all.
    """
    quad = project(canvas.camera, corners)
    view = window(canvas, np.rint(quad).astype(np.int32))
    if view is None:
        return
    x0, y0, x1, y1 = view
    target = (quad - (x0, y0)).astype(np.float32)
    lost = canvas.fading(float(corners[0, 2] + corners[1, 2]) / 2)
    colours = colours * (1 - lost) + np.multiply(canvas.haze, lost)
    flat = _looked_up(picture, colours.clip(0, 255), label)
    h, w = picture.shape
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    size = (x1 - x0, y1 - y0)
    # A mask, because a transparent border would blend labels.
    covered = np.zeros(size[::-1], np.uint8)
    outline = np.rint(target * (1 << SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(covered, outline, 255, shift=SHIFT)
    region = canvas.pixels[y0:y1, x0:x1]
    if shows is not None:
        _relabel(region, covered, label)
        covered &= cv2.warpPerspective(shows, matrix, size, flags=cv2.INTER_NEAREST)
    warped = cv2.warpPerspective(flat, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    cv2.copyTo(warped, covered, region)


def sprite(
    canvas: Canvas,
    plant: np.ndarray,
    colours: np.ndarray,
    box: tuple[float, float, float, float],
    label: int,
    mirrored: bool,
) -> None:
    """Puts a plant (uint8 N x N x 3: shading, shows, counts) into a box x0, y0, x1, y1.

    Its shading is looked up in a colour map (`ramp`).
    """
    x0, y0, x1, y1 = box
    view = window(canvas, np.array([(x0, y0), (x1, y1)], np.int32))
    if view is None:
        return
    left, top, right, low = view
    across, down = (x1 - x0) / plant.shape[1], (y1 - y0) / plant.shape[0]
    if mirrored:
        across, x0 = -across, x1
    matrix = np.array([[across, 0, x0 - left], [0, down, y0 - top]])
    shade, shows, counts = cv2.split(cv2.warpAffine(plant, matrix, (right - left, low - top)))
    region = canvas.pixels[top:low, left:right]
    picture = _looked_up(shade, colours, label)
    cv2.copyTo(picture, cv2.compare(shows, 127, cv2.CMP_GT), region)
    _relabel(region, cv2.compare(counts, 127, cv2.CMP_GT), label)


def _looked_up(indices: np.ndarray, colours: np.ndarray, label: int) -> np.ndarray:
    """A picture (uint8 H x W) in colours (0..255, 256 x 3) and with its label, as canvas pixels."""
    table = np.full((256, 4), label, np.uint8)
    table[:, :3] = colours
    return table.view(np.uint32)[:, 0].take(indices).view(np.uint8).reshape(*indices.shape, 4)


def _relabel(region: np.ndarray, mask: np.ndarray, label: int) -> None:
    """Changes only the label, where the mask is 255; OpenCV is far faster here than indexing."""
    labels = cv2.extractChannel(region, 3)
    cv2.copyTo(np.full_like(mask, label), mask, labels)
    cv2.insertChannel(labels, region, 3)
