"""Every card reads a miniature of its dataset, laid out and encoded as it is distributed.

What is written here comes from the datasets' own documents, not from the cards: names, ids and
colours of classes in their order, and beside them what each is in Cityscapes.
"""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from fedseg.classes import CLASSES
from fedseg.config import Source
from fedseg.data.cards import card_names, load_card
from fedseg.data.dataset import open_dataset
from fedseg.data.label_map import LabelMap
from fedseg.errors import FedsegError

# --- Tables: value in the label file -> class, None for what is ignored -------------------------


def numbered(names):
    return dict(enumerate(names.split()))


TRAIN_IDS = dict(enumerate(CLASSES)) | {255: None}

# cityscapesScripts, helpers/labels.py
CITYSCAPES = numbered(
    """- - - - - - - road sidewalk - - building wall fence - - - pole - traffic_light
    traffic_sign vegetation terrain sky person rider car truck bus - - train motorcycle
    bicycle"""
)
CITYSCAPES_COLOURS = {
    (128, 64, 128): "road",
    (244, 35, 232): "sidewalk",
    (70, 70, 70): "building",
    (102, 102, 156): "wall",
    (190, 153, 153): "fence",
    (153, 153, 153): "pole",
    (250, 170, 30): "traffic light",
    (220, 220, 0): "traffic sign",
    (107, 142, 35): "vegetation",
    (152, 251, 152): "terrain",
    (70, 130, 180): "sky",
    (220, 20, 60): "person",
    (255, 0, 0): "rider",
    (0, 0, 142): "car",
    (0, 0, 70): "truck",
    (0, 60, 100): "bus",
    (0, 80, 100): "train",
    (0, 0, 230): "motorcycle",
    (119, 11, 32): "bicycle",
    (0, 0, 0): None,
    (81, 0, 81): None,
}

# SYNTHIA-RAND-CITYSCAPES, README.txt: void sky building road sidewalk fence vegetation pole car
# sign pedestrian bicycle motorcycle parking-slot road-work light terrain rider truck bus train wall
# lanemarking
SYNTHIA = numbered(
    """- sky building road sidewalk fence vegetation pole car traffic_sign person bicycle
    motorcycle - - traffic_light - rider - bus - wall road"""
)

# CARLA, LibCarla/source/carla/rpc/ObjectLabel.h
CARLA = numbered(
    """- road sidewalk building wall fence pole traffic_light traffic_sign vegetation terrain
    sky person rider car truck bus train motorcycle bicycle - - - - road - - - -"""
)

# CARLA 0.9.13, Docs/ref_sensors.md; SHIFT's labels are these tags
CARLA_OLD = numbered(
    """- building fence - pedestrian pole road road sidewalk vegetation vehicle wall
    traffic_sign sky - - - - traffic_light - - - terrain"""
)

# Virtual KITTI 2, colors.txt
VIRTUAL_KITTI = {
    (210, 0, 200): "terrain",
    (90, 200, 255): "sky",
    (0, 199, 0): "vegetation",
    (90, 240, 0): "vegetation",
    (140, 140, 140): "building",
    (100, 60, 100): "road",
    (250, 100, 255): None,
    (255, 255, 0): "traffic sign",
    (200, 200, 0): "traffic light",
    (255, 130, 0): "pole",
    (80, 80, 80): None,
    (160, 60, 60): "truck",
    (255, 127, 80): "car",
    (0, 139, 139): "car",
    (0, 0, 0): None,
}

# Mapillary Vistas, config.json of 1.2: bird to unlabeled
MAPILLARY_1 = numbered(
    """- - sidewalk fence - wall wall road road sidewalk - road - road road sidewalk - building
    - person rider rider rider road road - - sky - terrain vegetation - - - - - road - - - -
    road - road - pole pole pole traffic_light - traffic_sign - bicycle - bus car - motorcycle train
    - - truck - - - -"""
)

# Mapillary Vistas, config_v2.0.json: animals and barriers; flat; structures; humans; markings;
# nature; objects; signs; supports, cones; traffic lights; traffic signs, bins; vehicles, void
MAPILLARY_2 = numbered(
    f"""
    - - - wall sidewalk fence - wall - - - - wall
    road road sidewalk - - - road - road road road sidewalk sidewalk
    - building building - person person rider rider rider
    {"road " * 24}
    - - sky - terrain vegetation -
    - - - road - - - - road - - road - - - - - - - pole - pole pole -
    {"traffic_light " * 6}
    - - - traffic_sign traffic_sign traffic_sign - traffic_sign -
    bicycle - bus car - motorcycle train - - truck - - - - - - - - -
    """
)

# IDD, AutoNUE/public-code helpers/anue_labels.py: name, csTrainId's class, level3Id
IDD = """
road                  road           0
parking               -              1
drivable fallback     -              1
sidewalk              sidewalk       2
rail track            -              3
non-drivable fallback terrain        3
person                person         4
animal                -              4
rider                 rider          5
motorcycle            motorcycle     6
bicycle               bicycle        7
autorickshaw          -              8
car                   car            9
truck                 truck         10
bus                   bus           11
caravan               -             12
trailer               -             12
train                 train         12
vehicle fallback      -             12
curb                  -             13
wall                  wall          14
fence                 fence         15
guard rail            -             16
billboard             -             17
traffic sign          traffic_sign  18
traffic light         traffic_light 19
pole                  pole          20
polegroup             -             20
obs-str-bar-fallback  -             21
building              building      22
bridge                -             23
tunnel                -             23
vegetation            vegetation    24
sky                   sky           25
fallback background   -             25
unlabeled             -            255
ego vehicle           -            255
rectification border  -            255
out of roi            -            255
license plate         -            255
"""
IDD_ROWS = [(row[:22].strip(), *row[22:].split()) for row in IDD.strip().splitlines()]
IDD_NAMES = {name: ours for name, ours, _ in IDD_ROWS} | {"cargroup": "car"}
# Of the names that share an id on level 3, the one that is meant.
IDD_LEVEL_3 = {int(level): ours for _, ours, level in IDD_ROWS if ours != "train"}
IDD_LEVEL_3 |= {3: "terrain", 4: "person", 20: "pole", 25: "sky"}

# CamVid, label_colors.txt
CAMVID_32 = {
    (64, 128, 64): None,  # Animal
    (192, 0, 128): "building",  # Archway
    (0, 128, 192): "two-wheeler",  # Bicyclist
    (0, 128, 64): None,  # Bridge
    (128, 0, 0): "building",
    (64, 0, 128): "motor vehicle",  # Car
    (64, 0, 192): None,  # CartLuggagePram
    (192, 128, 64): "person",  # Child
    (192, 192, 128): "pole",  # Column_Pole
    (64, 64, 128): "fence",
    (128, 0, 192): "road",  # LaneMkgsDriv
    (192, 0, 64): "road",  # LaneMkgsNonDriv
    (128, 128, 64): None,  # Misc_Text
    (192, 0, 192): "two-wheeler",  # MotorcycleScooter
    (128, 64, 64): None,  # OtherMoving
    (64, 192, 128): None,  # ParkingBlock
    (64, 64, 0): "person",  # Pedestrian
    (128, 64, 128): "road",
    (128, 128, 192): None,  # RoadShoulder
    (0, 0, 192): "sidewalk",
    (192, 128, 128): "traffic sign",  # SignSymbol
    (128, 128, 128): "sky",
    (64, 128, 192): "motor vehicle",  # SUVPickupTruck
    (0, 0, 64): None,  # TrafficCone
    (0, 64, 64): "traffic light",
    (192, 64, 128): "train",
    (128, 128, 0): "vegetation",  # Tree
    (192, 128, 192): "motor vehicle",  # Truck_Bus
    (64, 0, 64): None,  # Tunnel
    (192, 192, 0): "vegetation",  # VegetationMisc
    (0, 0, 0): None,  # Void
    (64, 192, 0): "wall",
}
CAMVID_11 = numbered("sky building pole road pavement tree sign fence car pedestrian bicyclist -")
IDD_LITE = dict(
    enumerate(
        [
            "drivable",
            "non-drivable",
            "living things",
            "vehicles",
            "roadside objects",
            "far objects",
            "sky",
        ]
    )
)

# WildDash 2, wd2_unified_label_policy.json: its ids and their `cs_name`
WILDDASH = numbered(
    """- - - - - - - road sidewalk - - building wall fence - - - pole - traffic_light
    traffic_sign vegetation terrain sky person rider car truck bus - - train motorcycle bicycle
    truck car - - road - - road - road - pole pole rider rider rider - - sidewalk - - - wall -
    motorcycle - - road - - road sidewalk - - - - road - - - road road road sidewalk terrain
    road sidewalk"""
)

# --- Encodings: a label one pixel high for each value, as the dataset stores it -----------------


def grey(path, values):
    Image.fromarray(np.array([values] * 2, np.uint8)).save(path)


def palette(path, values):
    image = Image.fromarray(np.array([values] * 2, np.uint8), mode="P")
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path)


def colours(path, values):
    Image.fromarray(np.array([values] * 2, np.uint8)).save(path)


def red_16_bits(path, values):
    label = np.zeros((2, len(values), 3), np.uint16)
    label[..., 2] = values  # OpenCV's order: blue, green, red
    label[..., 1] = 976  # SYNTHIA's instances
    assert cv2.imwrite(str(path), label)


def red_rgba(path, values):
    label = np.full((2, len(values), 4), 255, np.uint8)
    label[..., 0] = values
    label[..., 1:3] = 77
    Image.fromarray(label).save(path)


def polygons(path, names):
    # Each label is a square over its pixel; first comes one over all that is drawn over, then one
    # over all that was deleted.
    def item(label, left, right, **more):
        corners = [[left, 0], [right, 0.0], [right, 2], [left, 2]]
        return {"id": 0, "label": label, "polygon": corners, "deleted": 0} | more

    objects = [item("sky", 0, len(names))]
    objects += [item(label, place, len(names)) for place, label in enumerate(names)]
    objects += [item("bus", 0, len(names), deleted=1)]
    content = {"imgWidth": len(names), "imgHeight": 2, "objects": objects}
    path.write_text(json.dumps(content))


# --- Layouts: card -> encoding, table, and an image and its label in each split -----------------

LAYOUTS = {
    "acdc": (
        grey,
        TRAIN_IDS,
        [
            (
                split,
                f"rgb_anon/{condition}/{part}/GOPR0122/GOPR0122_frame_000161_rgb_anon.png",
                label
                and f"gt/{condition}/{part}/GOPR0122/GOPR0122_frame_000161_gt_labelTrainIds.png",
            )
            for condition in ("fog", "night", "rain", "snow")
            for part, label in (("train", True), ("val", True), ("test", None))
            for split in (part, f"{condition}-{part}")
        ],
    ),
    "bdd100k": (
        grey,
        TRAIN_IDS,
        [
            ("train", "images/10k/train/0004a4c0.jpg", "labels/sem_seg/masks/train/0004a4c0.png"),
            ("val", "seg/images/val/7d06fefd.jpg", "seg/labels/val/7d06fefd_train_id.png"),
            ("test", "images/10k/test/ac6d4f42.jpg", None),
        ],
    ),
    "camvid": (
        grey,
        CAMVID_11,
        [
            (split, f"{split}/0001TP_006690.png", f"{split}annot/0001TP_006690.png")
            for split in ("train", "val", "test")
        ],
    ),
    "camvid-32": (
        colours,
        CAMVID_32,
        [
            (
                "all",
                "701_StillsRaw_full/0001TP_006690.png",
                "LabeledApproved_full/0001TP_006690_L.png",
            ),
            ("train", "train/0001TP_006690.png", "train_labels/0001TP_006690_L.png"),
            ("val", "val/0001TP_006690.png", "val_labels/0001TP_006690_L.png"),
            ("test", "test/0001TP_006690.png", "test_labels/0001TP_006690_L.png"),
        ],
    ),
    "carla": (
        red_rgba,
        CARLA,
        [
            ("all", "rgb/000017.png", "semantic/000017.png"),
            ("train", "rgb/train/000017.jpg", "semantic/train/000017.png"),
            ("val", "rgb/val/000017.png", "semantic/val/000017.png"),
        ],
    ),
    "carla-0.9.13": (
        red_rgba,
        CARLA_OLD,
        [
            ("all", "rgb/000017.jpg", "semantic/000017.png"),
            ("train", "rgb/train/000017.png", "semantic/train/000017.png"),
            ("val", "rgb/val/000017.png", "semantic/val/000017.png"),
        ],
    ),
    "cityscapes": (
        grey,
        CITYSCAPES,
        [
            (
                "train",
                "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
                "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png",
            ),
            (
                "val",
                "leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png",
                "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png",
            ),
            ("test", "leftImg8bit/test/bonn/bonn_000000_000019_leftImg8bit.png", None),
            ("train_extra", "leftImg8bit/train_extra/augsburg/a_0_0_leftImg8bit.png", None),
        ],
    ),
    "cityscapes-trainids": (
        grey,
        TRAIN_IDS,
        [
            (
                "train",
                "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
                "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png",
            ),
            (
                "val",
                "leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png",
                "gtFine/val/lindau/lindau_000000_000019_gtFine_labelTrainIds.png",
            ),
            ("test", "leftImg8bit/test/bonn/bonn_000000_000019_leftImg8bit.png", None),
        ],
    ),
    "dark-zurich": (
        grey,
        TRAIN_IDS,
        [
            (
                "val",
                "rgb_anon/val/night/GOPR0356/GOPR0356_frame_000321_rgb_anon.png",
                "gt/val/night/GOPR0356/GOPR0356_frame_000321_gt_labelTrainIds.png",
            ),
            ("test", "rgb_anon/test/night/GOPR0364/GOPR0364_frame_000001_rgb_anon.png", None),
            *(
                (f"train-{time}", f"rgb_anon/train/{time}/GOPR0351/G_frame_1_rgb_anon.png", None)
                for time in ("day", "twilight", "night")
            ),
        ],
    ),
    "folder": (
        grey,
        TRAIN_IDS,
        [
            ("all", "images/a.jpeg", "labels/a.png"),
            ("train", "images/train/a.png", "labels/train/a.png"),
            ("val", "images/val/a.png", "labels/val/a.png"),
            ("test", "images/test/a.png", "labels/test/a.png"),
        ],
    ),
    "gta5": (
        palette,
        CITYSCAPES | {34: None},
        [
            ("all", "images/00001.png", "labels/00001.png"),
            ("train", "images/train/00001.png", "labels/train/00001.png"),
            ("val", "images/val/00001.png", "labels/val/00001.png"),
            ("test", "images/test/00001.png", "labels/test/00001.png"),
        ],
    ),
    "idd": (
        polygons,
        IDD_NAMES,
        [
            (
                "train",
                "leftImg8bit/train/0/024541_leftImg8bit.png",
                "gtFine/train/0/024541_gtFine_polygons.json",
            ),
            (
                "val",
                "leftImg8bit/val/201/frame0029_leftImg8bit.jpg",
                "gtFine/val/201/frame0029_gtFine_polygons.json",
            ),
            ("test", "leftImg8bit/test/17/903127_leftImg8bit.png", None),
        ],
    ),
    "idd-png": (
        grey,
        TRAIN_IDS,
        [
            (
                "train",
                "leftImg8bit/train/0/024541_leftImg8bit.png",
                "gtFine/train/0/024541_gtFine_labelcsTrainIds.png",
            ),
            (
                "val",
                "leftImg8bit/val/201/frame0029_leftImg8bit.jpg",
                "gtFine/val/201/frame0029_gtFine_labelcsTrainIds.png",
            ),
            ("test", "leftImg8bit/test/17/903127_leftImg8bit.png", None),
        ],
    ),
    "idd-level3": (
        grey,
        IDD_LEVEL_3,
        [
            (
                "train",
                "leftImg8bit/train/0/024541_leftImg8bit.png",
                "gtFine/train/0/024541_gtFine_labellevel3Ids.png",
            ),
            (
                "val",
                "leftImg8bit/val/201/frame0029_leftImg8bit.jpg",
                "gtFine/val/201/frame0029_gtFine_labellevel3Ids.png",
            ),
            ("test", "leftImg8bit/test/17/903127_leftImg8bit.png", None),
        ],
    ),
    "idd-lite": (
        grey,
        IDD_LITE | {255: None},
        [
            (
                "train",
                "leftImg8bit/train/0/024541_image.jpg",
                "gtFine/train/0/024541_label.png",
            ),
            ("val", "leftImg8bit/val/201/1_image.jpg", "gtFine/val/201/1_label.png"),
            ("test", "leftImg8bit/test/17/903127_image.jpg", None),
        ],
    ),
    "kitti": (
        grey,
        CITYSCAPES,
        [
            ("train", "training/image_2/000000_10.png", "training/semantic/000000_10.png"),
            ("test", "testing/image_2/000000_10.png", None),
        ],
    ),
    "mapillary-1.2": (
        palette,
        MAPILLARY_1,
        [
            ("train", "training/images/-0C1J9Cvg.jpg", "training/labels/-0C1J9Cvg.png"),
            ("val", "validation/images/7s9gHsb.jpg", "validation/v1.2/labels/7s9gHsb.png"),
            ("test", "testing/images/9r7ocJDX.jpg", None),
        ],
    ),
    "mapillary-2.0": (
        palette,
        MAPILLARY_2,
        [
            ("train", "training/images/-0C1J9Cvg.jpg", "training/v2.0/labels/-0C1J9Cvg.png"),
            ("val", "validation/images/7s9gHsb.jpg", "validation/v2.0/labels/7s9gHsb.png"),
            ("test", "testing/images/9r7ocJDX.jpg", None),
        ],
    ),
    "shift": (
        red_rgba,
        CARLA_OLD,
        [
            *(
                (
                    split,
                    f"discrete/images/{split}/front/img/007b-4e72/00000100_img_front.jpg",
                    f"discrete/images/{split}/front/semseg/007b-4e72/00000100_semseg_front.png",
                )
                for split in ("train", "val")
            ),
            ("test", "discrete/images/test/front/img/00c3-e5d1/00000000_img_front.jpg", None),
        ],
    ),
    "streetsim": (
        grey,
        TRAIN_IDS,
        [
            (split, f"images/{split}/00000.png", f"labels/{split}/00000.png")
            for split in ("boulevard", "suburb", "oldtown", "crosstown", "harbour", "stormnight")
        ],
    ),
    "synscapes": (grey, CITYSCAPES, [("all", "img/rgb/1.png", "img/class/1.png")]),
    "synthia": (red_16_bits, SYNTHIA, [("all", "RGB/0000000.png", "GT/LABELS/0000000.png")]),
    "urbansyn": (grey, TRAIN_IDS | {19: None}, [("all", "rgb/rgb_0001.png", "ss/ss_0001.png")]),
    "virtual-kitti-2": (
        colours,
        VIRTUAL_KITTI,
        [
            (
                split,
                f"Scene01/{variation}/frames/rgb/Camera_0/rgb_00000.jpg",
                f"Scene01/{variation}/frames/classSegmentation/Camera_0/classgt_00000.png",
            )
            for split, variation in [
                ("all", "15-deg-left"),
                *(
                    (name, name)
                    for name in ("clone", "fog", "morning", "overcast", "rain", "sunset")
                ),
            ]
        ],
    ),
    "wilddash2": (
        grey,
        WILDDASH,
        [
            ("all", "images/aa0000_100000.jpg", "labels/aa0000_100000.png"),
            ("all", "images/aa0001_100000.jpg", "labels/aa0001_100000_labelIds.png"),
        ],
    ),
}


def test_tables_are_whole():
    tables = (CITYSCAPES, SYNTHIA, CARLA, CARLA_OLD, MAPILLARY_1, MAPILLARY_2, WILDDASH)
    assert [len(table) for table in tables] == [34, 23, 29, 23, 66, 124, 81]
    assert [len(table) for table in (VIRTUAL_KITTI, IDD_ROWS, CAMVID_32)] == [15, 40, 32]


def test_every_card_and_every_split_is_here():
    assert sorted(LAYOUTS) == card_names()
    for name, (_, _, places) in LAYOUTS.items():
        assert {split for split, *_ in places} == set(load_card(name).splits), name


def meant(table):
    """The names of a table's classes, in order."""
    names = [None if ours in ("-", None) else ours.replace("_", " ") for ours in table.values()]
    return list(table), names


def check(root, card, split, encode, table, image_path, label_path):
    values, names = meant(table)
    (root / image_path).parent.mkdir(parents=True)
    Image.fromarray(np.zeros((2, len(values), 3), np.uint8)).save(root / image_path)
    source = Source(dataset=card, root=root, split=split)
    if label_path is None:
        assert len(open_dataset(source, labelled=False)) == 1
        with pytest.raises(FedsegError, match=rf"no labels of split '{split}' are published"):
            open_dataset(source)
        return
    (root / label_path).parent.mkdir(parents=True, exist_ok=True)
    encode(root / label_path, values)
    dataset = open_dataset(source)
    label = dataset.label(0)[0]
    own = [entry.name for entry in dataset.card.classes]
    assert [None if place == 255 else own[place] for place in label] == names
    if all(len(entry.members) == 1 for entry in dataset.card.classes if entry.train):
        untrained = {"pedestrian", "vehicle"}  # of CARLA's old tags
        expected = [CLASSES.index(n) if n and n not in untrained else 255 for n in names]
        assert LabelMap(dataset.card).train_ids()[label].tolist() == expected


@pytest.mark.parametrize(
    ("card", "split", "image_path", "label_path"),
    [(card, *place) for card, (_, _, places) in LAYOUTS.items() for place in places],
)
def test_a_miniature_is_read_back(tmp_path, card, split, image_path, label_path):
    encode, table, _ = LAYOUTS[card]
    check(tmp_path, card, split, encode, table, image_path, label_path)


def test_gta5_saved_as_colours(tmp_path):
    place = ("images/00001.png", "labels/00001.png")
    check(tmp_path, "gta5", "all", colours, CITYSCAPES_COLOURS, *place)


@pytest.mark.parametrize("card", ["cityscapes", "kitti", "synscapes", "gta5"])
def test_tables_agree_with_cityscapesscripts(card):
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    dataset = load_card(card)
    for label in labels:
        if label.id < 0:
            continue  # licence plates, which are not drawn
        place = dataset.id_table[label.id]
        found = 255 if place == 255 else CLASSES.index(dataset.classes[place].name)
        assert found == label.trainId, label.name
        if card == "gta5" and label.name != "polegroup":  # its colour is the pole's
            red, green, blue = label.color
            assert dataset.colour_table[red | green << 8 | blue << 16] == place, label.name
