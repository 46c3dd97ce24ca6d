"""People: walking, standing, or on a bicycle or motorcycle."""

from dataclasses import dataclass

import numpy as np

from ..chance import one_of
from ..labels import PERSON, RIDER

SKINS = (
    (0.80, 0.62, 0.52),
    (0.72, 0.54, 0.42),
    (0.55, 0.38, 0.28),
    (0.35, 0.23, 0.17),
    (0.84, 0.68, 0.58),
)
CLOTHES = (
    (0.08, 0.08, 0.09),
    (0.12, 0.13, 0.18),
    (0.10, 0.14, 0.28),
    (0.30, 0.31, 0.33),
    (0.45, 0.42, 0.38),
    (0.60, 0.58, 0.54),
    (0.75, 0.74, 0.72),
    (0.45, 0.08, 0.08),
    (0.55, 0.35, 0.15),
    (0.16, 0.30, 0.20),
    (0.25, 0.17, 0.12),
    (0.70, 0.55, 0.15),
    (0.50, 0.25, 0.35),
    (0.20, 0.35, 0.55),
    (0.82, 0.40, 0.12),
)
HAIR = (
    (0.05, 0.04, 0.04),
    (0.12, 0.08, 0.05),
    (0.25, 0.16, 0.09),
    (0.5, 0.4, 0.22),
    (0.5, 0.5, 0.5),
)
HEIGHT = 1.78
"""Of the body that is drawn, before it is scaled."""


def vector(*values):
    """Three numbers as an array."""
    return np.array(values, float)


@dataclass
class Pose:
    """Where the joints are; pairs are left and right."""

    pelvis: np.ndarray
    chest: np.ndarray
    head: np.ndarray
    knees: list
    feet: list
    elbows: list
    hands: list
    raised: float = 0.0  # how far the body was lifted to stand on the ground


@dataclass
class Look:
    """What a person wears."""

    skin: np.ndarray
    top: np.ndarray
    legs: np.ndarray
    hair: np.ndarray
    shoes: np.ndarray
    width: float
    shorts: bool
    sleeves: bool


def person(mesh, rng, walking=True):
    """A pedestrian, now and then a child."""
    height = rng.uniform(1.52, 1.92)
    if rng.random() < 0.06 and walking:
        height = rng.uniform(1.0, 1.4)
    _draw(mesh, rng, PERSON, height, lambda: _upright(rng, walking))


def rider(mesh, rng):
    """Somebody on two wheels."""
    height = rng.uniform(1.65, 1.9)
    rng.random()  # not used: a pedestrian may be a child
    _draw(mesh, rng, RIDER, height, lambda: _riding(rng))


def _draw(mesh, rng, label, height, draw_pose):
    look = _dress(rng)
    with mesh.at(scale=height / HEIGHT):
        pose = draw_pose()
        _limbs(mesh, label, pose, look)
        _torso(mesh, rng, label, pose, look)
        if label == PERSON and rng.random() < 0.35:  # a coat or skirt
            hem = vector(0, 0, rng.uniform(0.38, 0.75) + pose.raised)
            waist = pose.chest - vector(0, 0, 0.1)
            mesh.cylinder(
                label, waist, hem, 0.17 * look.width, 0.25 * look.width, look.top, 0.85, 14
            )
        _head(mesh, rng, label, pose, look)
        _luggage(mesh, rng, label, pose)


def _dress(rng):
    width = rng.uniform(0.9, 1.22)
    skin = np.array(one_of(rng, SKINS))
    top = np.array(one_of(rng, CLOTHES)) * rng.uniform(0.8, 1.15)
    colorful = rng.random() < 0.3
    legs = np.array(CLOTHES[rng.choice(len(CLOTHES))] if colorful else one_of(rng, CLOTHES[:5]))
    hair = np.array(one_of(rng, HAIR))
    shoes = np.array([0.06, 0.06, 0.06]) if rng.random() < 0.7 else np.array([0.7, 0.7, 0.7])
    return Look(skin, top, legs, hair, shoes, width, rng.random() < 0.15, rng.random() < 0.8)


def _riding(rng):
    pelvis = vector(0, -0.18, 0.98)
    lean = rng.uniform(0.15, 0.55)
    chest = pelvis + vector(0, 0.48 * np.sin(lean), 0.48 * np.cos(lean))
    head = chest + vector(0, 0.12 + 0.1 * lean, 0.28)
    pedal = rng.uniform(-1, 1)
    knees = [
        vector(-0.13, 0.24, 0.74 + 0.16 * pedal),
        vector(0.13, 0.24, 0.74 - 0.16 * pedal),
    ]
    feet = [
        vector(-0.14, 0.08 + 0.1 * pedal, 0.34 + 0.16 * pedal),
        vector(0.14, 0.08 - 0.1 * pedal, 0.34 - 0.16 * pedal),
    ]
    hands = [vector(-0.26, 0.46, 1.02), vector(0.26, 0.46, 1.02)]
    elbows = [
        (chest + vector(side * 0.24, 0, 0.0) + hand) / 2 + vector(side * 0.06, -0.08, -0.08)
        for side, hand in zip((-1, 1), hands, strict=True)
    ]
    return Pose(pelvis, chest, head, knees, feet, elbows, hands)


def _upright(rng, walking):
    """Walking or standing, with the feet on the ground."""
    pelvis, chest, head = vector(0, 0, 0.93), vector(0, 0.02, 1.38), vector(0, 0.03, 1.67)
    phase = rng.uniform(0, 2 * np.pi)
    swing = (0.48 if walking else 0.06) * np.sin(phase)
    lift = 0.25 * max(0, np.cos(phase)) * walking
    pose = Pose(pelvis, chest, head, [], [], [], [])
    for side, thigh in ((-1, swing), (1, -swing)):
        knee = pelvis + vector(side * 0.095, 0.44 * np.sin(thigh) + 0.02, -0.44 * np.cos(thigh))
        bend = 0.1 + (lift + 0.3 * max(0, -thigh)) * (1.2 if walking else 0)
        shin = vector(0, 0.43 * np.sin(thigh - bend), -0.43 * np.cos(thigh - bend))
        pose.knees.append(knee)
        pose.feet.append(knee + shin)
        arm = -thigh * 0.9 + rng.normal(0, 0.1)
        elbow = chest + vector(side * 0.25, 0.30 * np.sin(arm), -0.29 * np.cos(arm) + 0.04)
        forearm = arm + rng.uniform(0.1, 0.6) + (1.2 if rng.random() < 0.15 else 0)
        pose.elbows.append(elbow)
        hand = vector(-side * 0.03, 0.26 * np.sin(forearm), -0.26 * np.cos(forearm))
        pose.hands.append(elbow + hand)
    pose.raised = -(min(foot[2] for foot in pose.feet) - 0.07)
    up = vector(0, 0, pose.raised)
    pose.pelvis, pose.chest, pose.head = pelvis + up, chest + up, head + up
    for joints in (pose.knees, pose.feet, pose.elbows, pose.hands):
        joints[:] = [joint + up for joint in joints]
    return pose


def _limbs(mesh, label, pose, look):
    def limb(start, end, radius, end_radius, color):
        mesh.capsule(label, start, end, radius, end_radius, color, 0.85, 7)

    width = look.width
    for i, side in enumerate((-1, 1)):
        hip = pose.pelvis + vector(side * 0.095, 0, -0.02)
        knee, foot, elbow, hand = pose.knees[i], pose.feet[i], pose.elbows[i], pose.hands[i]
        limb(hip, knee, 0.095 * width, 0.062, look.legs)
        limb(knee, foot, 0.058, 0.043, look.skin if look.shorts else look.legs)
        shoe = foot + vector(0, 0.07, -0.03)
        mesh.ellipsoid(label, shoe, (0.048, 0.13, 0.045), look.shoes, 0.6, 8, 5)
        shoulder = pose.chest + vector(side * 0.19 * width, 0, 0.05)
        limb(shoulder, elbow, 0.06 * width, 0.047, look.top)
        limb(elbow, hand, 0.045, 0.035, look.top if look.sleeves else look.skin)
        mesh.ellipsoid(label, hand, 0.05, look.skin, 0.7, 6, 5)


def _torso(mesh, rng, label, pose, look):
    width = look.width
    spine = pose.chest - pose.pelvis
    up = spine / np.linalg.norm(spine)
    axes = np.stack([vector(1, 0, 0), np.cross(up, vector(1, 0, 0)), up], 1)
    middle = pose.pelvis + spine * 0.62
    trunk = (0.215 * width, 0.135 * width, 0.34)
    mesh.ellipsoid(label, middle, trunk, look.top, 0.85, 12, 9, axes)
    hips = look.legs if rng.random() < 0.6 else look.top
    size = (0.17 * width, 0.13 * width, 0.17)
    mesh.ellipsoid(label, pose.pelvis + vector(0, 0, 0.03), size, hips, 0.85, 10, 7)
    shoulders = (0.235 * width, 0.10, 0.085)
    mesh.ellipsoid(label, pose.chest + up * 0.06, shoulders, look.top, 0.85, 10, 6, axes)


def _head(mesh, rng, label, pose, look):
    head = pose.head
    neck = pose.chest + vector(0, 0.01, 0.08)
    mesh.cylinder(label, neck, head, 0.055, 0.05, look.skin, 0.7, 7)
    mesh.ellipsoid(label, head, (0.085, 0.105, 0.125), look.skin, 0.6, 10, 8)
    if label == RIDER and rng.random() < 0.6:
        helmet = np.clip(rng.random(3), 0.05, 0.9)
        place = head + vector(0, -0.01, 0.05)
        mesh.ellipsoid(label, place, (0.115, 0.14, 0.10), helmet, 0.3, 10, 7)
        return
    place = head + vector(0, -0.028, 0.03)
    mesh.ellipsoid(label, place, (0.097, 0.105, 0.118), look.hair, 0.7, 10, 8)
    if rng.random() < 0.3:  # long hair
        place = head + vector(0, -0.07, -0.08)
        mesh.ellipsoid(label, place, (0.09, 0.06, 0.14), look.hair, 0.7, 8, 6)


def _luggage(mesh, rng, label, pose):
    """A backpack, a bag in the hand, or nothing."""
    kind = rng.random()
    color = np.array(one_of(rng, CLOTHES))
    if kind < 0.22:
        behind = -0.2 if label == RIDER else -0.19
        place = pose.chest + vector(0, behind, -0.08)
        mesh.ellipsoid(label, place, (0.15, 0.1, 0.22), color, 0.8, 10, 7)
    elif kind < 0.4 and label == PERSON:
        place = pose.hands[1] + vector(0.02, 0, -0.22)
        mesh.box(label, place, (0.09, 0.28, 0.28), color, 0.7)
