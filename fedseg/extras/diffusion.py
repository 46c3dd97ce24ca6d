"""Images of unstable classes by Stable Diffusion: whole ones, and regions of the server's.

Needs the optional extra `fedseg[diffusion]`.
"""

import re
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from fedseg.classes import ClassList
from fedseg.config import Augmentation, Section, parse
from fedseg.data.dataset import Dataset
from fedseg.errors import FedsegError, first_line, import_extra
from fedseg.files import digest, refuse_full_disk
from fedseg.method.generation.candidates import Made
from fedseg.method.generation.regions import Region, Regions, draw_region
from fedseg.method.teachers import Teacher, class_list
from fedseg.models.build import best_device
from fedseg.storage.hashes import file_hashes

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

THINGS = {
    "road": "a wide road with lane markings",
    "sidewalk": "a broad sidewalk",
    "building": "a large building",
    "wall": "a long concrete wall",
    "fence": "a metal fence",
    "pole": "a street lamp pole",
    "traffic light": "a traffic light on a mast",
    "traffic sign": "a large traffic sign",
    "vegetation": "vegetation, dense trees and hedges",
    "terrain": "open terrain with grass",
    "sky": "a wide sky",
    "person": "a person on foot",
    "rider": "a rider on a bicycle",
    "car": "a car",
    "truck": "a heavy truck",
    "bus": "a city bus",
    "train": "a train on tram rails",
    "motorcycle": "a motorcycle",
    "bicycle": "a bicycle",
}
SCENES = (
    "in a city street",
    "in a narrow old street",
    "in a residential street",
    "at a busy crossing",
    "on a country road",
    "on a motorway",
)
WEATHER = ("clear weather", "an overcast sky", "rain and a wet road", "fog", "snow")
TIMES = ("in the morning", "at noon", "in the late afternoon", "at dusk", "at night")

INPAINTED = 0.5
"""Part of the images that get a region painted into a picture of the server's."""
TEXT_AREA = 0.01
"""Part of an image made from text alone that its class is expected to cover."""
FAMILY = r"StableDiffusion(XL|3)?(Inpaint)?Pipeline"
"""What a checkpoint says of itself that this file can use."""
SIZES = {"XL": (832, 1216), "3": (832, 1216), None: (512, 768)}
"""Height and width near those that each family was trained at."""
Side = Annotated[int, Field(ge=64, multiple_of=64)]
HALF = "fp16"
"""What checkpoints call the variant of their weights in half precision."""


class Options(Section):
    """`[server.augmentation.options]` of this generator."""

    model: str
    """A Stable Diffusion checkpoint in safetensors, by its name on the Hugging Face hub, or a
    folder; a folder's path begins with ".", "/" or "~"."""
    steps: int = Field(30, ge=1)
    """Denoising steps an image."""
    batch_size: int = Field(4, ge=1)
    """Whole images that are painted at once."""
    size: tuple[Side, Side] | None = None
    """Height and width in pixels at which is painted, multiples of 64. Default: near what the
    checkpoint was trained at, [512, 768], and [832, 1216] for XL and 3."""


class Diffusion:
    """Paints a class into a new picture, or where the clients see it in the server's pictures.

    Stable Diffusion's inpainting with everything masked is text-to-image, so one pipeline does
    both, and takes checkpoints made for either.
    """

    def __init__(
        self,
        settings: Augmentation,
        images: Dataset,
        teachers: list[Teacher],
    ) -> None:
        self._options = read_options(settings)
        self._images = images
        self._regions = Regions(len(images), teachers)
        self._classes = class_list(teachers)
        self.batch_size = self._options.batch_size

    @staticmethod
    def check(settings: Augmentation, classes: ClassList) -> None:
        """See that the options are right and that the checkpoint can be had.

        Raises:
            FedsegError: they are not, it can't, or the extra is missing.
        """
        fetch_checkpoint(read_options(settings).model)

    @staticmethod
    def inputs(settings: Augmentation) -> dict[str, str]:
        """What images are made from besides the settings: the content of the checkpoint."""
        return {"model": checkpoint_hash(read_options(settings).model)}

    def makes(self, train_id: int) -> bool:
        """Every class can be asked for in words."""
        return True

    def make(self, train_id: int, rng: np.random.Generator) -> Made | None:
        """An image with that class in it; where no client sees a region, one from text alone.

        None where the checkpoint's safety checker blackened it.
        """
        return self.make_batch([train_id], [rng])[0]

    def make_batch(
        self, train_ids: list[int], rngs: list[np.random.Generator]
    ) -> list[Made | None]:
        """The same for several; those from text alone are painted together."""
        made: list[Made | None] = [None] * len(rngs)
        texts: dict[int, str] = {}
        for place, (train_id, rng) in enumerate(zip(train_ids, rngs, strict=True)):
            regions = self._regions[train_id]
            if regions and rng.random() < INPAINTED:
                made[place] = self._inpaint(train_id, draw_region(regions, rng), rng)
            else:
                texts[place] = image_prompt(self._classes.names[train_id], rng)
        if texts:
            height, width = self._size
            picture, mask = Image.new("RGB", (width, height)), Image.new("L", (width, height), 255)
            chosen = [rngs[place] for place in texts]
            images = self._paint(list(texts.values()), picture, mask, None, chosen)
            for (place, text), image in zip(texts.items(), images, strict=True):
                if image is not None:
                    made[place] = Made(image, (0.0, 0.0, 1.0, 1.0), TEXT_AREA, {"prompt": text})
        return made

    def _inpaint(self, train_id: int, region: Region, rng: np.random.Generator) -> Made | None:
        """A picture of the server's with the class in a box of the region's size and height."""
        index = int(rng.integers(len(self._images)))
        picture = Image.fromarray(self._images.image(index))
        left = float(rng.uniform(0, 1 - region.width))
        box = (region.top, left, region.top + region.height, left + region.width)
        first = (int(left * picture.width), int(region.top * picture.height))
        last = (int(np.ceil(box[3] * picture.width)), int(np.ceil(box[2] * picture.height)))
        mask = Image.new("L", picture.size)
        mask.paste(255, (*first, *last))
        # Weather and light are the picture's own.
        text = f"{describe_class(self._classes.names[train_id])}, street photo"
        # The pipeline sees the box and half as much around it, so that small things are painted
        # large, yet in their surroundings.
        padding = max(last[0] - first[0], last[1] - first[1]) // 2
        [image] = self._paint([text], picture, mask, padding, [rng])
        if image is None:
            return None
        made_of = {"prompt": text, "onto": self._images.images[index].name}
        return Made(image, box, region.area, made_of)

    def _paint(
        self,
        texts: list[str],
        picture: Image.Image,
        mask: Image.Image,
        padding: int | None,
        rngs: list[np.random.Generator],
    ) -> list[np.ndarray | None]:
        """Paint what is white in the mask, once for each text.

        Args:
            texts: the prompts.
            picture: RGB.
            mask: of the same size, 255 where to paint.
            padding: pixels around the mask that the pipeline sees, the rest of the picture staying
                as it is; None: it sees all of it.
            rngs: random numbers of each.

        Returns:
            uint8 [H, W, 3]: of the picture's size. None where the safety checker blackened it.
        """
        height, width = self._size
        count = len(texts)
        painted = cast(Any, self._pipeline)(
            prompt=texts,
            # A mask with padding is taken of one picture only.
            image=picture if count == 1 else [picture] * count,
            mask_image=mask if count == 1 else [mask] * count,
            height=height,
            width=width,
            padding_mask_crop=padding,
            strength=1.0,  # nothing of what was there before remains
            num_inference_steps=self._options.steps,
            # On the CPU, whatever the device: the same noise everywhere.
            generator=[torch.Generator().manual_seed(int(rng.integers(2**31))) for rng in rngs],
        )
        flagged = getattr(painted, "nsfw_content_detected", None) or [False] * count
        return [
            None if is_black else np.array(image)
            for is_black, image in zip(flagged, painted.images, strict=True)
        ]

    @cached_property
    def _size(self) -> tuple[int, int]:
        """Height and width at which is painted: the file's, or those of the checkpoint's family."""
        return self._options.size or SIZES[_family(fetch_checkpoint(self._options.model))]

    @cached_property
    def _pipeline(self) -> "DiffusionPipeline":
        """The inpainting pipeline, loaded when the first image is to be made."""
        folder = fetch_checkpoint(self._options.model)
        device = best_device()
        try:
            pipeline = _diffusers().AutoPipelineForInpainting.from_pretrained(
                folder,
                dtype=torch.float16 if device.type == "cuda" else torch.float32,
                use_safetensors=True,
                variant=_variant(folder, device),
                trust_remote_code=False,
            )
        except Exception as error:  # whatever diffusers and transformers raise
            raise _unusable(self._options.model, error) from error
        pipeline.set_progress_bar_config(disable=True)
        pipeline.vae.enable_slicing()  # a batch is decoded image by image
        return pipeline.to(device)


def read_options(settings: Augmentation) -> Options:
    """The options of this generator.

    Raises:
        FedsegError: one is missing, unknown or wrong.
    """
    return parse(Options, settings.options, Path("server.augmentation.options"))


def describe_class(class_name: str) -> str:
    """What is painted for a class."""
    return THINGS.get(class_name, class_name)


def image_prompt(class_name: str, rng: np.random.Generator) -> str:
    """A description of a picture in which that class appears."""
    scene, weather, time = (str(rng.choice(options)) for options in (SCENES, WEATHER, TIMES))
    what = f"{describe_class(class_name)} {scene}"
    return f"{what}, {weather}, {time}, photo taken through the windscreen of a car"


def fetch_checkpoint(model: str) -> Path:
    """Folder of a Stable Diffusion checkpoint; one on the hub is downloaded into the hub's cache.

    Raises:
        FedsegError: the extra is missing, there is no such folder, the hub does not give it, or it
            is a checkpoint of another kind.
    """
    diffusers = _diffusers()
    folder = Path(str(model))
    if folder.is_absolute() and not folder.is_dir():
        raise FedsegError(f"model: {model}: no such folder")
    try:
        kind = diffusers.DiffusionPipeline.load_config(model).get("_class_name")
    except Exception as error:  # whatever the hub's client raises
        raise _unusable(model, error) from error
    if not re.fullmatch(FAMILY, str(kind)):
        raise FedsegError(f"model: {model}: is a {kind}; choose a Stable Diffusion checkpoint")
    if folder.is_dir():
        return folder
    download = partial(diffusers.DiffusionPipeline.download, model, use_safetensors=True)
    try:
        if best_device().type == "cuda":  # half the download, where there is such a variant
            with suppress(ValueError, OSError):
                return Path(download(variant=HALF))
        return Path(download())
    except Exception as error:
        raise _unusable(model, error) from error


def _variant(folder: Path, device: torch.device) -> str | None:
    """The variant to load: half precision on a GPU, or where there is nothing else."""
    halves = list(folder.glob(f"unet/*.{HALF}.safetensors"))
    halves += folder.glob(f"transformer/*.{HALF}.safetensors")
    both = [path for path in halves if path.with_name(path.name.replace(f".{HALF}", "")).exists()]
    wanted = device.type == "cuda" or not both
    return HALF if halves and wanted else None


def _family(folder: Path) -> str | None:
    """The family of a checkpoint: "XL", "3", or None for the first one."""
    kind = _diffusers().DiffusionPipeline.load_config(folder)["_class_name"]
    match = re.fullmatch(FAMILY, kind)
    return match[1] if match else None


def checkpoint_hash(model: str) -> str:
    """A digest of the files of a checkpoint that `fetch_checkpoint` finds."""
    folder = fetch_checkpoint(model)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    return digest(list(zip(names, file_hashes(files), strict=True)))


def _diffusers() -> ModuleType:
    """The library, silenced."""
    what = "generator = 'diffusion'", "diffusion"
    diffusers, transformers = (import_extra(n, *what) for n in ("diffusers", "transformers"))
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    return diffusers


def _unusable(model: str, error: Exception) -> FedsegError:
    refuse_full_disk(error, f"model: {model}")
    return FedsegError(
        f"model: {model}: can't be used: {first_line(error).rstrip('.')}; name a Stable Diffusion "
        "checkpoint in safetensors on the Hugging Face hub, or its folder ('./' or '/' in front)"
    )
