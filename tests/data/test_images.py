import os
import socket
import struct
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from fedseg.config import Source
from fedseg.data import images
from fedseg.data.cards import load_card
from fedseg.data.check import check
from fedseg.data.dataset import open_dataset
from fedseg.data.images import possible_sizes, read_image, read_picture
from fedseg.errors import FedsegError

UPRIGHT = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
"""What a viewer shows. Smooth blocks of 16 pixels, so that JPEG keeps them apart."""

# What a camera stores, so that turning it as Exif 2.3 says of the tag gives the upright picture:
# which side of the picture row 0 and column 0 are.
STORED = {
    1: lambda a: a,  # row 0 is the top, column 0 the left side
    2: lambda a: a[:, ::-1],  # top, right
    3: lambda a: a[::-1, ::-1],  # bottom, right
    4: lambda a: a[::-1],  # bottom, left
    5: lambda a: a.swapaxes(0, 1),  # left, top
    6: lambda a: a.swapaxes(0, 1)[::-1],  # right, top
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],  # left, bottom
}
FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tif": "TIFF"}


def blocks(pixels):
    """Each pixel as a block of 16 x 16, which lossy formats keep nearly as it is."""
    return np.kron(pixels, np.ones((16, 16, 1), np.uint8))


def save(path, pixels, orientation=None):
    image = Image.fromarray(np.ascontiguousarray(pixels))
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    options = {"lossless": True} if path.suffix == ".webp" else {"quality": 95}
    image.save(path, FORMATS[path.suffix[1:]], exif=exif, **options)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_of_every_format_is_turned_upright(tmp_path, suffix, orientation):
    grid = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    stored = blocks(STORED[orientation](grid))
    path = save(tmp_path / f"a.{suffix}", stored, orientation)
    picture = read_picture(path)
    assert picture.orientation == orientation
    assert picture.is_turned == (orientation != 1)
    assert picture.pixels.shape == (48, 64, 3)
    middles = picture.pixels[8::16, 8::16].astype(int)
    assert abs(middles - grid).max() < 30 if suffix == "jpg" else (middles == grid).all()
    # OpenCV turns JPEG, which it reads, by itself.
    if suffix == "jpg":
        other = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        assert abs(other.astype(int) - picture.pixels).max() < 8


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_an_impossible_orientation_turns_nothing(tmp_path, suffix, orientation):
    path = save(tmp_path / f"a.{suffix}", blocks(UPRIGHT), orientation)
    assert read_picture(path).pixels.shape == (96, 128, 3)
    assert not read_picture(path).is_turned


@pytest.fixture
def labelled(tmp_path):
    """Writes an image and a label: labelled(stored image, orientation, label) opens the dataset."""

    def make(stored, orientation, label, suffix="png"):
        for part in ("images", "labels"):
            (tmp_path / part).mkdir(exist_ok=True)
        content = save(tmp_path / f"a.{suffix}", stored, orientation)
        content.rename(tmp_path / "images" / "a.png")  # what a file holds counts, not its suffix
        Image.fromarray(np.ascontiguousarray(label)).save(tmp_path / "labels" / "a.png")
        return open_dataset(Source(dataset="folder", root=tmp_path))

    return make


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_to_fit_its_upright_label(labelled, suffix, orientation):
    label = np.zeros((6, 8), np.uint8)
    dataset = labelled(STORED[orientation](UPRIGHT), orientation, label, suffix)
    assert (dataset.image(0) == UPRIGHT).all()
    assert dataset.label(0).shape == (6, 8)
    report = check(load_card("folder"), dataset.images[0].parent.parent)
    assert report.problems == []
    assert len(report.notes) == (orientation != 1)
    if orientation != 1:
        assert f"EXIF orientation {orientation}, turned upright: " in report.notes[0]


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_an_image_whose_label_was_drawn_on_stored_pixels_stays(labelled, suffix, orientation):
    stored = STORED[orientation](UPRIGHT)
    dataset = labelled(stored, orientation, np.zeros((8, 6), np.uint8), suffix)
    assert (dataset.image(0) == stored).all()
    assert dataset.label(0).shape == (8, 6)
    [note] = check(load_card("folder"), dataset.images[0].parent.parent).notes
    assert "kept as stored" in note


def test_a_label_that_fits_neither_way_names_both_sizes(labelled):
    dataset = labelled(STORED[6](UPRIGHT), 6, np.zeros((7, 8), np.uint8))
    assert possible_sizes(dataset.images[0]) == {(6, 8), (8, 6)}
    with pytest.raises(
        FedsegError, match=r"is 8x7 pixels, but its image a.png is 8x6 or 6x8, turn"
    ):
        dataset.label(0)


def test_without_labels_images_are_upright(labelled, tmp_path):
    labelled(STORED[6](UPRIGHT), 6, np.zeros((8, 6), np.uint8))
    dataset = open_dataset(Source(dataset="folder", root=tmp_path), labelled=False)
    assert (dataset.image(0) == UPRIGHT).all()


def png(bits, kind, row, width, *chunks):
    """A PNG of one row, by hand (PNG specification, chapters 5 and 11)."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *(chunk(*c) for c in chunks)]
    parts += [chunk(b"IDAT", zlib.compress(b"\0" + row)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png(1, GREY, bytes([0b01000000]), 2), [0, 255]),
        (png(2, GREY, bytes([0b00011011]), 4), [0, 85, 170, 255]),
        (png(4, GREY, bytes([0x05, 0xF0]), 3), [0, 85, 255]),
        (png(8, GREY, bytes([0, 100, 255]), 3), [0, 100, 255]),
        (png(16, GREY, struct.pack(">3H", 255, 25700, 65535), 3), [0, 100, 255]),
        (png(16, GREY_ALPHA, struct.pack(">4H", 25700, 0, 514, 65535), 2), [100, 2]),
        (png(16, RGB, struct.pack(">3H", 256, 25700, 65535), 1), [[1, 100, 255]]),
        (png(16, RGB_ALPHA, struct.pack(">4H", 256, 25700, 65535, 7), 1), [[1, 100, 255]]),
        (png(8, RGB_ALPHA, bytes([1, 2, 3, 0]), 1), [[1, 2, 3]]),
        (png(2, PALETTE, bytes([0b01000000]), 2, (b"PLTE", bytes([9, 8, 7, 1, 2, 3]))), [
            [1, 2, 3], [9, 8, 7],
        ]),
    ],
)  # fmt: skip
def test_png_of_every_depth(tmp_path, content, expected):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    expected = np.array(expected)
    if expected.ndim == 1:
        expected = np.repeat(expected[:, None], 3, axis=1)
    assert read_image(path).tolist() == [expected.tolist()]


ROW = np.array([[0, 25700, 65535]], np.uint16)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"]
)
def test_tiff_of_every_mode_of_eight_bits(tmp_path, mode):
    levels = [0, 255, 255] if mode == "1" else [0, 100, 255]
    Image.fromarray(np.array([levels], np.uint8)).convert(mode).save(tmp_path / "a.tif")
    read = read_image(tmp_path / "a.tif").astype(int)
    assert abs(read - np.array(levels)[None, :, None]).max() <= 1


def test_sixteen_bits_of_tiff(tmp_path):
    Image.fromarray(ROW).save(tmp_path / "grey.tif")
    cv2.imwrite(str(tmp_path / "rgb.tif"), np.repeat(ROW[..., None], 3, axis=2))
    for name in ("grey.tif", "rgb.tif"):
        assert read_image(tmp_path / name)[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize(
    ("array", "tags"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), {}),
        (np.array([[0, 70000, -1]], np.int32), {}),
        (ROW, {262: 0}),  # 0 is white: Pillow does not invert 16 bits
        (ROW, {258: 12}),
    ],
)
def test_other_kinds_of_pixels_are_refused_by_name(tmp_path, array, tags):
    image = Image.fromarray(array)
    image.save(tmp_path / "a.tif")
    content = (tmp_path / "a.tif").read_bytes()
    for tag, value in tags.items():  # changed in the file: Pillow would not write them
        entry = content.index(struct.pack("<HHI", tag, 3, 1))
        content = content[: entry + 8] + struct.pack("<H", value) + content[entry + 10 :]
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(FedsegError, match=r"a\.tif: .*(not read|not a readable image)"):
        read_image(tmp_path / "a.tif")


POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(/tmp/x) (w) file\n"
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (POSTSCRIPT, "none of PNG, JPEG, WEBP, BMP, TIFF"),
        (b"GIF89a" + bytes(100), "none of PNG"),
        (b"P6 1 1 255 abc", "none of PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "none of PNG"),
        (b"", "the file is empty"),
        (bytes(100), "none of PNG"),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_content_counts_not_the_suffix(tmp_path, monkeypatch, content, why, suffix):
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_: pytest.fail("was run"))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(FedsegError, match=why):
        read_image(path)


def test_a_png_called_jpg_is_read(tmp_path):
    save(tmp_path / "a.png", UPRIGHT).rename(tmp_path / "a.jpg")
    assert (read_image(tmp_path / "a.jpg") == UPRIGHT).all()


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    socket.socket(socket.AF_UNIX).bind(str(path))


def make_device(path):
    path.symlink_to("/dev/zero")


def make_folder(path):
    path.mkdir()


def make_dangling_link(path):
    path.symlink_to("nowhere.png")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (make_pipe, "is a pipe, socket or device"),
        (make_socket, "is a pipe, socket or device"),
        (make_device, "is a pipe, socket or device"),
        (make_folder, "is a folder"),
        (make_dangling_link, "is a link to a file that is missing"),
    ],
)
def test_what_is_no_file_does_not_hang(make_world, monkeypatch, make, why):
    root = make_world("world")
    monkeypatch.chdir(root / "images")  # a socket's path must be short
    (root / "images" / "0.png").unlink()
    make((root / "images" / "0.png").relative_to(root / "images"))
    with pytest.raises(FedsegError, match=rf"images/0\.png: not a readable image \({why}"):
        open_dataset(Source(dataset="folder", root=root))
    assert any(why in problem for problem in check(load_card("folder"), root).problems)


def test_limits_of_size(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", UPRIGHT)
    monkeypatch.setattr(images, "MOST_PIXELS", 47)
    with pytest.raises(FedsegError, match="8x6 pixels; at most 47"):
        read_image(path)
    with path.open("ab") as file:
        file.truncate(2**40)  # a sparse file takes no room
    with pytest.raises(FedsegError, match="1099511627776 bytes; at most"):
        read_image(path)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_several_images_in_one_file_are_refused(tmp_path, kind):
    path = tmp_path / f"a.{kind.lower()}"
    frames = [Image.fromarray(UPRIGHT + level) for level in (0, 9, 90)]
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(FedsegError, match="holds 3 images; save the one you mean"):
        read_image(path)


def test_the_first_picture_of_a_cameras_jpeg_is_read(tmp_path):
    first, second = (Image.fromarray(np.full((16, 16, 3), v, np.uint8)) for v in (50, 200))
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    assert abs(read_image(tmp_path / "a.jpg").astype(int) - 50).max() < 3


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_files_are_one_line(tmp_path, suffix):
    whole = save(tmp_path / f"a.{suffix}", blocks(UPRIGHT), 6).read_bytes()
    path = tmp_path / f"b.{suffix}"
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(60):
        content = bytearray(whole)
        if trial % 3 == 0:
            content = content[: int(rng.integers(1, len(whole)))]
        for place in rng.integers(0, len(content), 1 + trial % 5):
            content[place] ^= int(rng.integers(1, 256))
        path.write_bytes(content)
        try:
            read_image(path)
        except FedsegError as error:
            refused += 1
            assert str(path) in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > 10


def test_an_image_in_memory_of_exif_alone(tmp_path):
    """Orientation that stands in XMP, as some editors write it, counts too."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    buffer = BytesIO()
    Image.fromarray(blocks(STORED[6](UPRIGHT))).save(buffer, "JPEG", xmp=xmp, quality=95)
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    assert read_picture(tmp_path / "a.jpg").pixels.shape == (96, 128, 3)
