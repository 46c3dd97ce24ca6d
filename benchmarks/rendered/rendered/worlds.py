"""The worlds: in what their streets, light and cameras differ.

`metro`, `suburb` and `europe` are clients' worlds of the headline; `suburb` lacks terrain, truck
and train, as SYNTHIA does. `dark` and `cab` are clients that know something else: `dark` has only
night, dusk and rain, `cab` looks from the height of a truck. No client trains on `square`, which a
server may have, full of what is rare elsewhere; on `valley`, on which settings are chosen; nor on
`coast`, which is for scores.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Frontage:
    """What stands along a street in rows of houses: shares of a park, a forecourt and a yard.

    The rest are houses. Widths are ranges in metres.
    """

    park: float
    forecourt: float
    yard: float
    forecourt_width: tuple[float, float]
    yard_width: tuple[float, float]
    yard_needs: float  # free metres without which there is none
    house_width: tuple[float, float]
    smallest: float  # a gap below this goes to the house beside it
    depth: float
    setback: float  # of one house in four


@dataclass(frozen=True)
class World:
    """Everything in which two worlds differ. Metres, degrees, probabilities, shares."""

    name: str
    number: int  # seeds its random numbers, with the image's number
    slot: int  # see `draw`

    # Ground and houses
    lanes: tuple[float, ...]  # probabilities of 1, 2, ... lanes in a direction
    lane_width: tuple[float, float]
    sidewalk_width: tuple[float, float]
    parking: tuple[float, float]  # probability on the left, on the right
    trams: float
    medians: float
    verges: float  # strips of grass at the kerb
    cobbled_roads: float
    ground_contrast: float
    first_crossing: tuple[float, float]
    crossing_width: tuple[float, float]
    crossing_spacing: tuple[float, float]
    facades: tuple[str, ...]  # 16: the fronts that one street has
    walls: tuple[str, ...]
    plaster: tuple[tuple[float, float, float], ...]
    facade_contrast: float
    floors: tuple[int, int] | None  # None: two
    window_bay: tuple[float, float]
    shutters: float
    rendered_ground_floor: bool
    balconies: float
    pitched_roofs: float
    flat_sheet_roofs: float  # of the pitched ones: without tiles
    towers: bool
    frontage: Frontage | None  # None: detached houses in gardens
    block_depth: float

    # Markings
    yellow_center: bool  # a double yellow line in the middle
    center_line: float
    double_edge: bool
    cycle_lanes: bool
    crosswalks: float
    box_junctions: float

    # Things and people
    trees: tuple[str, ...]
    autumn: float
    street_trees: float
    tree_scale: tuple[float, float]
    bare_tree_pits: bool
    curbside: tuple[tuple[str, float], ...]
    bicycles_in_a_row: int
    wooden_poles: bool
    wires: float
    lamp_height: tuple[float, float]
    traffic_lights: float
    signal_housings: tuple[tuple[float, float, float], ...]
    mast_arms: float
    signs: tuple[tuple[str, float], ...]
    cars: tuple[tuple[str, float], ...]
    taxis: bool
    semi_trailers: float
    double_deckers: float
    school_buses: float
    traffic: tuple[tuple[str, float], ...]
    density: tuple[float, float]
    tram_running: float
    parked_cars: float  # of parked vehicles; the rest are trucks
    crossing_trucks: bool
    cyclists: float
    pedestrians: float
    crossing_pedestrians: float

    # Light and camera
    weather: tuple[tuple[str, float], ...]
    night: float
    camera_height: tuple[float, float]
    high_camera: tuple[float, tuple[float, float]]  # probability, height
    pitch: float
    pitch_by_height: float  # degrees down for each metre above 1.9
    straight: float
    exposure: tuple[float, float]
    white_balance: tuple[float, float, float]
    color_constancy: float
    tone: str
    saturation: tuple[float, float]

    # Which numbers are drawn, though it changes nothing
    tile_seed: int = 6
    spare_numbers: bool = False

    def draw(self, rng, low_high):
        """A number from a range of this world.

        Three are drawn, of which the one at `slot` is used: one for each of the first three
        worlds, so that their images stay what they are.
        """
        low, high = low_high
        return low + (high - low) * float(rng.random(3)[self.slot])

    def draw_lanes(self, rng):
        """A number of lanes; drawn like `draw`."""
        return 1 + int(np.cumsum(self.lanes).searchsorted(rng.random(3)[self.slot], "right"))


METRO = World(
    name="metro",
    number=1,
    slot=0,
    lanes=(0.28, 0.56, 0.16),
    lane_width=(3.2, 3.6),
    sidewalk_width=(3.4, 6.5),
    parking=(0.55, 0.42),
    trams=0.16,
    medians=0.22,
    verges=0.38,
    cobbled_roads=0,
    ground_contrast=1.0,
    first_crossing=(6, 75),
    crossing_width=(9, 17),
    crossing_spacing=(50, 95),
    facades=("full",) * 5 + ("podium",) * 4 + ("tower",) * 5 + ("side",) * 2,
    walls=("brick",) * 3 + ("plaster",) * 2 + ("stone",) * 3 + ("glass",) * 4,
    plaster=(
        (0.62, 0.56, 0.48),
        (0.55, 0.50, 0.45),
        (0.66, 0.62, 0.56),
        (0.48, 0.44, 0.42),
        (0.58, 0.48, 0.40),
        (0.42, 0.43, 0.46),
        (0.70, 0.66, 0.60),
    ),
    facade_contrast=1.0,
    floors=(3, 7),
    window_bay=(1.9, 3.4),
    shutters=0.04,
    rendered_ground_floor=False,
    balconies=0.2,
    pitched_roofs=0,
    flat_sheet_roofs=0.3,
    towers=True,
    frontage=Frontage(0.10, 0.29, 0.37, (12, 24), (10, 22), 10, (12, 30), 8, 22, 1.5),
    block_depth=23,
    yellow_center=True,
    center_line=1,
    double_edge=False,
    cycle_lanes=False,
    crosswalks=0.85,
    box_junctions=0,
    trees=("round",) * 7 + ("tall",) * 3,
    autumn=0.12,
    street_trees=0.92,
    tree_scale=(0.7, 1.25),
    bare_tree_pits=True,
    curbside=(
        ("none", 30),
        ("tree", 24),
        ("lamp", 4),
        ("sign", 6.5),
        ("hydrant", 1.5),
        ("bin", 1.6),
        ("bicycles", 2.6),
        ("motorcycles", 2.4),
        ("shelter", 0.5),
        ("cabinet", 1),
        ("cone", 0.7),
        ("pole", 2),
        ("bollards", 0.8),
        ("bush", 1.2),
        ("fence", 1.8),
    ),
    bicycles_in_a_row=3,
    wooden_poles=False,
    wires=0,
    lamp_height=(7, 10),
    traffic_lights=0.9,
    signal_housings=((0.05, 0.055, 0.05), (0.75, 0.55, 0.08), (0.05, 0.05, 0.05)),
    mast_arms=1,
    signs=(
        ("stop", 2),
        ("diamond", 2),
        ("american limit", 3),
        ("direction", 3),
        ("no parking", 3),
        ("no entry", 1),
        ("gantry", 0.5),
        ("yield", 0.5),
    ),
    cars=(
        ("sedan", 30),
        ("hatch", 12),
        ("wagon", 14),
        ("suv", 26),
        ("van", 10),
        ("mini", 2),
        ("pickup", 8),
    ),
    taxis=True,
    semi_trailers=2,
    double_deckers=0,
    school_buses=0.2,
    traffic=(("car", 78), ("truck", 6), ("bus", 5), ("motorcycle", 6), ("bicycle", 3)),
    density=(0.9, 2.1),
    tram_running=0.7,
    parked_cars=0.96,
    crossing_trucks=True,
    cyclists=0.5,
    pedestrians=12,
    crossing_pedestrians=0.45,
    weather=(("clear", 8), ("cloudy", 2)),
    night=0,
    camera_height=(1.2, 1.7),
    high_camera=(0, (0, 0)),
    pitch=1.9,
    pitch_by_height=0,
    straight=0.6,
    exposure=(0.15, 0.24),
    white_balance=(1.06, 1.0, 0.90),
    color_constancy=0.55,
    tone="contrasty",
    saturation=(1.1, 1.4),
    tile_seed=5,
)
SUBURB = World(
    name="suburb",
    number=2,
    slot=1,
    lanes=(0.85, 0.15),
    lane_width=(2.7, 3.3),
    sidewalk_width=(1.9, 3.6),
    parking=(0.5, 0.4),
    trams=0,
    medians=0,
    verges=0,
    cobbled_roads=0,
    ground_contrast=0.5,
    first_crossing=(8, 90),
    crossing_width=(6, 10),
    crossing_spacing=(40, 90),
    facades=("house",) * 9 + ("full",) + ("side",) * 3 + ("roof",) * 3,
    walls=("plaster",) * 4 + ("siding",) * 3 + ("brick",) * 3,
    plaster=(
        (0.85, 0.83, 0.78),
        (0.82, 0.76, 0.62),
        (0.74, 0.78, 0.80),
        (0.80, 0.66, 0.55),
        (0.88, 0.86, 0.84),
        (0.70, 0.76, 0.66),
        (0.76, 0.72, 0.70),
        (0.86, 0.80, 0.70),
    ),
    facade_contrast=0.6,
    floors=None,
    window_bay=(2.4, 4.0),
    shutters=0.2,
    rendered_ground_floor=False,
    balconies=0.2,
    pitched_roofs=0.75,
    flat_sheet_roofs=0,
    towers=False,
    frontage=None,
    block_depth=19,
    yellow_center=False,
    center_line=0.7,
    double_edge=True,
    cycle_lanes=False,
    crosswalks=0.5,
    box_junctions=0,
    trees=("round",) * 6 + ("tall",) * 2 + ("conifer",) * 3,
    autumn=0.08,
    street_trees=0.85,
    tree_scale=(0.7, 1.25),
    bare_tree_pits=False,
    curbside=(
        ("none", 28),
        ("tree", 9),
        ("lamp", 3),
        ("sign", 4.6),
        ("bin", 1.3),
        ("bicycles", 1.4),
        ("motorcycles", 1.3),
        ("shelter", 0.4),
        ("pole", 3),
        ("bollards", 0.4),
        ("bush", 0.8),
        ("fence", 0.8),
    ),
    bicycles_in_a_row=3,
    wooden_poles=True,
    wires=0.5,
    lamp_height=(5, 7),
    traffic_lights=0.55,
    signal_housings=(),
    mast_arms=0,
    signs=(
        ("stop", 1.5),
        ("round", 3),
        ("warning", 2),
        ("yield", 1),
        ("parking", 1),
        ("direction", 2),
        ("american limit", 1),
        ("diamond", 0.7),
    ),
    cars=(
        ("sedan", 18),
        ("hatch", 30),
        ("wagon", 14),
        ("suv", 26),
        ("van", 10),
        ("mini", 8),
        ("pickup", 1),
    ),
    taxis=False,
    semi_trailers=1,
    double_deckers=0,
    school_buses=0,
    traffic=(("car", 80), ("bus", 10), ("motorcycle", 6), ("bicycle", 6)),
    density=(0.5, 1.5),
    tram_running=0,
    parked_cars=1.0,
    crossing_trucks=False,
    cyclists=0.6,
    pedestrians=6.5,
    crossing_pedestrians=0.25,
    weather=(("overcast", 4.2), ("low", 3), ("cloudy", 2.8)),
    night=0.10,
    camera_height=(1.2, 1.9),
    high_camera=(0.35, (1.9, 3.6)),
    pitch=0.8,
    pitch_by_height=3.0,
    straight=0.35,
    exposure=(0.20, 0.30),
    white_balance=(1.0, 1.0, 1.0),
    color_constancy=0.6,
    tone="flat",
    saturation=(1.1, 1.42),
)
EUROPE = World(
    name="europe",
    number=3,
    slot=2,
    lanes=(0.72, 0.28),
    lane_width=(2.8, 3.3),
    sidewalk_width=(2.4, 5.0),
    parking=(0.55, 0.42),
    trams=0.42,
    medians=0,
    verges=0.38,
    cobbled_roads=0.22,
    ground_contrast=1.0,
    first_crossing=(5, 65),
    crossing_width=(6, 10),
    crossing_spacing=(40, 90),
    facades=("full",) * 11 + ("side",) * 2 + ("tower",) + ("roof",) * 2,
    walls=("plaster",) * 7 + ("brick",) * 2 + ("stone",) * 3,
    plaster=(
        (0.80, 0.76, 0.66),
        (0.76, 0.68, 0.52),
        (0.74, 0.70, 0.66),
        (0.82, 0.80, 0.76),
        (0.70, 0.58, 0.48),
        (0.66, 0.64, 0.60),
        (0.78, 0.66, 0.58),
        (0.68, 0.70, 0.66),
        (0.84, 0.78, 0.62),
        (0.58, 0.55, 0.52),
    ),
    facade_contrast=1.0,
    floors=(3, 7),
    window_bay=(1.9, 3.4),
    shutters=0.2,
    rendered_ground_floor=True,
    balconies=0.35,
    pitched_roofs=0.75,
    flat_sheet_roofs=0.3,
    towers=False,
    frontage=Frontage(0.16, 0.36, 0.42, (9, 18), (7, 16), 8, (8, 18), 6, 13, 0.6),
    block_depth=13.5,
    yellow_center=False,
    center_line=1,
    double_edge=False,
    cycle_lanes=True,
    crosswalks=0.85,
    box_junctions=0.2,
    trees=("round",) * 6 + ("tall",) * 2 + ("bare",) * 4,
    autumn=0.12,
    street_trees=0.72,
    tree_scale=(0.8, 1.4),
    bare_tree_pits=True,
    curbside=(
        ("none", 24),
        ("tree", 15),
        ("lamp", 3.2),
        ("sign", 6.5),
        ("bin", 1.5),
        ("bicycles", 5.5),
        ("motorcycles", 2.6),
        ("shelter", 0.5),
        ("cabinet", 0.7),
        ("pole", 2),
        ("bollards", 4),
        ("cafe", 0.6),
        ("fence", 2.6),
        ("lantern", 1.5),
    ),
    bicycles_in_a_row=5,
    wooden_poles=False,
    wires=0,
    lamp_height=(7, 10),
    traffic_lights=0.78,
    signal_housings=(),
    mast_arms=0.25,
    signs=(
        ("round", 4),
        ("no entry", 1.5),
        ("mandatory", 2),
        ("warning", 2.5),
        ("yield", 1.5),
        ("parking", 2),
        ("crossing", 2),
        ("direction", 2.5),
        ("priority", 1.5),
    ),
    cars=SUBURB.cars,
    taxis=False,
    semi_trailers=1,
    double_deckers=0.25,
    school_buses=0,
    traffic=(("car", 62), ("bus", 7), ("truck", 5), ("motorcycle", 7), ("bicycle", 9)),
    density=(0.6, 1.6),
    tram_running=0.62,
    parked_cars=0.96,
    crossing_trucks=True,
    cyclists=1.2,
    pedestrians=16,
    crossing_pedestrians=0.5,
    weather=(("overcast", 4), ("hazy", 3.5), ("rain", 1.6), ("fog", 0.9), ("cloudy", 0.8)),
    night=0,
    camera_height=(1.2, 1.7),
    high_camera=(0, (0, 0)),
    pitch=1.9,
    pitch_by_height=0,
    straight=0.35,
    exposure=(0.16, 0.25),
    white_balance=(0.985, 1.0, 1.02),
    color_constancy=0.7,
    tone="soft",
    saturation=(0.8, 1.02),
    spare_numbers=True,
)
DARK = replace(
    EUROPE,
    name="dark",
    number=4,
    weather=(("rain", 1),),
    night=0.6,
    color_constancy=0.9,
    tone="contrasty",
    saturation=(0.6, 0.9),
)
CAB = replace(
    METRO,
    name="cab",
    number=5,
    weather=(("clear", 3), ("overcast", 4), ("low", 3)),
    camera_height=(2.3, 3.2),
    pitch=-2.0,
    traffic=(("car", 60), ("truck", 18), ("bus", 10), ("motorcycle", 6), ("bicycle", 3)),
    tone="soft",
    saturation=(0.9, 1.1),
)
VALLEY = replace(
    EUROPE,
    name="valley",
    number=6,
    trams=0.25,
    verges=0.6,
    cobbled_roads=0.05,
    plaster=SUBURB.plaster,
    walls=("plaster",) * 5 + ("siding",) * 3 + ("brick",) * 4,
    frontage=replace(EUROPE.frontage, park=0.28, forecourt=0.5, yard=0.58),
    trees=("round",) * 4 + ("conifer",) * 5 + ("tall",) * 2,
    weather=(("cloudy", 4), ("clear", 2), ("overcast", 2), ("low", 2), ("rain", 1)),
    night=0.12,
    camera_height=(1.2, 2.0),
    tone="flat",
    saturation=(0.9, 1.2),
)
COAST = replace(
    METRO,
    name="coast",
    number=7,
    lanes=(0.5, 0.4, 0.1),
    trams=0.3,
    walls=("plaster",) * 6 + ("stone",) * 3 + ("brick",) * 2 + ("glass",),
    plaster=(
        (0.86, 0.84, 0.78),
        (0.84, 0.74, 0.58),
        (0.80, 0.62, 0.50),
        (0.70, 0.76, 0.80),
        (0.88, 0.80, 0.66),
        (0.64, 0.56, 0.50),
    ),
    shutters=0.4,
    balconies=0.5,
    yellow_center=False,
    signs=EUROPE.signs,
    cars=EUROPE.cars,
    taxis=False,
    school_buses=0,
    mast_arms=0.4,
    traffic=(("car", 60), ("truck", 6), ("bus", 7), ("motorcycle", 12), ("bicycle", 8)),
    pedestrians=14,
    weather=(("clear", 3), ("hazy", 2), ("low", 2), ("overcast", 2), ("rain", 1)),
    night=0.15,
    camera_height=(1.2, 2.2),
    tone="soft",
    saturation=(0.95, 1.25),
    white_balance=(1.0, 1.0, 1.0),
)
SQUARE = replace(
    EUROPE,
    name="square",
    number=8,
    lanes=(0.4, 0.6),
    trams=0.8,
    tram_running=0.9,
    verges=0.5,
    cars=METRO.cars,
    traffic=(("car", 40), ("bus", 14), ("truck", 16), ("motorcycle", 12), ("bicycle", 12)),
    density=(0.8, 1.8),
    weather=(("clear", 2), ("cloudy", 2), ("overcast", 2), ("low", 1), ("rain", 1)),
    night=0.1,
    tone="soft",
    saturation=(0.9, 1.2),
)
WORLDS = {world.name: world for world in (METRO, SUBURB, EUROPE, DARK, CAB, VALLEY, COAST, SQUARE)}
"""By name."""
