"""Under which licences a federation's data and weights are."""

from fedseg.config import Federation
from fedseg.data.cards import load_card
from fedseg.data.own_datasets import is_own
from fedseg.errors import FedsegError
from fedseg.models.encoder_weights import weights_licence
from fedseg.plugins import module_name
from fedseg.registry import MODELS

UNKNOWN = "not known"


def licences(federation: Federation) -> dict[str, str]:
    """The licence of each dataset and of each encoder's pretrained weights, by what they are.

    Those of data that only a client's own node names are not known.
    """
    found = {}
    owners = [*federation.clients, *federation.evaluators]
    for source in [*owners, federation.server, *federation.evaluation]:
        if is_own(source.dataset):
            found[f"data of {module_name(source.dataset)}"] = UNKNOWN
        elif source.dataset:
            try:
                card = load_card(source.dataset)
            except FedsegError:  # a card of its owner's machine
                found[f"data of {source.dataset}"] = UNKNOWN
            else:
                found[f"data of {card.name}"] = card.licence or UNKNOWN
    for model in [client.model for client in federation.clients] + [federation.model]:
        if not MODELS.is_built_in(model.arch):
            found[f"weights of model {module_name(model.arch)}"] = UNKNOWN
        elif model.encoder_weights == "imagenet":
            licence = weights_licence(model.encoder)
            found[f"weights of {model.encoder}"] = licence or UNKNOWN
        elif model.encoder_weights != "none":
            found[f"weights in {model.encoder_weights}"] = UNKNOWN
    return found
