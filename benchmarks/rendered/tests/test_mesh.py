"""Triangles of the rendered worlds' shapes."""

import numpy as np
import pytest
from rendered.mesh import Mesh
from rendered.street.bend import bend

LABEL = 13


def only_part(mesh):
    (part,) = mesh.merged().values()
    return part


def volume(part) -> float:
    """By the divergence theorem: positive if the triangles face outwards."""
    a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_box_has_its_volume_and_place():
    mesh = Mesh()
    mesh.box(LABEL, (1, 2, 3), (2, 3, 4), (0.5, 0.5, 0.5))
    part = only_part(mesh)
    assert volume(part) == pytest.approx(24)
    np.testing.assert_allclose(part.vertices.mean(axis=0), (1, 2, 3))


def test_closed_cylinder_has_the_volume_of_its_prism():
    mesh = Mesh()
    mesh.cylinder(LABEL, (0, 0, 0), (0, 0, 2), 1.0, sides=200, closed=True)
    assert abs(volume(only_part(mesh))) == pytest.approx(2 * np.pi, rel=1e-3)


def test_normals_are_unit_vectors_and_point_outwards():
    mesh = Mesh()
    mesh.ellipsoid(LABEL, (5, 0, 0), (1, 2, 3), (0.5, 0.5, 0.5), around=20, down=20)
    part = only_part(mesh)
    np.testing.assert_allclose(np.linalg.norm(part.normals, axis=1), 1, atol=1e-9)
    assert ((part.vertices - (5, 0, 0)) * part.normals).sum(axis=1).min() > 0


def test_places_nest_and_end():
    mesh = Mesh()
    with mesh.at((10, 0, 0), np.pi / 2), mesh.at((1, 0, 0), scale=2):
        np.testing.assert_allclose(mesh.to_street((1, 0, 0)), (10, 3, 0), atol=1e-12)
    np.testing.assert_allclose(mesh.to_street((1, 0, 0)), (1, 0, 0))


def test_parts_of_one_label_and_material_are_merged():
    mesh = Mesh()
    for x in (0, 5):
        mesh.box(LABEL, (x, 0, 0), (1, 1, 1), (0.1, 0.2, 0.3), 0.4)
    mesh.box(LABEL, (0, 0, 0), (1, 1, 1), (1, 1, 1), material="light")
    parts = mesh.merged()
    assert set(parts) == {(LABEL, "plain"), (LABEL, "light")}
    both = parts[LABEL, "plain"]
    assert volume(both) == pytest.approx(2)
    assert both.faces.max() == len(both.vertices) - 1
    np.testing.assert_allclose(both.colors, np.tile((0.1, 0.2, 0.3), (48, 1)))
    np.testing.assert_allclose(both.roughness, 0.4)


@pytest.mark.parametrize("curvature", [0.01, -0.01])
def test_bending_keeps_lengths_along_the_street(curvature):
    y = np.linspace(0, 100, 1001)
    line = np.stack([np.zeros_like(y), y, np.zeros_like(y)], axis=-1)
    bent, normals = bend(line, np.tile((1.0, 0, 0), (1001, 1)), curvature, None)
    steps = np.linalg.norm(np.diff(bent, axis=0), axis=1)
    np.testing.assert_allclose(steps, 0.1, rtol=1e-4)
    assert np.sign(bent[-1, 0]) == np.sign(curvature)  # positive is to the right
    along = np.diff(bent, axis=0)
    assert np.abs((along * normals[:-1]).sum(axis=1)).max() < 1e-3  # still at right angles


def test_a_hill_is_as_high_as_asked():
    points = np.array([[0.0, 0, 0], [0, 60, 0]])
    bent, _ = bend(points, np.zeros((2, 3)), 0.0, (3.0, 60.0))
    np.testing.assert_allclose(bent[:, 2], (0, 3))
