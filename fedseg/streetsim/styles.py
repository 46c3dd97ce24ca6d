"""The six styles: how their engines differ in camera, layout, palette, light and weather."""

from dataclasses import dataclass

from .texture import Colour

Range = tuple[float, float]
Weights = dict[str, float]


@dataclass(frozen=True)
class Style:
    """What a style draws from: ranges are uniform, weights relative, chances 0..1."""

    # Camera
    focal: Range  # of the picture's width
    camera_height: Range  # metres
    horizon: Range  # of the picture's height, from the top
    bend: float  # deviation of the street's curvature, 1/m

    # Layout
    lanes: tuple[int, int]  # fewest and most in each direction
    lane: Range  # width, metres
    sidewalk: Range  # width, metres
    verge: float  # chance of a green strip by the kerb
    median: float  # chance of a green strip between the directions
    parking: float  # chance, per side, of a row of parked cars
    junction: float  # chance of a crossing street
    ending: float  # chance that the street ends at another
    sides: Weights  # blocks, houses, park
    storeys: tuple[int, int]  # fewest and most
    roofs: float  # chance of a pitched roof
    windows: Weights  # sash, wide, band
    shops: float  # chance, per house
    barrier: float  # chance, per side, of walls, fences and hedges
    ground: str  # surface of the road: asphalt or cobbles
    grass: str  # what grass counts as: terrain or vegetation

    # What moves and stands, means per picture, and chances of the rare ones
    traffic: float  # vehicles per 100 m of lane
    people: float
    riders: float
    parked_cycles: float
    trees: float  # chance of a row of street trees, per side
    lights: float
    signs: float
    rare: Weights  # chances: truck, bus, tram
    plants: Weights  # round, cone, bare, palm

    # Palette, RGB 0..255
    walls: tuple[Colour, ...]
    leaves: tuple[Colour, ...]
    asphalt: Range  # grey
    paving: tuple[Colour, ...]
    zenith: tuple[Colour, ...]
    low_sky: tuple[Colour, ...]
    line: Colour  # of the middle of the road
    rough: float  # deviation of surface noise, of 128

    # Light and lens
    sun: Range  # strength of shadows, 0..1
    visibility: Range  # metres
    clouds: Range  # cover, 0..1
    gain: Range  # exposure
    contrast: Range
    saturation: Range
    warmth: Range  # red up and blue down, share
    blur: Range  # deviation, of the picture's width / 256
    grain: Range  # sensor noise, grey levels
    vignette: Range  # loss in the corners, share
    weather: Weights  # clear, rain, fog, snow
    night: float = 0.0  # chance of dusk or night


STYLES: dict[str, Style] = {
    # A wide sunny American avenue: warm, contrasty, saturated.
    "boulevard": Style(
        focal=(0.7, 0.95), camera_height=(1.4, 1.8), horizon=(0.4, 0.52), bend=0.0012,
        lanes=(1, 3), lane=(3.3, 3.7), sidewalk=(3.0, 6.5), verge=0.45, median=0.4, parking=0.3,
        junction=0.6, ending=0.12, sides={"blocks": 6, "park": 2, "houses": 1}, storeys=(2, 12),
        roofs=0.0, windows={"wide": 4, "band": 5, "sash": 1}, shops=0.5, barrier=0.6,
        ground="asphalt", grass="terrain",
        traffic=2.2, people=6, riders=1.1, parked_cycles=1.4, trees=0.8, lights=1.6, signs=2.2,
        rare={"truck": 0.45, "bus": 0.4, "tram": 0.35},
        plants={"palm": 3, "round": 5, "cone": 1},
        walls=((214, 190, 156), (196, 152, 112), (228, 216, 196), (150, 108, 84), (176, 178, 176),
               (104, 122, 138), (188, 124, 92), (122, 116, 108)),
        leaves=((78, 104, 38), (96, 118, 52), (60, 92, 40)),
        asphalt=(86, 122), paving=((176, 166, 150), (158, 150, 140), (188, 176, 158)),
        zenith=((52, 108, 190), (70, 130, 205), (40, 92, 170)),
        low_sky=((186, 212, 232), (226, 222, 206), (240, 214, 176)), line=(222, 176, 52), rough=13,
        sun=(0.5, 0.75), visibility=(350, 900), clouds=(0.0, 0.45), gain=(0.85, 1.2),
        contrast=(1.05, 1.3), saturation=(1.05, 1.3), warmth=(0.02, 0.12), blur=(0.0, 0.4),
        grain=(1, 3), vignette=(0.1, 0.3), weather={"clear": 1},
    ),
    # Houses and gardens under an even sky; no terrain, truck or train.
    "suburb": Style(
        focal=(0.85, 1.15), camera_height=(1.2, 1.6), horizon=(0.42, 0.54), bend=0.005,
        lanes=(1, 1), lane=(2.8, 3.4), sidewalk=(1.8, 3.6), verge=0.5, median=0.0, parking=0.35,
        junction=0.4, ending=0.25, sides={"houses": 6, "park": 2, "blocks": 2}, storeys=(1, 3),
        roofs=0.9, windows={"wide": 5, "sash": 4}, shops=0.12, barrier=0.75,
        ground="asphalt", grass="vegetation",
        traffic=1.6, people=4, riders=1.0, parked_cycles=1.0, trees=0.65, lights=1.0, signs=1.8,
        rare={"bus": 0.4}, plants={"round": 5, "cone": 2, "bare": 1},
        walls=((170, 104, 82), (146, 88, 70), (216, 208, 194), (190, 178, 158), (158, 168, 172),
               (198, 186, 142), (128, 112, 98), (226, 224, 218)),
        leaves=((74, 106, 58), (92, 116, 66), (62, 88, 52), (110, 116, 62)),
        asphalt=(92, 130), paving=((160, 158, 154), (144, 142, 140), (172, 160, 148)),
        zenith=((176, 192, 210), (196, 204, 212), (150, 178, 208)),
        low_sky=((222, 226, 230), (232, 232, 232)), line=(226, 226, 222), rough=8,
        sun=(0.0, 0.2), visibility=(250, 600), clouds=(0.5, 1.0), gain=(0.75, 1.1),
        contrast=(0.85, 1.05), saturation=(0.75, 0.95), warmth=(-0.04, 0.02), blur=(0.2, 0.6),
        grain=(2, 5), vignette=(0.0, 0.12), weather={"clear": 1},
    ),
    # A dense European inner city: narrow, hazy, trams, many people.
    "oldtown": Style(
        focal=(0.75, 1.05), camera_height=(1.1, 1.6), horizon=(0.42, 0.56), bend=0.003,
        lanes=(1, 2), lane=(2.7, 3.2), sidewalk=(2.0, 5.0), verge=0.25, median=0.08, parking=0.3,
        junction=0.5, ending=0.25, sides={"blocks": 8, "park": 2}, storeys=(3, 6), roofs=0.6,
        windows={"sash": 7, "wide": 2}, shops=0.55, barrier=0.6, ground="cobbles", grass="terrain",
        traffic=1.4, people=11, riders=1.8, parked_cycles=2.0, trees=0.5, lights=1.2, signs=2.2,
        rare={"truck": 0.35, "bus": 0.35, "tram": 0.45}, plants={"round": 4, "bare": 4, "cone": 1},
        walls=((196, 172, 130), (166, 146, 120), (150, 92, 72), (208, 200, 182), (128, 118, 106),
               (184, 150, 96), (112, 72, 58), (150, 152, 146), (98, 92, 88)),
        leaves=((72, 82, 44), (90, 92, 56), (104, 96, 66)),
        asphalt=(62, 96), paving=((128, 122, 116), (112, 110, 108), (142, 132, 120)),
        zenith=((150, 172, 196), (174, 182, 190), (120, 156, 198)),
        low_sky=((214, 216, 214), (228, 222, 210)), line=(214, 214, 208), rough=20,
        sun=(0.1, 0.6), visibility=(90, 260), clouds=(0.2, 0.9), gain=(0.65, 1.1),
        contrast=(0.95, 1.25), saturation=(0.65, 0.95), warmth=(-0.02, 0.06), blur=(0.0, 0.5),
        grain=(3, 8), vignette=(0.05, 0.25), weather={"clear": 1},
    ),
    # What the server has pictures of: a bit of everything in another city.
    "crosstown": Style(
        focal=(0.7, 1.1), camera_height=(1.2, 1.9), horizon=(0.38, 0.54), bend=0.003,
        lanes=(1, 3), lane=(2.9, 3.6), sidewalk=(2.0, 5.5), verge=0.4, median=0.25, parking=0.3,
        junction=0.55, ending=0.15, sides={"blocks": 5, "houses": 2, "park": 2}, storeys=(2, 8),
        roofs=0.35, windows={"sash": 3, "wide": 4, "band": 3}, shops=0.4, barrier=0.65,
        ground="asphalt", grass="terrain",
        traffic=1.9, people=7, riders=1.3, parked_cycles=1.3, trees=0.65, lights=1.5, signs=2.0,
        rare={"truck": 0.4, "bus": 0.4, "tram": 0.35},
        plants={"round": 5, "bare": 2, "cone": 2, "palm": 1},
        walls=((176, 160, 142), (158, 98, 78), (206, 202, 194), (132, 136, 140), (190, 160, 112),
               (110, 104, 100), (146, 160, 170)),
        leaves=((70, 98, 46), (86, 108, 58), (96, 98, 58)),
        asphalt=(72, 116), paving=((150, 146, 140), (132, 130, 128), (166, 152, 138)),
        zenith=((84, 136, 196), (160, 180, 204), (112, 156, 206)),
        low_sky=((206, 220, 230), (226, 226, 220)), line=(224, 216, 190), rough=15,
        sun=(0.1, 0.65), visibility=(180, 600), clouds=(0.1, 0.8), gain=(0.65, 1.15),
        contrast=(0.9, 1.25), saturation=(0.75, 1.15), warmth=(-0.06, 0.08), blur=(0.0, 0.6),
        grain=(2, 6), vignette=(0.0, 0.25), weather={"clear": 1},
    ),
    # Held out: another city by day, brick and glass, some rain, a low sun.
    "harbour": Style(
        focal=(0.75, 1.05), camera_height=(1.2, 1.8), horizon=(0.4, 0.54), bend=0.004,
        lanes=(1, 2), lane=(3.0, 3.6), sidewalk=(2.0, 5.0), verge=0.4, median=0.2, parking=0.3,
        junction=0.5, ending=0.2, sides={"blocks": 5, "houses": 3, "park": 2}, storeys=(2, 9),
        roofs=0.4, windows={"sash": 3, "wide": 3, "band": 3}, shops=0.4, barrier=0.65,
        ground="asphalt", grass="terrain",
        traffic=1.9, people=7, riders=1.4, parked_cycles=1.4, trees=0.6, lights=1.5, signs=2.0,
        rare={"truck": 0.45, "bus": 0.4, "tram": 0.35}, plants={"round": 5, "bare": 2, "cone": 2},
        walls=((158, 84, 66), (178, 112, 84), (120, 140, 152), (210, 210, 206), (96, 108, 116),
               (186, 168, 138), (140, 78, 70), (168, 184, 190)),
        leaves=((66, 96, 50), (84, 106, 48), (100, 104, 60)),
        asphalt=(76, 120), paving=((156, 150, 144), (136, 132, 130), (170, 154, 142)),
        zenith=((96, 148, 206), (140, 170, 204), (108, 138, 180)),
        low_sky=((208, 220, 226), (238, 224, 200), (222, 226, 228)), line=(226, 224, 214), rough=14,
        sun=(0.1, 0.7), visibility=(160, 600), clouds=(0.1, 0.9), gain=(0.7, 1.15),
        contrast=(0.9, 1.25), saturation=(0.75, 1.15), warmth=(-0.06, 0.1), blur=(0.0, 0.6),
        grain=(2, 7), vignette=(0.0, 0.25), weather={"clear": 4, "rain": 1},
    ),
    # Held out: bad weather, dusk and night, glare, a noisy sensor.
    "stormnight": Style(
        focal=(0.7, 1.1), camera_height=(1.2, 1.9), horizon=(0.4, 0.54), bend=0.003,
        lanes=(1, 2), lane=(2.9, 3.6), sidewalk=(2.0, 5.0), verge=0.4, median=0.2, parking=0.3,
        junction=0.5, ending=0.15, sides={"blocks": 5, "houses": 2, "park": 2}, storeys=(2, 8),
        roofs=0.4, windows={"sash": 4, "wide": 4, "band": 2}, shops=0.45, barrier=0.65,
        ground="asphalt", grass="terrain",
        traffic=1.9, people=7, riders=1.3, parked_cycles=1.3, trees=0.6, lights=1.6, signs=2.0,
        rare={"truck": 0.4, "bus": 0.4, "tram": 0.35}, plants={"round": 4, "bare": 4, "cone": 2},
        walls=((166, 152, 136), (146, 92, 76), (196, 192, 186), (124, 128, 132), (176, 150, 110),
               (104, 98, 94)),
        leaves=((62, 84, 46), (78, 92, 56), (86, 84, 56)),
        asphalt=(60, 96), paving=((132, 130, 128), (118, 118, 118), (146, 136, 126)),
        zenith=((120, 132, 148), (142, 150, 158), (100, 116, 140)),
        low_sky=((186, 190, 194), (170, 176, 184)), line=(216, 214, 206), rough=15,
        sun=(0.0, 0.15), visibility=(60, 220), clouds=(0.6, 1.0), gain=(0.65, 1.0),
        contrast=(0.8, 1.15), saturation=(0.55, 0.9), warmth=(-0.1, 0.04), blur=(0.2, 1.0),
        grain=(6, 18), vignette=(0.1, 0.4),
        weather={"clear": 1, "rain": 3, "fog": 2, "snow": 2}, night=0.5,
    ),
}  # fmt: skip

SCORED_STYLES = ("harbour", "stormnight")
"""Styles of the embedded evaluation sets: nothing is trained on them."""
