"""How clients share the machine, or a Ray cluster that is joined."""

from typing import NamedTuple

import torch

from fedseg.data.shards import alive, joined
from fedseg.machine import PER_TRAINING, cpus, memory


class Supply(NamedTuple):
    """What there is for clients."""

    machines: tuple[int, ...]
    """CPU cores of each machine."""
    gpus: tuple[int, ...]
    """GPUs of each machine."""
    memory: int
    """Bytes."""

    @property
    def cpus(self) -> int:
        """CPU cores of all machines."""
        return sum(self.machines)


class Shares(NamedTuple):
    """What Ray may use, and what it sets aside for each client."""

    cpus: int
    cpus_per_client: int
    gpus_per_client: float
    at_once: int
    """Clients that train at once."""


def supply(address: str | None) -> Supply:
    """What this machine has, or the Ray cluster at that address.

    Raises:
        FedsegError: there is no such cluster.
    """
    if address is None:
        return Supply((cpus(),), (torch.cuda.device_count(),), memory())
    with joined(address):
        nodes = [node["Resources"] for node in alive()]
    cores, gpus = (tuple(int(node.get(kind, 0)) for node in nodes) for kind in ("CPU", "GPU"))
    return Supply(cores, gpus, int(sum(node.get("memory", 0) for node in nodes)))


def share(clients: int, ray_address: str | None = None) -> Shares:
    """How to share what there is among the clients.

    Without GPUs, as many clients train side by side as there are cores: two trainings on a core
    each get through half as much again as one after the other on both. Fewer than twice as many
    clients all train at once, and share the cores: in turns, the last of them would leave most
    cores idle. Not so in a cluster, whose cores are not ours alone. With GPUs, each client has one
    at least, and all have as many as leave room for all. A client stays on one machine.

    Raises:
        FedsegError: there is no such cluster.
    """
    there = supply(ray_address)
    most = max(there.gpus)
    fitting = (n for n in range(most, 1, -1) if _places(there.gpus, n) >= clients)
    gpus = next(fitting, min(most, 1))
    if ray_address:
        slots = there.cpus
    else:
        slots = clients if gpus or clients < 2 * there.cpus else there.cpus
    if gpus:
        slots = min(slots, _places(there.gpus, gpus))
    at_once = max(min(clients, slots, there.memory // PER_TRAINING), 1)
    most = max(there.machines)
    fitting = (n for n in range(most, 1, -1) if _places(there.machines, n) >= at_once)
    return Shares(max(there.cpus, at_once), next(fitting, 1), float(gpus), at_once)


def _places(machines: tuple[int, ...], each: int) -> int:
    """How many clients have room, if each needs so many cores or GPUs of one machine."""
    return sum(have // each for have in machines)
