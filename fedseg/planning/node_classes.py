"""Whether the class list fits the dataset cards of nodes, which only they can read."""

from collections.abc import Callable, Mapping

from fedseg.config import Federation
from fedseg.data.class_names import check_known, unknown_names, untrained_classes
from fedseg.data.own_datasets import source_card
from fedseg.errors import FedsegError
from fedseg.storage.provenance import notices


def check_node_classes(
    federation: Federation,
    known: Mapping[str, set[str]],
    find: Callable[[set[str]], object],
) -> None:
    """See that each name in the class list is a class of somebody's dataset card.

    Where a participant has not said which its card has, an unknown name is a notice. So are classes
    that no client of a deployed federation has; a simulation knows more.

    Args:
        federation: its configuration.
        known: names in the class list that a node's cards have, by participant, of those that said
            so.
        find: looks for the nodes of some participants, which may add to `known`; called with the
            evaluators where only they may know a name.

    Raises:
        FedsegError: all participants have said which names their cards have, and one is in none.
    """
    classes = federation.classes
    clients = {client.name for client in federation.clients}
    evaluators = {evaluator.name for evaluator in federation.evaluators}
    cards = [source_card(one) for one in (federation.server, *federation.evaluation)]

    def unknown() -> str:
        return unknown_names(classes, cards, set().union(*known.values()))

    if unknown():
        find(evaluators)
    try:
        check_known(unknown())
    except FedsegError as error:
        if clients | evaluators <= known.keys():
            raise
        notices.warning("%s", error)
    if clients <= known.keys() and not all(client.dataset for client in federation.clients):
        told = set().union(*(known[name] for name in clients))
        trained = {train_id for part, train_id in classes.train_ids.items() if part in told}
        if note := untrained_classes(classes, [c in trained for c in range(len(classes))]):
            notices.warning("%s", note)
