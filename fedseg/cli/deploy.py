"""The command line for federations across machines."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fedseg.cli.options import Commands, Json, Quiet, RootOption, Split
from fedseg.errors import FedsegError

app = typer.Typer(cls=Commands, no_args_is_help=True, help="The app that nodes run.")
node = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="One client or evaluator of a deployed federation.",
)
server = typer.Typer(
    cls=Commands, no_args_is_help=True, help="The server of a deployed federation."
)

Address = Annotated[str, typer.Option("--server", help="HOST:PORT of the server's admin port.")]
Authority = Annotated[Path, typer.Option("--ca", help="Certificate of its authority, ca.crt.")]
Token = Annotated[
    Path | None,
    typer.Option(help="File of the admin port's token; default: admin.token beside --ca."),
]
NodeFolder = Annotated[Path, typer.Argument(help="The node's folder.", metavar="DIR")]
LOCAL = "localhost:8000"


def certs(
    folder: Annotated[Path, typer.Argument(help="Where they go.", metavar="DIR")],
    host: Annotated[
        list[str], typer.Option(help="Name or IP address of the server; may be repeated.")
    ],
) -> None:
    """Make a certificate authority and the server's certificate; with ca.key there, renew that.

    Example: `fedseg certs certs --host fed.example.org`
    """
    from fedseg.deployment.certificates import SERVER_DAYS, make_certificates

    if make_certificates(folder, host):
        typer.echo(f"{folder}/ca.crt: give it to every node")
        typer.echo(f"{folder}/ca.key: keep it off the server and to yourself; renewing needs it")
    typer.echo(f"{folder}/server.crt, server.key: for the server, good for {SERVER_DAYS} days")
    typer.echo(f"{folder}/admin.token: for the server and its owner, who needs it to start runs")


@app.command()
def sign(
    folder: Annotated[Path, typer.Argument(help="Folder of app.key.", metavar="DIR")],
) -> None:
    """Sign the installed app, so that nodes that trust the key run it; a key is made if need be.

    Example: `fedseg app sign certs`
    """
    from fedseg.deployment.signing import PUBLIC_KEY, sign_app

    typer.echo(f"{sign_app(folder)}: for the server")
    typer.echo(f"{folder / PUBLIC_KEY}: give it to every node")


@node.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.", metavar="DIR")],
    name: Annotated[str, typer.Option(help="The client or evaluator it speaks for.")],
    role: Annotated[Literal["trainer", "evaluator"], typer.Option(help="What it does.")],
    dataset: Annotated[str, typer.Option(help="Dataset card: a name, or a file.")],
    server: Annotated[str, typer.Option(help="HOST:PORT of the server.")],
    ca: Annotated[Path, typer.Option(help="Certificate of the server's authority, ca.crt.")],
    root: RootOption = None,
    split: Split = None,
    trust: Annotated[
        Path | None,
        typer.Option(help="Public key that the app is signed with; default: app.pub beside ca."),
    ] = None,
) -> None:
    """Make a node: its configuration and its key pair.

    Example: `fedseg node init node --name gta5 --role trainer --dataset gta5 --root /data/GTA5
    --server fed.example.org:9092 --ca ca.crt`
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
    make_node(folder, settings, ca, trust)
    typer.echo(f"{folder}: made. Next:")
    typer.echo(f"1. Look through {folder}/node.toml.")
    typer.echo(f"2. Send {folder}/node.pub to the server's owner, who runs, on the server:")
    typer.echo(f"     fedseg server add {name} node.pub --ca certs/ca.crt")
    typer.echo(f"3. fedseg node check {folder}")
    typer.echo(f"4. fedseg node start {folder}")


@node.command()
def check(folder: NodeFolder) -> None:
    """See whether a node can take part; a tick or the remedy for each thing.

    Example: `fedseg node check node`
    """
    from fedseg.deployment.check import check_node

    bad = 0
    for line in check_node(folder):
        mark = typer.style("✓", fg="green") if line.is_good else typer.style("✗", fg="red")
        typer.echo(f"{mark} {line.what}: {line.found}")
        bad += not line.is_good
    if bad:
        raise FedsegError(f"{bad} thing(s) to put right")


@node.command("start")
def start_node(
    folder: NodeFolder,
    port: Annotated[
        int | None, typer.Option(help="Port for this machine alone, /health; default: any free.")
    ] = None,
) -> None:
    """Run a node until it is stopped.

    Example: `fedseg node start node`
    """
    from fedseg.deployment.identity import check_local, open_node

    check_local(port)
    node = open_node(folder)
    from fedseg.deployment.supernode import start
    from fedseg.files import private_files

    with private_files(node.state):
        start(folder, port)


@server.command("start")
def start_server(
    certs: Annotated[Path, typer.Option(help="Folder of what `certs` and `app sign` make.")],
    state: Annotated[Path, typer.Option(help="Folder for its database and the runs.")],
    host: Annotated[str, typer.Option(help="Address that nodes reach.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="Port that nodes reach.")] = 9092,
    admin_port: Annotated[int, typer.Option(help="Port for this machine alone.")] = 8000,
    max_upload: Annotated[
        int, typer.Option(help="Megabytes that one node may push in one run.", min=1)
    ] = 4096,
) -> None:
    """Run the server until it is stopped.

    Example: `fedseg server start --certs certs --state state`
    """
    from fedseg.deployment.readiness import check_ready

    check_ready(certs, state, host, port, admin_port)
    from fedseg.deployment.server import serve

    def on_ready() -> None:
        ports = f"nodes on port {port}, its owner on port {admin_port} of this machine"
        typer.echo(f"ready: the server answers {ports}; Ctrl-C stops it")

    serve(certs, state, host, port, admin_port, max_upload * 10**6, on_ready)


@server.command("add")
def add_node(
    name: Annotated[str, typer.Argument(help="The client or evaluator it may speak for.")],
    key: Annotated[Path, typer.Argument(help="Its public key, node.pub.")],
    ca: Authority,
    address: Address = LOCAL,
    token: Token = None,
) -> None:
    """Let a node in.

    Example: `fedseg server add gta5 node.pub --ca certs/ca.crt`
    """
    from fedseg.deployment.admin_token import check_credentials
    from fedseg.deployment.keys import load_node_key

    load_node_key(key)
    check_credentials(address, ca, token)
    from fedseg.deployment.control import Server

    Server(address, ca, token).add_node(name, key)
    typer.echo(f"{name}: may take part from now on")


@server.command("remove")
def remove_node(
    name: Annotated[str, typer.Argument(help="The name it was let in under.")],
    ca: Authority,
    address: Address = LOCAL,
    token: Token = None,
) -> None:
    """Keep a node out.

    Example: `fedseg server remove gta5 --ca certs/ca.crt`
    """
    from fedseg.deployment.admin_token import check_credentials

    check_credentials(address, ca, token)
    from fedseg.deployment.control import Server

    Server(address, ca, token).remove_node(name)
    typer.echo(f"{name}: kept out from now on")


@server.command("nodes")
def list_nodes(ca: Authority, address: Address = LOCAL, token: Token = None) -> None:
    """List the nodes that were let in.

    Example: `fedseg server nodes --ca certs/ca.crt`
    """
    from fedseg.deployment.admin_token import check_credentials

    check_credentials(address, ca, token)
    from fedseg.deployment.control import Server

    for name, (_, status) in sorted(Server(address, ca, token).nodes().items()):
        typer.echo(f"{name}: {status}")


def run(
    config: Annotated[Path, typer.Argument(help="Federation file; its paths are the server's.")],
    ca: Authority,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; default: runs/NAME for NAME.toml.")
    ] = None,
    address: Address = LOCAL,
    token: Token = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Run a federation on a deployed server, and fetch what comes of it.

    Example: `fedseg run federation.toml --server localhost:8000 --ca certs/ca.crt --out runs/first`
    """
    from fedseg import config as configuration
    from fedseg.cli import console
    from fedseg.cli.tables import remarks, result_table
    from fedseg.deployment.admin_token import check_credentials
    from fedseg.planning.quick_checks import check_submission

    out = out or Path("runs") / config.stem
    federation = configuration.load(config)
    check_submission(federation, out)
    check_credentials(address, ca, token)
    from fedseg.deployment.control import Server
    from fedseg.deployment.submit import run_on

    with console.Bars() as bars:
        result, there = run_on(Server(address, ca, token), federation, out, bars)
    notify = f"run folder: {out}; the clients' models are in {there} on the server"
    console.answer(json, result.content(), result_table(result), *remarks(result), notify)
