"""How clients share the machine, or a Ray cluster that is joined."""

from typing import NamedTuple

import torch

from fedseg.config import Resources
from fedseg.data.shards import alive, joined
from fedseg.errors import FedsegError
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


def share(clients: int, wanted: Resources) -> Shares:
    """How to share what there is among the clients.

    Without GPUs, as many clients train side by side as there are cores: two trainings on a core
    each get through half as much again as one after the other on both. Fewer than twice as many
    clients all train at once, and share the cores: in turns, the last of them would leave most
    cores idle. Not so in a cluster, whose cores are not ours alone. With more GPUs than clients on
    this machine each client has several. A client stays on one machine.

    Raises:
        FedsegError: a client is to have more than there is, or there is no such cluster.
    """
    there = supply(wanted.ray_address)
    gpus = wanted.gpus_per_client
    if gpus is None:
        shared = 1 if wanted.ray_address else max(there.gpus) // clients
        gpus = float(min(max(shared, 1), max(there.gpus)))
    if gpus > max(there.gpus):
        raise FedsegError(
            f"resources.gpus_per_client: {gpus:g} is more than the {max(there.gpus)} GPUs there "
            "are in a machine; lower it, or leave it out"
        )
    if (wanted.cpus_per_client or 1) > max(there.machines):
        raise FedsegError(
            f"resources.cpus_per_client: {wanted.cpus_per_client} is more than the "
            f"{max(there.machines)} CPU cores there are; lower it, or leave it out"
        )
    if wanted.cpus_per_client:
        slots = _places(there, wanted.cpus_per_client)
    elif wanted.ray_address:
        slots = there.cpus
    else:
        slots = clients if gpus or clients < 2 * there.cpus else there.cpus
    if gpus:
        places = [n // int(gpus) if gpus > 1 else n * int(1 / gpus) for n in there.gpus]
        slots = min(slots, sum(places))
    at_once = max(min(clients, slots, there.memory // PER_TRAINING), 1)
    fitting = (n for n in range(max(there.machines), 1, -1) if _places(there, n) >= at_once)
    each = wanted.cpus_per_client or next(fitting, 1)
    return Shares(max(there.cpus, at_once), each, gpus, at_once)


def _places(there: Supply, cpus_per_client: int) -> int:
    """How many clients have room."""
    return sum(cores // cpus_per_client for cores in there.machines)
