"""The headline of the README, from rendering to the table.

Renders the three clients' worlds, trains federations on them with CamVid's training images at the
server, scores on CamVid's validation images and IDD-Lite, and compares with what else the data
could become. Interrupted, the same command goes on where it was.

    pip install -e . benchmarks/rendered
    python benchmarks/headline.py --camvid ROOT --idd-lite ROOT --out DIR

docs/benchmarks.md says where the two real datasets are got and how they are laid out.
"""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import tomli_w
import typer
from command import start

from fedseg.errors import FedsegError
from fedseg.files import write_text

EXAMPLE = Path(__file__).parents[1] / "examples" / "rendered-to-real.toml"


def federation(worlds: Path, camvid: Path, idd_lite: Path) -> str:
    """The example's federation with these roots, as TOML."""
    table = tomllib.loads(EXAMPLE.read_text())
    roots = {"camvid": camvid, "idd-lite": idd_lite}
    for client in table["clients"]:
        client["root"] = str(worlds / client["name"])
    for source in (table["server"], *table["evaluation"]):
        source["root"] = str(roots[source["dataset"]])
    return tomli_w.dumps(table)


def run_module(*words: object) -> None:
    """Run a module's command; end with its exit status if it fails."""
    done = subprocess.run([sys.executable, "-m", *map(str, words)], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def headline(
    camvid: Annotated[Path, typer.Option(help="Root of CamVid.")],
    idd_lite: Annotated[Path, typer.Option(help="Root of IDD-Lite.")],
    out: Annotated[Path, typer.Option(help="Folder for everything.")],
    seed: Annotated[list[int], typer.Option(help="A seed; may be repeated.")] = [0, 1, 2],  # noqa: B006
    count: Annotated[int, typer.Option(min=1, help="Images of each world.")] = 700,
) -> None:
    """Render, train, score and compare."""
    for root in (camvid, idd_lite):
        if not root.is_dir():
            raise FedsegError(
                f"{root} is not a folder; docs/benchmarks.md says how to get the data"
            )
    out, camvid, idd_lite = (path.absolute() for path in (out, camvid, idd_lite))
    worlds = out / "worlds"
    names = [client["name"] for client in tomllib.loads(EXAMPLE.read_text())["clients"]]
    run_module("rendered", "render", *names, "--out", worlds, "--count", count)
    file = out / "federation.toml"
    write_text(file, federation(worlds, camvid, idd_lite))
    runs = [out / f"seed{number}" for number in seed]
    run_module("fedseg", "check", file)
    for number, run in zip(seed, runs, strict=True):
        run_module("fedseg", "simulate", file, "--seed", number, "--out", run)
    run_module("fedseg", "compare", *runs, "--out", out / "table")


if __name__ == "__main__":
    start(headline)
