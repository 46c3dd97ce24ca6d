"""Libraries ask the network for nothing on their own account, whatever is imported first."""

import json
import os
import subprocess
import sys

import fedseg

# Each module is imported in a fork of its own, of a process that has imported no more than what is
# slow and does not ask the network.
IMPORTS = """
import json, os, socket, sys
import av, cv2, jinja2, matplotlib.pyplot, numpy, pydantic, scipy.ndimage, timm, torch, torchvision
import segmentation_models_pytorch
import fedseg

def forbidden(*arguments, **options):
    print(json.dumps([name, "uses the network"]), flush=True)
    os._exit(1)

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = forbidden
for name in json.loads(sys.argv[1]):
    assert "albumentations" not in sys.modules
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    if name == "albumentations":  # to see that what is forbidden would be noticed
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "0"
    __import__(name)
    print(json.dumps([name, "asks nothing"]), flush=True)
    os._exit(0)
"""
PUBLIC = {f"fedseg.{target.rpartition('.')[0]}" for target in fedseg._EXPORTS.values()}
AUGMENTING = {"fedseg.data.augment", "fedseg.training.supervised"}


def _run(code, *arguments, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in fedseg.NO_NETWORK}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_module_asks_the_network_when_it_is_imported_first():
    names = sorted(PUBLIC | AUGMENTING)
    lines = _run(IMPORTS, json.dumps([*names, "albumentations"])).splitlines()
    outcomes = dict(json.loads(line) for line in lines)
    assert outcomes.pop("albumentations") == "uses the network"
    assert outcomes == dict.fromkeys(names, "asks nothing")


def test_what_the_user_has_set_stays():
    name = "FLWR_TELEMETRY_ENABLED"
    code = f"import os, fedseg; print(os.environ['{name}'])"
    assert _run(code) == "0\n"
    assert _run(code, **{name: "1"}) == "1\n"
