"""A training in processes of its own, one a GPU, that end with it and give back all its memory.

Data parallelism by torch.distributed: each process makes and sees its part of every batch, and all
of them take the same steps. They find each other by a file, so no port is opened.

On GPUs, batch normalisations use the statistics of the whole batch. torch has that for GPUs only:
on CPUs, where only tests use several processes, each uses those of its own part.
"""

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from fedseg.errors import FedsegError
from fedseg.models.libraries import timm
from fedseg.processes import Child, ProcessKilled, messages
from fedseg.storage.provenance import notices
from fedseg.training.callbacks import Callback

TRAINED = "trained.safetensors"


@dataclass(frozen=True)
class Rank:
    """Which of the processes of a training this is."""

    number: int = 0
    world: int = 1
    """How many processes there are."""

    def shard(self, items: Sequence[Any]) -> Sequence[Any]:
        """This process's part of a batch."""
        return items[self.number :: self.world]

    def sync_norms(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Let batch normalisations use the statistics of all processes; names of weights stay."""
        if self.world == 1 or device.type != "cuda":
            return network
        convert: Any = timm.layers.convert_sync_batchnorm  # type: ignore[attr-defined]
        synchronised: nn.Module = convert(network)  # timm's own normalisations too
        return synchronised

    def sync_gradients(self, network: nn.Module) -> nn.Module:
        """The network to call in the forward pass, so that gradients are those of all processes."""
        if self.world == 1:
            return network
        devices = [p.device for p in network.parameters()][:1]
        return DistributedDataParallel(
            network,
            device_ids=devices if devices[0].type == "cuda" else None,
            find_unused_parameters=True,  # some encoders have layers that segmentation skips
        )

    def weight(self, count: int | Tensor, device: torch.device) -> Tensor | float:
        """What a mean over `count` things counts among those of all processes; 1 in the mean."""
        if self.world == 1:
            return 1.0
        mine = torch.as_tensor(count, dtype=torch.float64, device=device)
        total = self.sum(mine)
        return (mine * self.world / total.clamp(min=1)).float()

    def sum(self, value: Tensor) -> Tensor:
        """Sum of a value over all processes."""
        if self.world > 1:
            value = value.clone()
            distributed.all_reduce(value)
        return value


class Relay(Callback):
    """Passes each event on to the process that started this one: its name, and its content."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def on_start(self, losses: list[float]) -> None:
        """Pass it on."""
        self._connection.send(("start", losses))

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Pass it on."""
        self._connection.send(("step", (step, total, loss)))

    def on_end(self, losses: list[float]) -> None:
        """Pass it on."""
        self._connection.send(("end", losses))


class _Notices(logging.Handler):
    """Passes notices on."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        self._connection.send(("notice", record.getMessage()))


def run_in_processes(
    work: Callable[..., dict[str, Tensor]],
    arguments: tuple[Any, ...],
    callbacks: Sequence[Callback],
    processes: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """Do a training in processes of its own.

    Args:
        work: a function of this or another module, of a `Rank`, a device, callbacks and the
            arguments, to the trained weights. It is called once in each process.
        arguments: of `work`; they must be picklable.
        callbacks: called here, with what happens there.
        processes: how many; process r has the r-th visible GPU.
        device: "cuda" or "cpu".

    Returns:
        The weights that the first process returned, on the CPU.

    Raises:
        FedsegError, FloatingPointError: as `work` raised them, or a process was killed.
    """
    with tempfile.TemporaryDirectory(prefix="fedseg-training-") as folder, ExitStack() as stack:
        shared = processes, device.type, Path(folder), work, arguments
        children = [
            stack.enter_context(Child(_process, index, *shared)) for index in range(processes)
        ]
        try:
            for _, (name, value) in messages(children):
                _dispatch(name, value, callbacks)
        except ProcessKilled as error:
            raise FedsegError(f"training: {error}; take a smaller batch_size or crop") from None
        return load_file(Path(folder) / TRAINED)


def _dispatch(name: str, value: Any, callbacks: Sequence[Callback]) -> None:
    match name:
        case "failed":
            raise value
        case "notice":
            notices.warning("%s", value)
        case "start":
            for callback in callbacks:
                callback.on_start(value)
        case "step":
            for callback in callbacks:
                callback.on_step(*value)
        case "end":
            for callback in callbacks:
                callback.on_end(value)


def _process(
    connection: Connection,
    index: int,
    world: int,
    kind: str,
    folder: Path,
    work: Callable[..., dict[str, Tensor]],
    arguments: tuple[Any, ...],
) -> None:
    """One of the processes."""
    threading.Thread(target=_end_with_caller, args=[connection], daemon=True).start()
    notices.propagate = False
    if index == 0:
        notices.addHandler(_Notices(connection))
    device = torch.device("cuda", index) if kind == "cuda" else torch.device(kind)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        with _group(index, world, kind, folder):
            callbacks = (Relay(connection),) if index == 0 else ()
            weights = work(Rank(index, world), device, callbacks, *arguments)
            if index == 0:
                contiguous = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
                save_file(contiguous, folder / TRAINED)
    except (FedsegError, FloatingPointError) as error:
        connection.send(("failed", error))


def _end_with_caller(connection: Connection) -> None:
    """End this process when the one that started it ends, which sends nothing."""
    connection.poll(None)
    os._exit(1)


@contextmanager
def _group(index: int, world: int, kind: str, folder: Path) -> Iterator[None]:
    """Within it, the processes can talk to each other."""
    if world == 1:
        yield
        return
    if "GLOO_SOCKET_IFNAME" not in os.environ and Path("/sys/class/net/lo").exists():
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # nothing leaves this machine
    distributed.init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        init_method=f"file://{folder / 'processes'}",
        rank=index,
        world_size=world,
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()
