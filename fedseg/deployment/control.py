"""The owner's side of the server: registering nodes, starting runs and looking at them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from fedseg.deployment import keys
from fedseg.deployment.admin_token import TOKEN, read_token
from fedseg.deployment.authority import CA, trusting
from fedseg.deployment.connection import unreachable
from fedseg.deployment.ports import check_address
from fedseg.deployment.signing import APP_ID
from fedseg.errors import FedsegError
from fedseg.flower.internals import ControlClient, public_key_to_bytes, refusal


class Server:
    """A deployed server, as its owner sees it.

    Args:
        address: HOST:PORT of its admin port, which only its own machine reaches.
        certs: folder of ca.crt, its authority's certificate, and admin.token.

    Raises:
        FedsegError: no such files, or no HOST:PORT.
    """

    def __init__(self, address: str, certs: Path) -> None:
        self.address = check_address(address)
        context = trusting(certs / CA)
        authorization = f"Bearer {read_token(certs / TOKEN)}"
        self._flower = ControlClient(address, context, authorization)
        self._http = httpx.Client(
            base_url=f"https://{address}",
            verify=context,
            timeout=60,
            headers={"Authorization": authorization},
        )

    def add_node(self, name: str, key: Path) -> None:
        """Let a node in, by its public key; it may speak for `name` and for nobody else."""
        if Path(name).is_file() and not key.exists():
            raise FedsegError(
                f"{name}: the name comes first: `fedseg deploy nodes --add {key} {name}`"
            )
        public_key = read_public_key(key)
        if name in self.nodes():
            raise FedsegError(f"a node '{name}' is registered already; remove it first")
        with reached(self.address):
            self._flower.register_node(name, public_key)

    def remove_node(self, name: str) -> None:
        """Keep a node out from now on."""
        nodes = self.nodes()
        if name not in nodes:
            raise FedsegError(f"no node '{name}' is registered; there are: {', '.join(nodes)}")
        with reached(self.address):
            self._flower.unregister_node(nodes[name][0])

    def nodes(self) -> dict[str, tuple[int, str]]:
        """The registered nodes by name: id and status."""
        with reached(self.address):
            return self._flower.nodes()

    def start(self, settings: dict[str, str]) -> int:
        """Start a run of the server's app; returns its id."""
        with reached(self.address):
            return self._flower.start_run(APP_ID, settings)

    def active_runs(self) -> dict[int, dict[str, Any]]:
        """The settings of the runs that have not ended, by id."""
        with reached(self.address):
            return self._flower.active_runs()

    def lay_down(self, name: str, federation: str) -> dict[str, str]:
        """Make a run folder on the server; returns what to start the run with."""
        return self._ask("PUT", name, json={"federation": federation}).json()

    def look(self, name: str) -> dict[str, Any]:
        """How far a run is: `progress` by name, and `result`, None before the end."""
        return self._ask("GET", name).json()

    def fetch(self, name: str, archive: Path) -> None:
        """Write a run's results to a zip archive."""
        with (
            reached(self.address),
            self._http.stream("GET", f"/fedseg/runs/{name}/results") as response,
            archive.open("wb") as file,
        ):
            response.raise_for_status()
            for chunk in response.iter_bytes():
                file.write(chunk)

    def _ask(self, method: str, name: str, **content: Any) -> httpx.Response:
        with reached(self.address):
            response = self._http.request(method, f"/fedseg/runs/{name}", **content)
        if response.status_code == 409:
            raise FedsegError(response.json()["detail"])
        with reached(self.address):
            return response.raise_for_status()


def read_public_key(path: Path) -> bytes:
    """A node's public key as Flower sends it.

    Raises:
        FedsegError: no ECDSA public key in OpenSSH's format.
    """
    return public_key_to_bytes(keys.load_node_key(path))


@contextmanager
def reached(address: str) -> Iterator[None]:
    """Turn whatever goes wrong while a server is asked into a FedsegError with the remedy."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise FedsegError(f"{address}: {_refusal(error.response)}") from None
    except httpx.TransportError as error:
        raise unreachable(address, error) from None
    except KeyError:
        raise FedsegError(f"{address}: has no app; start it with `fedseg deploy server`") from None


def _refusal(response: httpx.Response) -> str:
    if response.status_code == 401:
        return f"refuses the token; take {TOKEN} of the server's folder of certificates"
    if response.status_code in (403, 404):
        return "this is not a server's admin port; see `fedseg deploy server --admin-port`"
    return refusal(response).message or f"answers {response.status_code}"
