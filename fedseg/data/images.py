"""Opening image files: what they hold is read rightly, or refused in one line that names the file.

Only PNG, JPEG, WebP, BMP and TIFF are decoded, whatever a file is called: Pillow would hand a
PostScript file to Ghostscript, which runs it.
"""

import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from fedseg.errors import FedsegError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
"""Content that is decoded. A JPEG of several pictures (MPO), as some cameras make, is a JPEG."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
"""Suffixes of such files, in lower case."""
MOST_BYTES = 2**30
"""Size of a file that is opened at most."""
MOST_PIXELS = 2**27
"""Pixels of an image that is decoded at most: 16384 x 8192."""

EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's modes that `convert("RGB")` reads rightly. Transparency is left out."""
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")

BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 258, 259, 262
"""Tags of TIFF 6.0, section 8."""
LOSSLESS_TIFF = (1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000)
"""Compressions: none, CCITT, LZW, Deflate, PackBits, Deflate (old), LZMA, Zstandard."""
WHITE_IS_ZERO = 0

Size = tuple[int, int]
"""Height and width in pixels."""

# Pillow warns of large images; here they are refused.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Picture(NamedTuple):
    """A decoded image."""

    pixels: np.ndarray
    """uint8 [H, W, 3], RGB."""
    orientation: int
    """Its EXIF orientation, 1 to 8; 1 where there is none."""
    is_turned: bool
    """Whether the pixels were turned upright, as the orientation says."""


@contextmanager
def decoding(path: Path) -> Iterator[Image.Image]:
    """An image file, opened; its pixels are decoded when the block first asks for them.

    Raises:
        FedsegError: the file can't be opened, is not one of `FORMATS`, holds several images, is too
            large, or decoding fails inside the block.
    """
    try:
        check_file(path)
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                size = f"{image.width}x{image.height}"
                raise unreadable(path, f"{size} pixels; at most {MOST_PIXELS} are decoded")
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO":  # whose first picture is the photograph
                raise FedsegError(
                    f"{path}: holds {frames} images; save the one you mean as a file of its own"
                )
            yield image
    except FedsegError:
        raise
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise unreadable(path, f"its content is none of {known}, or is damaged") from None
    except Exception as error:  # decoders raise nearly everything on damaged files
        reason = str(error) or type(error).__name__
        raise unreadable(path, reason) from None


def check_file(path: Path) -> None:
    """See that a path is a file that can be read to its end.

    Raises:
        FedsegError: it is missing, a folder, a pipe or a device, empty, or too large.
    """
    try:
        found = path.stat()
    except OSError as error:
        reason = "is a link to a file that is missing" if path.is_symlink() else error.strerror
        raise unreadable(path, reason) from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, socket or device"
        raise unreadable(path, f"is {kind}")
    if found.st_size == 0:
        raise unreadable(path, "the file is empty")
    if found.st_size > MOST_BYTES:
        raise unreadable(path, f"{found.st_size} bytes; at most {MOST_BYTES} are opened")


def unreadable(path: Path, reason: object) -> FedsegError:
    """The error for an image that can't be decoded."""
    return FedsegError(f"{path}: not a readable image ({reason}); replace or remove it")


def read_image(path: Path) -> np.ndarray:
    """Read an image file, upright: uint8 [H, W, 3], RGB. Raises what `read_picture` does."""
    return read_picture(path).pixels


def read_picture(path: Path, fitting: Callable[[], Size] | None = None) -> Picture:
    """Read an image file, turned upright as its EXIF orientation says (Exif 2.3, tag 0x0112).

    16 bits a channel are cut to the upper 8. Grey becomes RGB; transparency is left out.

    Args:
        path: the file.
        fitting: gives the size of the image's label; called only if the image has an orientation.
            An image that fits it as stored, but not upright, stays as stored.

    Raises:
        FedsegError: the file can't be decoded, or its pixels are of a kind that is not read.
    """
    with decoding(path) as image:
        orientation = _tiff_tag(image, ExifTags.Base.Orientation)  # gone once it is decoded
        rgb = _to_rgb(path, image)
        orientation = orientation or image.getexif().get(ExifTags.Base.Orientation)
        if orientation not in METHODS:
            return Picture(np.asarray(rgb), 1, False)
        there, back = METHODS[orientation]
        if image.format == "TIFF":  # Pillow has turned it
            stored, upright = rgb.transpose(back), rgb
        else:
            stored, upright = rgb, rgb.transpose(there)
        wanted = fitting() if fitting else (upright.height, upright.width)
        if wanted == (stored.height, stored.width) != (upright.height, upright.width):
            return Picture(np.asarray(stored), orientation, False)
        return Picture(np.asarray(upright), orientation, True)


def possible_sizes(path: Path) -> set[Size]:
    """Sizes at which `read_picture` may give an image: upright, and as stored.

    Of a PNG, whose orientation may stand at its end, every pixel is decoded to know this.
    """
    with decoding(path) as image:
        orientation = _tiff_tag(image, ExifTags.Base.Orientation)
        orientation = orientation or image.getexif().get(ExifTags.Base.Orientation)
        size = (image.height, image.width)
    return {size, size[::-1]} if orientation in (5, 6, 7, 8) else {size}


def stored_size(path: Path) -> Size:
    """The size of an image by the head of its file alone; of a TIFF upright."""
    with decoding(path) as image:
        return image.height, image.width


Flip = Image.Transpose
METHODS = {
    2: (Flip.FLIP_LEFT_RIGHT, Flip.FLIP_LEFT_RIGHT),
    3: (Flip.ROTATE_180, Flip.ROTATE_180),
    4: (Flip.FLIP_TOP_BOTTOM, Flip.FLIP_TOP_BOTTOM),
    5: (Flip.TRANSPOSE, Flip.TRANSPOSE),
    6: (Flip.ROTATE_270, Flip.ROTATE_90),
    7: (Flip.TRANSVERSE, Flip.TRANSVERSE),
    8: (Flip.ROTATE_90, Flip.ROTATE_270),
}
"""What turns the pixels of an EXIF orientation upright, and back."""


def _to_rgb(path: Path, image: Image.Image) -> Image.Image:
    """Decode an image and make it RGB of 8 bits."""
    bits = _tiff_tag(image, BITS_PER_SAMPLE)
    is_inverted = is_white_zero(image)
    image.load()
    if image.mode in SIXTEEN_BITS and bits in (None, 16) and not is_inverted:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in EIGHT_BITS:
        return image if image.mode == "RGB" else image.convert("RGB")
    depth = f"{bits} bits, " if bits else ""
    raise FedsegError(
        f"{path}: its pixels are of a kind that is not read ({depth}Pillow's mode '{image.mode}'); "
        "save it with 8 or 16 bits a channel, grey or RGB"
    )


def is_lossless(path: Path, image: Image.Image) -> bool:
    """Whether the encoding of an opened image keeps every pixel exactly."""
    match image.format:
        case "PNG" | "BMP":
            return True
        case "TIFF":
            return _tiff_tag(image, COMPRESSION) in LOSSLESS_TIFF
        case "WEBP":
            return _webp_is_lossless(path)
    return False


def _webp_is_lossless(path: Path) -> bool:
    """Whether a WebP's pixels lie in a chunk "VP8L" (RFC 9649, section 2)."""
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            kind, length = head[:4], int.from_bytes(head[4:], "little")
            if kind in (b"VP8L", b"VP8 "):
                return kind == b"VP8L"
            file.seek(length + length % 2, os.SEEK_CUR)
    return False


def is_white_zero(image: Image.Image) -> bool:
    """Whether an opened image is a TIFF in which 0 stands for white."""
    return _tiff_tag(image, PHOTOMETRIC) == WHITE_IS_ZERO


def grey_bits(image: Image.Image) -> int | None:
    """Bits a pixel of an opened grey image as it is stored; None for other images."""
    if image.mode == "1":
        return 1
    if image.mode != "L" and image.mode not in SIXTEEN_BITS:
        return None
    if image.format == "TIFF":
        return _tiff_tag(image, BITS_PER_SAMPLE)
    # Pillow scales fewer bits to 8; how many there are stands in the decoder's raw mode, "L;4".
    tile = getattr(image, "tile", None)
    raw_mode = tile[0].args if tile else image.mode
    raw_mode = raw_mode[0] if isinstance(raw_mode, tuple) else raw_mode
    found = re.fullmatch(r"L;(\d)", str(raw_mode))
    return int(found[1]) if found else 8 if image.mode == "L" else 16


def _tiff_tag(image: Image.Image, tag: int) -> int | None:
    """The value of a TIFF's tag, the first of several; None if it has none or is no TIFF."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return None
    value: Any = image.tag_v2.get(tag)
    return value[0] if isinstance(value, tuple) and value else value
