from pathlib import Path

from fedseg.config import Federation, load
from fedseg.models.encoder_weights import weights_licence
from fedseg.report.licences import licences

PAPER = Path(__file__).parents[2] / "examples" / "paper.toml"


def test_of_encoders():
    """As timm's pages on the hub say; NVIDIA's is in SegFormer's repository."""
    assert weights_licence("tu-vit_small_patch16_dinov3") == "dinov3-license"
    assert weights_licence("tu-vit_small_patch14_dinov2") == "apache-2.0"
    assert weights_licence("tu-swin_tiny_patch4_window7_224.ms_in1k") == "mit"
    assert "non-commercial" in weights_licence("mit_b2")
    assert weights_licence("resnet18") is None


def test_of_a_federation(federation_data):
    found = licences(load(PAPER))
    assert found["data of gta5"] == "own terms, research"
    assert found["data of synthia"] == "CC BY-NC-SA 3.0"
    assert any(name.startswith("weights of ") for name in found)
    federation_data["clients"][0] |= {"dataset": "", "root": None}
    federation_data["clients"][1]["dataset"] = "/on/another/machine.toml"
    federation_data["model"]["encoder_weights"] = "/mine.safetensors"
    assert licences(Federation.model_validate(federation_data)) == {
        "data of /on/another/machine.toml": "not known",
        "data of folder": "not known",
        "weights in /mine.safetensors": "not known",
    }


def test_of_plugins_nothing_is_known_or_imported(federation_data):
    federation_data["server"]["dataset"] = "/a/folder/no_file.py:Own"
    federation_data["model"] = {"arch": "no_module:build"}
    assert licences(Federation.model_validate(federation_data)) == {
        "data of no_file:Own": "not known",
        "data of folder": "not known",
        "weights of model no_module:build": "not known",
    }
