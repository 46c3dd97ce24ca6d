import json
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fedseg.classes import CITYSCAPES, CLASSES
from fedseg.config import Augmentation, Source
from fedseg.data.dataset import open_dataset
from fedseg.errors import FedsegError
from fedseg.extras.diffusion import Diffusion, _variant, fetch_checkpoint, image_prompt
from fedseg.files import read_json, write_json
from fedseg.method.generation.augmentation import check_generator, generator_inputs
from fedseg.method.generation.candidates import make_candidates
from tests.extras.test_mix import Fake

pytest.importorskip("diffusers")

CAR, BUS, ROAD = 13, 15, 0
HEIGHT, WIDTH = 96, 160  # of the server's pictures


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A Stable Diffusion checkpoint of random weights, 0.3 MB, in its own library's format."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
    from diffusers import UNet2DConditionModel as UNet
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("diffusion")
    letters = [chr(code) for code in range(33, 127)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )
    torch.manual_seed(0)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            bos_token_id=0,
            eos_token_id=1,
        )
    )
    unet = UNet(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder / "tiny")
    return folder / "tiny"


@pytest.fixture
def generator(checkpoint, tmp_path):
    """A generator for three grey pictures; in the first of them the clients see a car."""
    (tmp_path / "images").mkdir()
    labels = np.full((3, 12, 20), ROAD)
    labels[0, 6:9, 8:14] = CAR
    for index in range(3):
        picture = np.full((HEIGHT, WIDTH, 3), 100 + 20 * index, np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"{index}.png")
    images = open_dataset(Source(dataset="folder", root=tmp_path), labelled=False)
    settings = with_options(model=str(checkpoint), steps=2, size=[64, 128])
    return Diffusion(settings, images, [Fake(labels), Fake(labels)])


def with_options(**options):
    return Augmentation(generator="diffusion", options=options)


def make(generator, train_id, inpainted, seed=0):
    """The first image, from this seed on, that is inpainted, or the first that is not."""
    for rng in map(np.random.default_rng, range(seed, seed + 20)):
        made = generator.make(train_id, rng)
        if ("onto" in made.made_of) == inpainted:
            return made
    raise AssertionError("20 images, and none is of the wanted kind")


def test_an_image_from_text_alone(generator):
    made = generator.make(BUS, np.random.default_rng(0))  # no client sees a bus anywhere
    assert (made.image.shape, made.image.dtype) == ((64, 128, 3), np.uint8)
    assert made.image.std() > 1
    assert made.box == (0, 0, 1, 1)
    assert 0 < made.area < 0.05
    assert "bus" in made.made_of["prompt"]


def test_only_a_region_like_the_clients_is_painted_into_a_picture(generator):
    made = make(generator, CAR, inpainted=True)
    top, left, bottom, right = made.box
    assert (top, bottom) == (6 / 12, 9 / 12)  # the height at which the only car stands
    assert right - left == pytest.approx(6 / 20)
    assert made.area == 18 / 240
    assert "car" in made.made_of["prompt"]
    level = 100 + 20 * int(made.made_of["onto"].removesuffix(".png"))
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[48:72, int(left * WIDTH) : int(np.ceil(right * WIDTH))] = True
    assert made.image.shape == (HEIGHT, WIDTH, 3)
    assert (made.image[~inside] == level).all()
    assert (made.image[inside] != level).any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("inpainted", [False, True])
def test_what_the_safety_checker_blackens_is_dropped(generator, inpainted, monkeypatch):
    """A black image shows no class, whatever it was made for."""
    assert make(generator, CAR, inpainted)
    pipeline = generator._pipeline

    def checked(**wanted):
        painted = pipeline(**wanted)
        painted.nsfw_content_detected = [True] * len(wanted["prompt"])
        return painted

    monkeypatch.setitem(generator.__dict__, "_pipeline", checked)
    for seed in range(8):
        assert generator.make(CAR, np.random.default_rng(seed)) is None


def test_images_painted_together_are_those_painted_alone(generator, monkeypatch):
    ids = [BUS, CAR, CAR, BUS, ROAD, CAR]

    def rngs():
        return [np.random.default_rng(10 + n) for n in range(len(ids))]

    alone = [generator.make(*one) for one in zip(ids, rngs(), strict=True)]
    pipeline, counts = generator._pipeline, []

    def counting(**wanted):
        counts.append(len(wanted["prompt"]))
        painted = pipeline(**wanted)
        painted.nsfw_content_detected = [
            text.startswith("a wide road") for text in wanted["prompt"]
        ]
        return painted

    monkeypatch.setitem(generator.__dict__, "_pipeline", counting)
    together = generator.make_batch(ids, rngs())
    inpainted = sum("onto" in made.made_of for made in alone)
    assert 0 < inpainted < 3
    assert sorted(counts) == [1] * inpainted + [len(ids) - inpainted]
    for train_id, one, other in zip(ids, alone, together, strict=True):
        if train_id == ROAD and "onto" not in one.made_of:
            assert other is None  # of a batch, only what was flagged is dropped
            continue
        assert (one.made_of, one.box, one.area) == (other.made_of, other.box, other.area)
        assert abs(one.image.astype(int) - other.image).max() <= 2  # up to rounding


def test_without_a_size_the_checkpoint_family_decides(generator, checkpoint, tmp_path):
    settings = with_options(model=str(checkpoint))
    assert Diffusion(settings, generator._images, [])._size == (512, 768)
    for kind in ("StableDiffusionXLPipeline", "StableDiffusion3Pipeline"):
        folder = tmp_path / kind
        folder.mkdir()
        write_json(folder / "model_index.json", {"_class_name": kind})
        other = with_options(model=str(folder))
        assert Diffusion(other, generator._images, [])._size == (832, 1216)


def test_a_checkpoint_with_half_precision_weights_alone(generator, checkpoint, tmp_path):
    from diffusers import StableDiffusionPipeline

    folder = tmp_path / "half"
    StableDiffusionPipeline.from_pretrained(checkpoint).save_pretrained(folder, variant="fp16")
    assert not (folder / "unet" / "diffusion_pytorch_model.safetensors").exists()
    cpu = torch.device("cpu")
    assert _variant(folder, cpu) == "fp16"
    assert _variant(checkpoint, cpu) is None
    assert _variant(checkpoint, torch.device("cuda")) is None
    shutil.copytree(checkpoint, folder, dirs_exist_ok=True)  # now both
    assert _variant(folder, cpu) is None
    assert _variant(folder, torch.device("cuda")) == "fp16"


def test_half_precision_weights_are_loaded(generator, checkpoint, tmp_path):
    from diffusers import StableDiffusionPipeline

    folder = tmp_path / "half"
    StableDiffusionPipeline.from_pretrained(checkpoint).save_pretrained(folder, variant="fp16")
    settings = with_options(model=str(folder), steps=2, size=[64, 128])
    half = Diffusion(settings, generator._images, [])
    assert half.make(BUS, np.random.default_rng(0)).image.shape == (64, 128, 3)


def test_the_random_numbers_decide_between_text_and_region(generator):
    kinds = ["onto" in generator.make(CAR, np.random.default_rng(s)).made_of for s in range(12)]
    assert 2 < sum(kinds) < 10


@pytest.mark.parametrize("inpainted", [False, True])
def test_an_image_follows_from_its_random_numbers(generator, inpainted):
    one, same = (make(generator, CAR, inpainted) for _ in range(2))
    assert (one.image == same.image).all()
    assert one.made_of == same.made_of
    assert (make(generator, CAR, inpainted, seed=50).image != one.image).any()
    torch.manual_seed(99)  # nobody else's random numbers count
    assert (make(generator, CAR, inpainted).image == one.image).all()


def test_what_text_alone_gives_owes_nothing_to_the_picture_below(generator):
    """Everything masked, Stable Diffusion's inpainting must be text-to-image."""

    def paint(level):
        picture = Image.new("RGB", (128, 64), (level, level, level))
        mask = Image.new("L", (128, 64), 255)
        [image] = generator._paint(["a car"], picture, mask, None, [np.random.default_rng(0)])
        return image

    assert (paint(0) == paint(255)).all()


def test_prompts_name_the_class_and_vary():
    rng = np.random.default_rng(0)
    for name in CLASSES:
        prompts = {image_prompt(name, rng) for _ in range(10)}
        assert len(prompts) > 5
        assert all(name in text for text in prompts)
    assert image_prompt("wall", np.random.default_rng(1)) == image_prompt(
        "wall", np.random.default_rng(1)
    )


def test_candidates_are_written_and_kept(generator, tmp_path):
    def run():
        return make_candidates(
            generator, 4, {CAR: 1.0}, CITYSCAPES, 0, tmp_path / "g", {}, lambda *_: None
        )

    paths = run()
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in paths]
    assert len(paths) == 4
    assert all(read_json(path.with_suffix(".json"))["class"] == "car" for path in paths)
    assert run() == paths
    assert [(path.stat().st_mtime_ns, path.read_bytes()) for path in paths] == before


def test_a_checkpoint_made_for_inpainting(checkpoint, tmp_path, generator):
    """Its network has nine input channels: it is shown the mask and the picture below, too."""
    from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel

    pipeline = StableDiffusionInpaintPipeline.from_pretrained(checkpoint)
    config = dict(pipeline.unet.config) | {"in_channels": 9}
    torch.manual_seed(0)
    pipeline.unet = UNet2DConditionModel.from_config(config)
    pipeline.save_pretrained(tmp_path / "nine")
    settings = with_options(model=str(tmp_path / "nine"), steps=2, size=[64, 128])
    labels = np.full((3, 12, 20), ROAD)
    nine = Diffusion(settings, generator._images, [Fake(labels), Fake(labels)])
    assert make(nine, ROAD, inpainted=False).image.shape == (64, 128, 3)
    assert make(nine, ROAD, inpainted=True).image.shape == (HEIGHT, WIDTH, 3)


def test_nothing_is_loaded_before_an_image_is_wanted(generator, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    idle = Diffusion(with_options(model="a/b"), generator._images, [])
    with pytest.raises(FedsegError, match="needs the extra"):
        idle.make(BUS, np.random.default_rng(0))


def test_options_and_checkpoint_are_checked(checkpoint, tmp_path, monkeypatch):
    def check(**options):
        check_generator(with_options(**options), CITYSCAPES)

    check_generator(Augmentation(), CITYSCAPES)  # "none" needs nothing
    check(model=str(checkpoint))
    for options, message in (
        ({"model": str(tmp_path / "nowhere")}, "model: .*nowhere: no such folder"),
        ({}, "server.augmentation.options: 'model' is missing"),
        ({"model": "a/b", "stepps": 3}, "stepps.*did you mean 'steps'"),
        ({"model": "a/b", "size": [512, 700]}, "size.*64"),
    ):
        with pytest.raises(FedsegError, match=message):
            check(**options)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(FedsegError, match=r"pip install 'fedseg\[diffusion\]'"):
        check(model=str(checkpoint))


def test_the_content_of_the_checkpoint_is_an_input(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    before = generator_inputs(with_options(model=str(copy)))
    assert before["model"] == generator_inputs(with_options(model=str(checkpoint)))["model"]
    write_json(copy / "more.json", {})
    assert generator_inputs(with_options(model=str(copy))) != before


@pytest.mark.parametrize("kind", ["FluxPipeline", "StableDiffusionUpscalePipeline", None])
def test_a_checkpoint_of_another_kind(tmp_path, kind):
    write_json(tmp_path / "model_index.json", {"_class_name": kind})
    with pytest.raises(FedsegError, match=f"is a {kind}; choose a Stable Diffusion checkpoint"):
        fetch_checkpoint(str(tmp_path))


def test_a_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(FedsegError, match="can't be used") as caught:
        fetch_checkpoint(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_the_hub(checkpoint, tmp_path, monkeypatch):
    """Without a network the hub's client looks into its cache, where one was downloaded before."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository, commit = tmp_path / "models--some--checkpoint", "0" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(checkpoint, repository / "snapshots" / commit)
    assert fetch_checkpoint("some/checkpoint") == repository / "snapshots" / commit
    with pytest.raises(FedsegError, match="model: some/other: can't be used") as caught:
        fetch_checkpoint("some/other")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "pickled"),
    [
        ("unet/diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
        ("text_encoder/model.safetensors", "pytorch_model.bin"),
    ],
)
def test_pickled_weights_are_never_opened(generator, checkpoint, tmp_path, part, pickled):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    weights = copy / part
    torch.save(load_file(weights), weights.with_name(pickled))
    weights.unlink()
    other = Diffusion(with_options(model=str(copy), steps=2), generator._images, [])
    with pytest.raises(FedsegError, match=r"can't be used: .*\.safetensors") as caught:
        other.make(BUS, np.random.default_rng(0))
    assert "\n" not in str(caught.value)


def test_code_beside_the_weights_is_never_run(generator, checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    (copy / "unet" / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    index = read_json(copy / "model_index.json")
    write_json(copy / "model_index.json", index | {"unet": ["own", "Own"]})
    other = Diffusion(with_options(model=str(copy), steps=2), generator._images, [])
    with pytest.raises(FedsegError, match="can't be used"):
        other.make(BUS, np.random.default_rng(0))
    assert not (tmp_path / "ran").exists()
