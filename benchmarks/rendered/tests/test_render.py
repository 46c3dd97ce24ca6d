"""Images of the rendered worlds, with Mitsuba where it is installed."""

import numpy as np
import pytest
from rendered.labels import SKY
from rendered.rendering import mitsuba
from rendered.rendering.camera import photograph
from rendered.rendering.denoise import denoise
from rendered.rendering.sky import SUN_ELEVATION, Skies
from rendered.worlds import METRO, WORLDS

from fedseg.errors import FedsegError


@pytest.mark.parametrize("weather", SUN_ELEVATION)
def test_sky_is_finite_and_brighter_by_day(weather):
    sky = Skies().sky(np.random.default_rng(0), weather)
    assert sky.radiance.shape == (256, 512, 3)
    assert np.isfinite(sky.radiance).all()
    assert sky.radiance.min() >= 0
    day = sky.radiance[:128].mean() > 0.3
    assert day == (weather not in ("dusk", "night"))


def test_weather_does_not_shift_later_numbers():
    """Two skies that differ in the weather alone take as many random numbers."""
    after = []
    for weather in ("clear", "fog"):
        rng = np.random.default_rng(7)
        Skies().sky(rng, weather)
        after.append(rng.random())
    assert after[0] == after[1]


def test_denoising_keeps_edges_and_removes_noise():
    rng = np.random.default_rng(0)
    height, width = 40, 60
    albedo = np.full((height, width, 3), 0.5, np.float32)
    normals = np.zeros((height, width, 3), np.float32)
    normals[..., 2] = 1
    depth = np.full((height, width), 10, np.float32)
    depth[:, width // 2 :] = 60
    truth = np.where(depth == 10, 0.2, 0.6)[..., None].astype(np.float32)
    truth = np.broadcast_to(truth, (height, width, 3))
    noisy = truth * rng.gamma(10, 1 / 10, truth.shape).astype(np.float32)
    clean = denoise(noisy, albedo, normals, depth, np.zeros((height, width), bool))
    assert np.abs(clean - truth).mean() < 0.4 * np.abs(noisy - truth).mean()
    step = clean[:, width // 2].mean() - clean[:, width // 2 - 1].mean()
    assert step > 0.35


def test_sky_is_not_denoised():
    radiance = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    zeros = np.zeros((20, 30, 3), np.float32)
    same = denoise(radiance, zeros, zeros, zeros[..., 0], np.ones((20, 30), bool))
    np.testing.assert_array_equal(same, radiance)


@pytest.mark.parametrize("name", WORLDS)
def test_exposure_does_not_depend_on_the_light(name):
    """A camera shows the same scene alike in three times the light."""
    radiance = np.random.default_rng(1).random((24, 32, 3)).astype(np.float32) * 0.2
    labels = np.zeros((24, 32), np.uint8)
    labels[:8] = SKY
    images = [
        photograph(np.random.default_rng(0), WORLDS[name], "clear", radiance * k, labels)
        for k in (1, 3)
    ]
    assert images[0].dtype == np.uint8
    assert abs(images[0].astype(int) - images[1]).mean() < 4
    assert 30 < images[0].mean() < 225


def test_without_llvm_the_recipe_is_given(monkeypatch):
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(mitsuba.Path, "glob", lambda *_: iter(()))
    monkeypatch.setattr(mitsuba.ctypes.util, "find_library", lambda _: None)
    with pytest.raises(FedsegError, match="apt-get install libllvm19"):
        mitsuba.start()


@pytest.fixture(scope="module")
def renderer():
    pytest.importorskip("mitsuba")
    from rendered.rendering.render import Renderer

    try:
        started = mitsuba.start()
    except FedsegError as error:
        pytest.skip(str(error))
    return Renderer(METRO, *started)


def test_a_rendered_image_shows_its_labels(renderer):
    rendered = renderer.render(0)
    assert rendered.image.shape == (240, 320, 3)
    assert rendered.labels.shape == (240, 320)
    sky = rendered.labels == SKY
    assert 0 < sky.mean() < 1
    assert rendered.image[sky].mean() > rendered.image[~sky].mean()  # by day, in clear weather
