"""Label files of every encoding, read as places in a card's class list.

A label image of one channel holds ids, one of three or four holds colours, unless the card names
the channel that holds ids; a JSON file holds polygons.
"""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageDraw

from fedseg.classes import IGNORE
from fedseg.data.cards import Card
from fedseg.data.images import (
    MOST_PIXELS,
    SIXTEEN_BITS,
    check_file,
    decoding,
    grey_bits,
    is_lossless,
    is_white_zero,
    unreadable,
)
from fedseg.errors import FedsegError

PALETTES = ("P", "PA")
"""Pillow's modes of images whose pixels are numbers of colours."""

FARTHEST = 2**40
"""Pixels from the image at which a polygon's point is taken seriously; float64 is exact to 1/1000
there."""

SHOWN = 5
"""How many of a file's unknown ids, colours or names an error lists."""


def read_label(path: Path, card: Card) -> np.ndarray:
    """Read a label file.

    Returns:
        uint8 [H, W], places in the card's class list, 255 ignored.

    Raises:
        FedsegError: the file can't be decoded, its encoding is lossy or not the card's, or it holds
            ids, colours or names that the card does not list.
    """
    if path.suffix.lower() == ".json":
        return _draw_polygons(path, card)
    with decoding(path) as image:
        _check_exact(path, card, image)
        if card.channel is not None:
            image.verify()  # OpenCV neither says what is wrong with a file nor always that it is
        elif image.mode in PALETTES:
            return _read_palette(path, card, image)
        else:
            raw = _read_pixels(path, card, image)
    if card.channel is not None:
        raw = _read_channel(path, card.channel)
    if raw.ndim == 2:
        return _translate(path, card, "ids", raw, card.id_table)
    return _translate(path, card, "colours", _colour_keys(raw), card.colour_table)


def _check_exact(path: Path, card: Card, image: Image.Image) -> None:
    """See that a label file holds each pixel exactly as it was drawn, and upright."""
    if not is_lossless(path, image):
        raise FedsegError(
            f"{path}: its compression is lossy ({image.format}), which changes labels; make the "
            "labels anew in a lossless format such as PNG"
        )
    if (bits := grey_bits(image)) is not None and bits not in (8, 16, 32):
        raise FedsegError(
            f"{path}: is grey of {bits} bits a pixel, of which nobody can tell whether its values "
            "are ids or shades; save it with 8 bits"
        )
    if is_white_zero(image):
        raise FedsegError(
            f"{path}: its tag PhotometricInterpretation says that 0 is white, which would invert "
            "ids; save it with 0 as black"
        )
    if image.format == "PNG" and card.channel is not None:
        return  # its orientation may stand at its end, which only decoding reaches
    if image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1):
        raise FedsegError(f"{path}: is a label with an EXIF orientation; save it upright, without")


def _read_pixels(path: Path, card: Card, image: Image.Image) -> np.ndarray:
    """uint8 or uint16 [H, W], ids; or uint8 [H, W, 3], RGB."""
    image.load()
    if image.mode in ("L", "I", *SIXTEEN_BITS):
        raw = np.asarray(image)
    elif image.mode in ("RGB", "RGBA", "RGBX"):
        raw = np.asarray(image.convert("RGB"))
    elif image.mode == "LA" and image.getextrema()[1] == (255, 255):
        raw = np.asarray(image.getchannel("L"))
    else:
        raise FedsegError(
            f"{path}: its pixels are of a kind that is no label (Pillow's mode '{image.mode}'); "
            "save it as grey ids of 8 or 16 bits, or as RGB colours"
        )
    kind = "ids" if raw.ndim == 2 else "colours"
    if not card.lists(kind):
        found = "an image of one channel" if raw.ndim == 2 else "a colour image"
        raise FedsegError(
            f"{path}: is {found}, but the card '{card.name}' lists no {kind}; "
            "choose the card that describes these labels"
        )
    if raw.dtype == np.int32:
        if raw.min() < 0 or raw.max() > np.iinfo(np.uint16).max:
            raise FedsegError(f"{path}: a label's ids must lie in 0..65535")
        raw = raw.astype(np.uint16)
    return raw


def _read_palette(path: Path, card: Card, image: Image.Image) -> np.ndarray:
    """A label whose pixels are numbers of a palette's colours: uint8 [H, W], places.

    Tools that make image files smaller may renumber a palette, but never change a colour. Colours
    decide where the card lists them and the numbers contradict them or can't be the original ones;
    shades of grey are ids, as in the grey image that a tool made a palette image of. Otherwise the
    numbers are ids, as in Mapillary Vistas, unless they may have been renumbered.
    """
    image.load()
    channel = image.getchannel("P") if image.mode == "PA" else image
    numbers = np.asarray(channel)
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)[:256]
    used = np.flatnonzero(channel.histogram())
    if used[-1] >= len(palette):
        raise unreadable(path, f"its palette has no colour {used[-1]}")
    colours, by_number = _colour_keys(palette[None])[0], card.id_table[: len(palette)]
    # A renumbered palette holds the colours that its image uses, and no others.
    is_short = len(palette) <= min(card.largest_id, 255)
    if card.lists("colours"):
        by_colour = card.colour_table[colours]
        is_known = (by_colour[used] != card.unknown).all()
        is_renumbered = is_short or _differ(card, by_number[used], by_colour[used])
        if not card.lists("ids") or (is_known and is_renumbered):
            if not is_known:
                keys = colours[numbers]
                return _translate(path, card, "colours", keys, card.colour_table)
            return cv2.LUT(numbers, np.resize(by_colour, 256)).astype(np.uint8, copy=False)
    elif not card.lists("ids"):
        raise FedsegError(
            f"{path}: is a palette image, but the card '{card.name}' lists neither ids nor "
            "colours; choose the card that describes these labels"
        )
    if (palette == palette[:, :1]).all():
        shades = cv2.LUT(numbers, np.resize(palette[:, 0], 256))
        return _translate(path, card, "ids", shades, card.id_table)
    if is_short or _differ(card, by_number[used], card.usual_colours[colours[used]]):
        raise FedsegError(
            f"{path}: a tool has probably renumbered its palette ({len(palette)} colours), so that "
            "its numbers are no longer ids; save the labels as grey ids of 8 bits, or list their "
            "colours in the card"
        )
    return _translate(path, card, "ids", numbers, card.id_table)


def _differ(card: Card, by_number: np.ndarray, by_colour: np.ndarray) -> bool:
    """Whether two readings of a palette give two classes, or one of them none, to a colour."""
    compared = (by_colour < len(card.classes)) & (by_number != IGNORE)
    return bool((by_number != by_colour)[compared].any())


def _read_channel(path: Path, channel: int) -> np.ndarray:
    """uint8 or uint16 [H, W]: one channel, counted as RGBA, of an image of 8 or 16 bits.

    Through OpenCV, because Pillow cuts 16-bit colour down to 8.
    """
    raw = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise unreadable(path, "its pixels can't be decoded")
    if raw.ndim == 2:
        return raw
    if channel >= raw.shape[2]:
        raise FedsegError(
            f"{path}: has {raw.shape[2]} channels, but the card reads channel {channel}; "
            "choose the card that describes these labels"
        )
    return np.ascontiguousarray(raw[..., (2, 1, 0, 3)[channel]])  # OpenCV's order is BGRA


def _colour_keys(colours: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> the colours as keys of `Card.colour_table`, uint32 [H, W]."""
    return cv2.cvtColor(colours, cv2.COLOR_RGB2RGBA).view("<u4")[..., 0] & 0xFFFFFF


def _translate(
    path: Path, card: Card, kind: str, keys: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """`table[keys]`, none of it unknown."""
    if keys.dtype == np.uint16 and keys.max() < 256:
        keys = keys.astype(np.uint8)
    # For bytes, OpenCV is ten times faster than numpy.
    label = cv2.LUT(keys, table[:256]) if keys.dtype == np.uint8 else table.take(keys)
    unknown = label == card.unknown
    if unknown.any():
        values, counts = np.unique(keys[unknown], return_counts=True)
        found: list[Any] = list(values)
        if kind == "colours":
            found = [(int(v) & 255, int(v) >> 8 & 255, int(v) >> 16) for v in values]
        raise _unlisted(path, card, kind, dict(zip(found, counts, strict=True)), "px")
    return label.astype(np.uint8, copy=False)


def _draw_polygons(path: Path, card: Card) -> np.ndarray:
    """Polygons in a JSON file, drawn over one another in their order.

    Like AutoNUE's and Cityscapes' own json2labelImg.py: deleted objects are left out, and a group
    of objects ("cargroup") counts as what it is a group of. A polygon of fewer than three points,
    as some files of IDD have, covers nothing.
    """
    unknown: Counter[str] = Counter()
    try:
        check_file(path)
        annotation = json.loads(path.read_bytes())
        size = _canvas_size(annotation)
        canvas = Image.new("L", size, IGNORE)
        pen = ImageDraw.Draw(canvas)
        for item in annotation["objects"]:
            name = item["label"]
            if item.get("deleted"):
                continue
            if name not in card.polygon_table:
                name = name.removesuffix("group")
            if name not in card.polygon_table:
                unknown[item["label"]] += 1
                continue
            outline = _outline(item["polygon"], size)
            if len(outline) >= 3:
                pen.polygon(outline, fill=card.polygon_table[name])
    except FedsegError:
        raise
    except Exception as error:  # whatever a file that is no such annotation leads to
        reason = f"{type(error).__name__}: {error}"
        raise FedsegError(
            f"{path}: not readable polygons ({reason}); replace or remove it"
        ) from None
    if unknown:
        raise _unlisted(path, card, "names", unknown, "polygons")
    return np.asarray(canvas)


def _canvas_size(annotation: dict[str, Any]) -> tuple[int, int]:
    """Width and height of the image that polygons were drawn on."""
    width, height = annotation["imgWidth"], annotation["imgHeight"]
    for side in (width, height):
        if type(side) is not int or side < 1:
            raise ValueError(f"imgWidth and imgHeight must be whole numbers above 0, not {side!r}")
    if width * height > MOST_PIXELS:
        raise ValueError(f"an image of {width}x{height} pixels; at most {MOST_PIXELS} are drawn")
    return width, height


def _outline(polygon: list[list[float]], size: tuple[int, int]) -> list[tuple[float, float]]:
    """A polygon's points, clipped to a little more than the canvas if some lie far outside."""
    points = [(x, y) for x, y in polygon]
    for x, y in points:
        for value in (x, y):
            if type(value) not in (int, float) or not abs(value) <= FARTHEST:  # NaN is not
                raise ValueError(f"a coordinate must be a number of pixels, not {value!r}")
    for axis, side in enumerate(size):
        # Far coordinates overflow in the drawing routine. What is cut off lies outside the canvas.
        if points and min(p[axis] for p in points) < -side:
            points = _clip(points, axis, -side, above=True)
        if points and max(p[axis] for p in points) > 2 * side:
            points = _clip(points, axis, 2 * side, above=False)
    return points


def _clip(
    points: list[tuple[float, float]], axis: int, limit: float, above: bool
) -> list[tuple[float, float]]:
    """The part of a polygon on one side of a line (Sutherland and Hodgman, 1974).

    Args:
        points: the polygon.
        axis: 0 for a vertical line, 1 for a horizontal one.
        limit: where the line is.
        above: whether the part with larger coordinates is kept.
    """
    clipped = []
    for start, end in pairwise([points[-1], *points]):
        is_start_in, is_end_in = ((p[axis] >= limit) == above for p in (start, end))
        if is_start_in != is_end_in:
            share = (limit - start[axis]) / (end[axis] - start[axis])
            other = start[1 - axis] + share * (end[1 - axis] - start[1 - axis])
            clipped.append((limit, other) if axis == 0 else (other, limit))
        if is_end_in:
            clipped.append(end)
    return clipped


def _unlisted(path: Path, card: Card, kind: str, counts: dict[Any, int], unit: str) -> FedsegError:
    """The error for values that the card does not list, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{value} ({count} {unit})" for value, count in ordered[:SHOWN])
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return FedsegError(
        f"{path}: label {kind} that the card '{card.name}' does not list: {listed}{more}; "
        "choose the card that describes these labels"
    )
