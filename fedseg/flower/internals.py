"""Flower's private parts: all that fedseg uses of Flower beyond its public API.

Flower may change these in any release. Nothing else imports them, so an upgrade touches this file
and its test. Written for Flower 1.42.
"""

import base64
import datetime
import math
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from flwr.app import Message
from flwr.cli.build import build_fab_from_disk as build_app
from flwr.common.constant import (
    NOOP_FLWR_AID,
    SUPERLINK_NODE_ID,
    SYSTEM_TIME_TOLERANCE,
    TIMESTAMP_HEADER,
    TIMESTAMP_TOLERANCE,
    ErrorCode,
    Status,
)
from flwr.common.serde import fab_to_proto, user_config_from_proto, user_config_to_proto
from flwr.proto.control_pb2 import (
    ListAppsRequest,
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.node_pb2 import Node as NodeProto
from flwr.proto.run_pb2 import GetRunRequest
from flwr.proto.runtime_pb2 import PullAppMessagesRequest
from flwr.serverapp import Grid
from flwr.supercore.cli.flower_superexec import flower_superexec
from flwr.supercore.constant import (
    FLEET_HTTP_PUBLIC_KEY_HEADER,
    FLEET_HTTP_SIGNATURE_HEADER,
    NOOP_FEDERATION_ID,
    TaskType,
)
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.date import now
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.fab import Fab as App
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectUnavailableError,
    inflate_object_from_contents,
)
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.interceptors.http.utils import add_headers
from flwr.supercore.primitives.asymmetric import (
    bytes_to_public_key,
    public_key_to_bytes,
    verify_signature,
)
from flwr.supercore.primitives.asymmetric_ed25519 import create_message_to_sign as app_to_sign
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supercore.state.schema.linkstate_models import MessageIns, MessageRes
from flwr.supercore.state.schema.objectstore_models import ObjectChild
from flwr.supercore.superexec.executor import subprocess_executor
from flwr.supercore.utils import int64_to_uint64, uint64_to_int64
from flwr.superlink.cli.flower_superlink import (
    SuperLinkLifespan,
    _parse_superlink_lifespan_config,
)
from flwr.superlink.grid import HttpGrid
from flwr.superlink.main import create_app
from flwr.supernode import start_client_internal
from flwr.supernode.cli.flower_supernode import flower_supernode
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtobufMessage
from sqlalchemy import literal, select

__all__ = ["App", "app_to_sign", "build_app", "public_key_to_bytes"]

# Paths of a SuperLink's HTTP interface.
FLEET, RUNTIME, HEALTH = "/v1/fleet/", "/v1/runtime/", "/health"
PUSH_OBJECT, PUSH_MESSAGES = "/v1/fleet/push-object", "/v1/fleet/push-messages"
REGISTER, UNREGISTER = "/v1/control/register-node", "/v1/control/unregister-node"

UNKNOWN_NODE = int(ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED)
"""Code of the error by which a SuperLink refuses a node that is not registered."""
KNOWN_NODE = int(ApiErrorCode.FLEET_INVALID_HEARTBEAT_INTERVAL)
"""Code of the error that `FleetClient.probe` gets if the node is registered."""
RUN_OVER = int(ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED)
"""Code of the error by which a SuperLink refuses what belongs to a run that is not running."""
LOST = (
    ErrorCode.NODE_UNAVAILABLE,
    ErrorCode.MESSAGE_UNAVAILABLE,
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
)
"""Codes of errors after which the same request may succeed."""


# Requests as the server receives them

Request = TypeVar("Request", bound=ProtobufMessage)


def signer(headers: Mapping[str, str]) -> bytes:
    """The public key, in Flower's encoding, with which a node signed a request just now.

    Raises:
        ValueError: there is no valid, recent signature.
    """
    try:
        key = base64.b64decode(headers[FLEET_HTTP_PUBLIC_KEY_HEADER], validate=True)
        signature = base64.b64decode(headers[FLEET_HTTP_SIGNATURE_HEADER], validate=True)
        timestamp = headers[TIMESTAMP_HEADER]
        age = (now() - datetime.datetime.fromisoformat(timestamp)).total_seconds()
        public_key = bytes_to_public_key(key)
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise ValueError("no elliptic-curve key")
        is_valid = verify_signature(public_key, timestamp.encode("ascii"), signature)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no signature: {error}") from None
    if not -SYSTEM_TIME_TOLERANCE < age < TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE:
        raise ValueError("signed too long ago, or in the future")
    if not is_valid:
        raise ValueError("the signature is of another key")
    return key


FLEET_REQUESTS: dict[str, type[ProtobufMessage]] = {
    f"{FLEET}activate-node": ActivateNodeRequest,
    f"{FLEET}deactivate-node": DeactivateNodeRequest,
    f"{FLEET}send-node-heartbeat": SendNodeHeartbeatRequest,
    f"{FLEET}get-run": GetRunRequest,
    f"{FLEET}get-fab": GetFabRequest,
    f"{FLEET}pull-messages": PullMessagesRequest,
    f"{FLEET}pull-object": PullObjectRequest,
    f"{FLEET}confirm-message-received": ConfirmMessageReceivedRequest,
    PUSH_MESSAGES: PushMessagesRequest,
    PUSH_OBJECT: PushObjectRequest,
}
"""What a node with a key of its own may ask for, by path."""
OBJECT_ID = re.compile("[0-9a-f]{64}")


class NodeRequest:
    """A request of a node.

    Args:
        path: what is asked for, one of `FLEET_REQUESTS`.
        body: of the request.

    Attributes:
        run_id: the run that it names, None if it names none.
        object_id: the object that it names, such as a message, None if it names none.

    Raises:
        ValueError: the body is no such request.
    """

    def __init__(self, path: str, body: bytes) -> None:
        self._proto: Any = _request(FLEET_REQUESTS[path], body)
        fields = self._proto.DESCRIPTOR.fields_by_name
        ids = [x for x in ("object_id", "message_object_id", "hash_str") if x in fields]
        self.run_id: int | None = getattr(self._proto, "run_id", None)
        self.object_id: str | None = getattr(self._proto, ids[0]) if ids else None
        if self.object_id is not None and not OBJECT_ID.fullmatch(self.object_id):
            raise ValueError("no id of an object")

    def is_from(self, node_id: int, public_key: bytes) -> bool:
        """Whether it speaks for this node, and for no other."""
        if isinstance(self._proto, ActivateNodeRequest):
            return self._proto.public_key == public_key
        named = getattr(self._proto, "node", self._proto)
        return bool(named.node_id == node_id)

    @property
    def is_about_run(self) -> bool:
        """Whether it asks for a run or its app, and for no part of a message."""
        return isinstance(self._proto, GetRunRequest | GetFabRequest)

    @property
    def is_in_session(self) -> bool:
        """Whether a pushed object names the session, known to one node, of its announcement."""
        return bool(self._proto.session_id)

    def announcement(self) -> "Announcement":
        """The reply that a `PUSH_MESSAGES` request announces.

        Raises:
            ValueError: it is not one reply to the server, as Flower's nodes make it.
        """
        request: PushMessagesRequest = self._proto
        try:
            (message,), (tree,) = request.messages_list, request.message_object_trees
            (seconds,) = request.clientapp_runtime_list
        except ValueError:
            raise ValueError("not one message") from None
        data = message.metadata
        ids = [node.object_id for node in iterate_object_tree(tree)]
        leaves = [leaf for content in tree.children for leaf in content.children]
        is_reply = (
            data.src_node_id == request.node.node_id
            and data.dst_node_id == SUPERLINK_NODE_ID
            and data.message_id == tree.object_id
            # Flower stores NaN as NULL, and then fails whoever reads the messages.
            and all(map(math.isfinite, (data.created_at, data.ttl, seconds)))
            and seconds >= 0
            and not message.content.ByteSize()
            and len(tree.children) == (not message.HasField("error"))
            and not any(leaf.children for leaf in leaves)
            and len(set(ids)) == len(ids)
            and all(map(OBJECT_ID.fullmatch, [*ids, data.reply_to_message_id]))
        )
        if not is_reply:
            raise ValueError("no reply")
        question = ReplyContext(data.run_id, data.message_type, data.group_id)
        return Announcement(tree.object_id, data.reply_to_message_id, question, len(ids))


class ReplyContext(NamedTuple):
    """What a reply has in common with the message that it answers.

    Attributes:
        run_id: of the run.
        kind: Flower's type of the message.
        group_id: Flower's, the round.
    """

    run_id: int
    kind: str
    group_id: str


class Announcement(NamedTuple):
    """A reply whose objects are to come.

    Attributes:
        message_id: of the reply.
        reply_to: id of the message that it answers.
        question: what it says about that.
        objects: number of its parts.
    """

    message_id: str
    reply_to: str
    question: ReplyContext
    objects: int


def registered_node(body: bytes) -> tuple[str, bytes]:
    """Name and public key in a request to register a node.

    Raises:
        ValueError: the body is no such request.
    """
    request = _request(RegisterNodeRequest, body)
    return request.name, request.public_key


def unregistered_node(body: bytes) -> int:
    """Id in a request to unregister a node.

    Raises:
        ValueError: the body is no such request.
    """
    return _request(UnregisterNodeRequest, body).node_id


def _request(kind: type[Request], body: bytes) -> Request:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise ValueError(str(error)) from None


# Clients of a SuperLink


class Refusal(NamedTuple):
    """A SuperLink's answer other than success.

    Attributes:
        status: of HTTP.
        code: of Flower's error, None if the answer names none.
        message: for a person, None if the answer has none.
    """

    status: int
    code: int | None
    message: str | None


def refusal(response: httpx.Response) -> Refusal:
    """Read a SuperLink's answer other than success."""
    response.read()
    error = FlowerError.from_json(response.text)
    if error is None:
        return Refusal(response.status_code, None, None)
    message = " ".join(filter(None, [error.message, error.public_details]))
    return Refusal(response.status_code, error.code, message)


class FleetClient:
    """A SuperLink, as a node sees it.

    Args:
        address: HOST:PORT.
        tls: which certificates to trust.
        key: of the node.
    """

    def __init__(self, address: str, tls: ssl.SSLContext, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key.public_key()
        self._client = FleetHttpClient(
            f"https://{address}",
            verify=tls,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="SuperNode"),
                NodeAuthHttpInterceptor(key, self._key),
            ],
        )

    def probe(self) -> Refusal | None:
        """Ask whether the node is registered, without activating it.

        The request has an impossible heartbeat interval. A SuperLink looks at that only after the
        key, so a registered node is refused with `KNOWN_NODE`.

        Raises:
            httpx.TransportError: the server can't be reached.
        """
        request = ActivateNodeRequest(
            public_key=public_key_to_bytes(self._key), heartbeat_interval=-1
        )
        try:
            self._client.ActivateNode(request)
        except httpx.HTTPStatusError as error:
            return refusal(error.response)
        return None

    def run_has_ended(self, node_id: int, run_id: int) -> bool:
        """Whether a run has ended, according to the server.

        Raises:
            httpx.TransportError: the server can't be reached.
        """
        request = GetRunRequest(node=NodeProto(node_id=node_id), run_id=run_id)
        try:
            self._client.GetRun(request)
        except httpx.HTTPStatusError as error:
            return refusal(error.response).code == ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED
        return False


class ControlClient:
    """A SuperLink, as its owner sees it. All methods raise `httpx.HTTPError`.

    Args:
        address: HOST:PORT.
        tls: which certificates to trust.
        authorization: value of that header.
    """

    def __init__(self, address: str, tls: ssl.SSLContext, authorization: str) -> None:
        self._client = ControlHttpClient(
            f"https://{address}",
            verify=tls,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="flwr CLI"),
                _Authorization(authorization),
            ],
        )

    def register_node(self, name: str, public_key: bytes) -> None:
        """Register a node by its public key, in Flower's encoding."""
        self._client.RegisterNode(RegisterNodeRequest(public_key=public_key, name=name))

    def unregister_node(self, node_id: int) -> None:
        """Unregister a node."""
        self._client.UnregisterNode(UnregisterNodeRequest(node_id=node_id))

    def nodes(self) -> dict[str, tuple[int, str]]:
        """The registered nodes by name: id and status."""
        found = self._client.ListNodes(ListNodesRequest()).nodes_info
        kept = [node for node in found if node.status != "unregistered"]
        return {node.name or str(node.node_id): (node.node_id, node.status) for node in kept}

    def start_run(self, app_id: str, settings: Mapping[str, str]) -> int:
        """Start a run of a stored app; returns its id.

        Raises:
            KeyError: no such app is stored.
        """
        apps = self._client.ListApps(ListAppsRequest(federation_id=NOOP_FEDERATION_ID)).apps
        stored = {app.app_id: app.fab_hash for app in apps}
        request = StartRunRequest(
            fab=fab_to_proto(App(stored[app_id], b"", {})),
            app_spec=app_id,
            override_config=user_config_to_proto({**settings}),
            federation=NOOP_FEDERATION_ID,
        )
        return self._client.StartRun(request).run_id

    def active_runs(self) -> dict[int, dict[str, Any]]:
        """The settings of the runs that have not ended, by id."""
        runs = self._client.ListRuns(ListRunsRequest()).run_dict
        return {
            run_id: user_config_from_proto(run.override_config)
            for run_id, run in runs.items()
            if run.status.status != Status.FINISHED
        }


class _Authorization:
    """Adds a header to the requests of Flower's client."""

    def __init__(self, value: str) -> None:
        self._value = value

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        add_headers(context.request, {"Authorization": self._value})
        return call_next(context)


# The SuperLink itself


@dataclass
class SuperLink:
    """Flower's server, as the command `flower-superlink` would make it.

    Attributes:
        app: its application.
    """

    app: FastAPI

    @classmethod
    def create(
        cls, host: str, port: int, tls: Sequence[Path], database: Path, secret: Path
    ) -> "SuperLink":
        """Make a SuperLink that authenticates nodes and starts apps in processes of their own.

        Args:
            host: address to listen on.
            port: port to listen on.
            tls: files of the authority's certificate, the server's certificate and its key.
            database: file of its state.
            secret: file of the secret with which SuperExec signs its requests.
        """
        authority, certificate, key = map(str, tls)
        sys.argv = [  # the only way to its configuration
            *("flower-superlink", "--host", host, "--port", str(port)),
            *("--ssl-ca-certfile", authority, "--ssl-certfile", certificate, "--ssl-keyfile", key),
            *("--enable-supernode-auth", "--database", str(database)),
            *("--isolation", "process", "--superexec-auth-secret-file", str(secret)),
            "--disable-runtime-dependency-installation",
        ]
        return cls(create_app(_parse_superlink_lifespan_config(), SuperLinkLifespan))

    def store_app(self, app: App, app_id: str) -> None:
        """Store an app, so that runs of it can be started."""
        self._state.store_app(
            fab=app,
            federation_id=NOOP_FEDERATION_ID,
            app_id=app_id,
            app_type=TaskType.SERVER_APP,
            added_by=NOOP_FLWR_AID,
        )

    def end_orphans(self) -> None:
        """End the runs that a killed server left behind: their processes died with it."""
        for run in self._state.get_run_info():
            if run.status.status != Status.FINISHED:
                self._state.stop_run(run.run_id)

    def end_of_runs(self, run_ids: Iterable[int]) -> list[int]:
        """Return which of some runs have ended, and delete what is left of their messages."""
        statuses = self._state.get_run_status(set(run_ids))
        over = [r for r in run_ids if r not in statuses or statuses[r].status == Status.FINISHED]
        for run_id in over:
            self._state.cleanup_run(run_id)
        return over

    def node_id(self, public_key: bytes) -> int | None:
        """The node that has this public key, in Flower's encoding; None if there is none."""
        return cast(int | None, self._state.get_node_id_by_public_key(public_key))

    def has_part(self, node_id: int, run_id: int, object_id: str | None = None) -> bool:
        """Whether a run sent a node a message, and if given, one with this object in it."""
        sent = _sent_to(node_id, select(MessageIns.message_id))
        sent = sent.where(MessageIns.run_id == uint64_to_int64(run_id))
        if object_id is not None:
            holders = select(literal(object_id).label("id")).cte(recursive=True)
            parents = select(ObjectChild.parent_id).where(ObjectChild.child_id == holders.c.id)
            sent = sent.where(MessageIns.message_id.in_(select(holders.union(parents).c.id)))
        with self._state.session() as session:
            return session.scalar(sent.limit(1)) is not None

    def open_question(self, node_id: int, announcement: Announcement) -> ReplyContext | None:
        """What a node was sent and now answers; None if it was not, or gave another answer."""
        asked = (MessageIns.run_id, MessageIns.message_type, MessageIns.group_id)
        sent = _sent_to(node_id, select(*asked))
        sent = sent.where(MessageIns.message_id == announcement.reply_to)
        other = select(MessageRes.message_id).where(
            MessageRes.reply_to_message_id == announcement.reply_to,
            MessageRes.message_id != announcement.message_id,
        )
        with self._state.session() as session:
            row = session.execute(sent.where(~other.exists())).first()
        return ReplyContext(int64_to_uint64(row[0]), row[1], row[2]) if row else None

    @property
    def _state(self) -> Any:
        return self.app.state.linkstate_factory.state()


def _sent_to(node_id: int, columns: Any) -> Any:
    """Restrict a query to the messages that a node has fetched."""
    return columns.where(
        MessageIns.dst_node_id == uint64_to_int64(node_id), MessageIns.delivered_at != ""
    )


# The SuperNode


Verifier = Callable[[App, dict[str, str]], bool]

is_signed: Verifier = start_client_internal._verify_fab
"""Whether an app has a valid signature of one of the public keys, which are given by id."""


def run_supernode(
    options: Sequence[str], is_trusted: Callable[[App, dict[str, str]], bool]
) -> None:
    """Run Flower's SuperNode.

    Args:
        options: of the command `flower-supernode`.
        is_trusted: whether an app may run, given the trusted public keys by id; replaces
            `is_signed`.
    """
    start_client_internal._verify_fab = is_trusted  # type: ignore[assignment]
    sys.argv = ["flower-supernode", *options]
    flower_supernode()


# The SuperExec


def run_superexec(options: Sequence[str]) -> None:
    """Run Flower's SuperExec, which gives each app its token in a file without a name.

    Flower writes the token on the app's command line, which everybody on the machine can read.

    Args:
        options: of the command `flower-superexec`.
    """
    subprocess_executor.subprocess = _HidingTokens  # type: ignore[assignment, attr-defined]
    sys.argv = ["flower-superexec", *options]
    flower_superexec()


class _HidingTokens:
    """In the place of the module `subprocess` where Flower starts an app."""

    DEVNULL = subprocess.DEVNULL

    @staticmethod
    def Popen(command: list[str], **options: Any) -> None:  # noqa: N802
        at = command.index("--token")
        with tempfile.TemporaryFile() as file:
            file.write(command[at + 1].encode())
            file.flush()
            command[at : at + 2] = ["--token-file", f"/dev/fd/{file.fileno()}"]
            subprocess.Popen(command, pass_fds=[file.fileno()], **options)


# Replies, piece by piece


class Interrupted(Exception):
    """Flower dropped what a node had sent of a reply: the node stopped sending."""


class Reply:
    """A reply that a node announced.

    Attributes:
        request_id: of the message that it answers.
        pieces: ids of its parts.
    """

    def __init__(self, grid: HttpGrid, message: MessageProto, tree: ObjectTree) -> None:
        self._grid = grid
        self._id = message.metadata.message_id
        self.request_id = message.metadata.reply_to_message_id
        self.pieces = list(dict.fromkeys(node.object_id for node in iterate_object_tree(tree)))
        self._pull = make_pull_object_fn_protobuf(
            grid._runtime_client.PullObject, grid.node, grid.run.run_id
        )

    def pull(self, piece: str) -> bytes | None:
        """Fetch a piece; None if it has not come yet.

        Raises:
            Interrupted: it will not come.
        """
        try:
            return self._pull(piece)
        except ObjectUnavailableError:
            return None
        except ObjectPullError:
            raise Interrupted from None

    def assemble(self, contents: Mapping[str, bytes]) -> Message | None:
        """The message that the pieces make, and tell Flower to forget them.

        Args:
            contents: the pieces by their ids.

        Returns:
            None if they make something else.

        Raises:
            Exception: they are not what Flower sends; any, as the node chose the content.
        """
        self._grid._runtime_client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(
                node=self._grid.node, run_id=self._grid.run.run_id, message_object_id=self._id
            )
        )
        message = inflate_object_from_contents(self._id, cast(dict[str, bytes], contents))
        if not isinstance(message, Message):
            return None
        message.metadata.__dict__["_message_id"] = self._id
        return message


def sends_pieces(grid: Grid) -> bool:
    """Whether a grid fetches replies in pieces; others hand over whole messages."""
    return isinstance(grid, HttpGrid)


def announced(grid: Grid, asked: Iterable[str]) -> list[Reply]:
    """The replies that nodes announced to messages with these ids, each of them once.

    Args:
        grid: one that `sends_pieces`.
        asked: ids of messages.
    """
    assert isinstance(grid, HttpGrid)
    found = grid._runtime_client.PullMessages(PullAppMessagesRequest(message_ids=list(asked)))
    pairs = zip(found.messages_list, found.message_object_trees, strict=True)
    return [Reply(grid, message, tree) for message, tree in pairs]
