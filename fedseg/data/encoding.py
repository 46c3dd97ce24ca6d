"""Label files of every encoding, read as places in a card's class list.

A label image of one channel holds ids, one of three or four holds colours, unless the card names
the channel that holds ids; a JSON file holds polygons.
"""

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from fedseg.classes import IGNORE
from fedseg.data.cards import UNKNOWN, Card
from fedseg.data.images import decoding, unreadable
from fedseg.errors import FedsegError

SHOWN = 5
"""How many of a file's unknown ids, colours or names an error lists."""


def read_label(path: Path, card: Card) -> np.ndarray:
    """Read a label file.

    Returns:
        uint8 [H, W], places in the card's class list, 255 ignored.

    Raises:
        FedsegError: the file can't be decoded, its encoding is not the card's, or it holds ids,
            colours or names that the card does not list.
    """
    if path.suffix == ".json":
        return _draw_polygons(path, card)
    raw = _read_pixels(path, card) if card.channel is None else _read_channel(path, card.channel)
    if raw.ndim == 2:
        return _translate(path, card, "ids", raw, card.id_table)
    return _translate(path, card, "colours", _colour_keys(raw), card.colour_table)


def _read_pixels(path: Path, card: Card) -> np.ndarray:
    """uint8 or uint16 [H, W], ids; or uint8 [H, W, 3], RGB."""
    with decoding(path) as image:
        indexed = image.mode == "P" and card.lists("ids")
        plain = image.mode in ("1", "L") or image.mode.startswith("I")
        raw = np.asarray(image if indexed or plain else image.convert("RGB"))
    kind = "ids" if raw.ndim == 2 else "colours"
    if not card.lists(kind):
        found = "an image of one channel" if raw.ndim == 2 else "a colour image"
        raise FedsegError(
            f"{path}: is {found}, but the card '{card.name}' lists no {kind}; "
            "choose the card that describes these labels"
        )
    if raw.dtype == np.int32:  # how some versions of Pillow read 16 bits
        if raw.min() < 0 or raw.max() > np.iinfo(np.uint16).max:
            raise FedsegError(f"{path}: a label's ids must lie in 0..65535")
        raw = raw.astype(np.uint16)
    return raw.astype(np.uint8) if raw.dtype == np.bool_ else raw


def _read_channel(path: Path, channel: int) -> np.ndarray:
    """uint8 or uint16 [H, W]: one channel, counted as RGBA, of an image of 8 or 16 bits.

    Through OpenCV, because Pillow cuts 16-bit colour down to 8.
    """
    with decoding(path) as image:
        image.verify()  # OpenCV neither says what is wrong with a file nor always that it is
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
    unknown = label == UNKNOWN
    if unknown.any():
        values, counts = np.unique(keys[unknown], return_counts=True)
        if kind == "colours":
            values = [(int(v) & 255, int(v) >> 8 & 255, int(v) >> 16) for v in values]
        raise _unlisted(path, card, kind, dict(zip(values, counts, strict=True)), "px")
    return label


def _draw_polygons(path: Path, card: Card) -> np.ndarray:
    """Polygons in a JSON file, drawn over one another in their order.

    Like AutoNUE's and Cityscapes' own json2labelImg.py: deleted objects are left out, and a group
    of objects ("cargroup") counts as what it is a group of.
    """
    unknown: Counter[str] = Counter()
    try:
        annotation = json.loads(path.read_bytes())
        canvas = Image.new("L", (annotation["imgWidth"], annotation["imgHeight"]), IGNORE)
        pen = ImageDraw.Draw(canvas)
        for item in annotation["objects"]:
            name = item["label"]
            if item.get("deleted"):
                continue
            if name not in card.polygon_table:
                name = name.removesuffix("group")
            if name in card.polygon_table:
                outline = [(x, y) for x, y in item["polygon"]]
                pen.polygon(outline, fill=card.polygon_table[name])
            else:
                unknown[item["label"]] += 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise FedsegError(
            f"{path}: not readable polygons ({reason}); replace or remove it"
        ) from None
    if unknown:
        raise _unlisted(path, card, "names", unknown, "polygons")
    return np.asarray(canvas)


def _unlisted(path: Path, card: Card, kind: str, counts: dict, unit: str) -> FedsegError:
    """What is said of values that the card does not list, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{value} ({count} {unit})" for value, count in ordered[:SHOWN])
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return FedsegError(
        f"{path}: label {kind} that the card '{card.name}' does not list: {listed}{more}; "
        "choose the card that describes these labels"
    )
