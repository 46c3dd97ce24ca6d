"""The commands of a federation across machines: `fedseg deploy ...`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fedseg.cli.options import Commands, Json, Quiet, RootOption, Split
from fedseg.errors import FedsegError

deploy = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="""A federation across machines: keys, server, nodes and runs.

    Example: `fedseg deploy run federation.toml --certs certs`""",
)

Address = Annotated[str, typer.Option("--server", help="HOST:PORT of the server's admin port.")]
Certs = Annotated[Path, typer.Option(help="Folder of ca.crt and admin.token.")]
LOCAL = "localhost:8000"


@deploy.command()
def certs(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.", metavar="DIR")],
    host: Annotated[
        list[str], typer.Option(help="Name or IP address of the server; may be repeated.")
    ],
) -> None:
    """Make a certificate authority and the server's certificate; with ca.key there, renew that.

    Example: `fedseg deploy certs certs --host fed.example.org`
    """
    from fedseg.deployment.certificates import SERVER_DAYS, make_certificates

    if make_certificates(folder, host):
        typer.echo(f"{folder}/ca.crt: give it to every node")
        typer.echo(f"{folder}/ca.key: keep it off the server and to yourself; renewing needs it")
    typer.echo(f"{folder}/server.crt, server.key: for the server, good for {SERVER_DAYS} days")
    typer.echo(f"{folder}/admin.token: for the server and its owner, who needs it to start runs")


@deploy.command()
def sign(
    folder: Annotated[Path, typer.Argument(help="Folder of app.key.", metavar="DIR")],
) -> None:
    """Sign the installed app, so that nodes that trust the key run it; a key is made if need be.

    Example: `fedseg deploy sign certs`
    """
    from fedseg.deployment.signing import PUBLIC_KEY, sign_app

    typer.echo(f"{sign_app(folder)}: for the server")
    typer.echo(f"{folder / PUBLIC_KEY}: give it to every node")


@deploy.command()
def server(
    certs: Annotated[Path, typer.Option(help="Folder of what `certs` and `sign` make.")],
    state: Annotated[Path, typer.Option(help="Folder for its database and the runs.")],
    host: Annotated[str, typer.Option(help="Address that nodes reach.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="Port that nodes reach.")] = 9092,
    admin_port: Annotated[int, typer.Option(help="Port for this machine alone.")] = 8000,
) -> None:
    """Run the server until it is stopped.

    Example: `fedseg deploy server --certs certs --state state`
    """
    from fedseg.deployment.readiness import check_ready

    check_ready(certs, state, host, port, admin_port)
    from fedseg.deployment.server import serve

    def on_ready() -> None:
        ports = f"nodes on port {port}, its owner on port {admin_port} of this machine"
        typer.echo(f"ready: the server answers {ports}; Ctrl-C stops it")

    serve(certs, state, host, port, admin_port, on_ready)


@deploy.command()
def nodes(
    certs: Certs,
    add: Annotated[
        tuple[str, Path] | None,
        typer.Option(metavar="NAME KEY", help="Let a node in, by its public key, node.pub."),
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="NAME", help="Keep a node out from now on.")
    ] = None,
    address: Address = LOCAL,
) -> None:
    """List the nodes that the server lets in; let one in, or keep one out.

    NAME is the client or evaluator of a federation file that the node speaks for.

    Example: `fedseg deploy nodes --add gta5 node.pub --certs certs`
    """
    from fedseg.deployment.admin_token import check_credentials
    from fedseg.deployment.keys import load_node_key

    if add and remove:
        raise FedsegError("--add and --remove: give one of them")
    if add:
        load_node_key(add[1])
    check_credentials(address, certs)
    from fedseg.deployment.control import Server

    owner = Server(address, certs)
    if add:
        owner.add_node(*add)
        typer.echo(f"{add[0]}: may take part from now on")
    elif remove:
        owner.remove_node(remove)
        typer.echo(f"{remove}: kept out from now on")
    else:
        for name, (_, status) in sorted(owner.nodes().items()):
            typer.echo(f"{name}: {status}")


@deploy.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.", metavar="DIR")],
    name: Annotated[str, typer.Option(help="The client or evaluator it speaks for.")],
    role: Annotated[Literal["trainer", "evaluator"], typer.Option(help="What it does.")],
    dataset: Annotated[str, typer.Option(help="Dataset card: a name, or a file.")],
    server: Annotated[str, typer.Option(help="HOST:PORT of the server.")],
    certs: Annotated[Path, typer.Option(help="Folder of the server's ca.crt and app.pub.")],
    root: RootOption = None,
    split: Split = None,
) -> None:
    """Make a node's folder: its configuration and its key pair.

    Example: `fedseg deploy init node --name gta5 --role trainer --dataset gta5 --root /data/GTA5
    --server fed.example.org:9092 --certs certs`
    """
    from fedseg.deployment.identity import make_node

    settings = {
        "name": name,
        "role": role,
        "dataset": str(Path(dataset).absolute()) if dataset.endswith(".toml") else dataset,
        "root": str(root.absolute()) if root else None,
        "split": split,
        "server": server,
    }
    make_node(folder, settings, certs)
    typer.echo(f"{folder}: made. Next:")
    typer.echo(f"1. Look through {folder}/node.toml.")
    typer.echo(f"2. Send {folder}/node.pub to the server's owner, who runs, on the server:")
    typer.echo(f"     fedseg deploy nodes --add {name} node.pub --certs certs")
    typer.echo(f"3. fedseg deploy node {folder} --check")
    typer.echo(f"4. fedseg deploy node {folder}")


@deploy.command()
def node(
    folder: Annotated[Path, typer.Argument(help="The node's folder.", metavar="DIR")],
    check: Annotated[
        bool,
        typer.Option("--check", help="Only see whether it can take part, and what is missing."),
    ] = False,
    port: Annotated[
        int | None, typer.Option(help="Port for this machine alone, /health; default: any free.")
    ] = None,
) -> None:
    """Run a node until it is stopped.

    Example: `fedseg deploy node node`
    """
    if check:
        _check_node(folder)
        return
    from fedseg.deployment.identity import check_local, open_node

    check_local(port)
    opened = open_node(folder)
    from fedseg.deployment.supernode import start
    from fedseg.files import private_files

    with private_files(opened.state):
        start(folder, port)


def _check_node(folder: Path) -> None:
    """Print a tick or the remedy for each thing that a node needs."""
    from fedseg.deployment.check import check_node

    bad = 0
    for line in check_node(folder):
        mark = typer.style("✓", fg="green") if line.is_good else typer.style("✗", fg="red")
        typer.echo(f"{mark} {line.what}: {line.found}")
        bad += not line.is_good
    if bad:
        raise FedsegError(f"{bad} thing(s) to put right")


@deploy.command()
def run(
    config: Annotated[Path, typer.Argument(help="Federation file; its paths are the server's.")],
    certs: Certs,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; default: runs/NAME for NAME.toml.")
    ] = None,
    address: Address = LOCAL,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Run a federation on a deployed server, and fetch what comes of it.

    Example: `fedseg deploy run federation.toml --certs certs --out runs/first`
    """
    from fedseg import config as configuration
    from fedseg.cli import console
    from fedseg.cli.tables import remarks, result_table
    from fedseg.deployment.admin_token import check_credentials
    from fedseg.planning.quick_checks import check_submission

    out = out or Path("runs") / config.stem
    federation = configuration.load(config)
    check_submission(federation, out)
    check_credentials(address, certs)
    from fedseg.deployment.control import Server
    from fedseg.deployment.submit import run_on

    with console.Bars() as bars:
        result, there = run_on(Server(address, certs), federation, out, bars)
    notify = f"run folder: {out}; the clients' models are in {there} on the server"
    console.answer(json, result.content(), result_table(result), *remarks(result), notify)
