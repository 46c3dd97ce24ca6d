"""What the server makes of the class names that nodes say their cards have."""

import logging

import pytest

from fedseg.config import Federation
from fedseg.errors import FedsegError
from fedseg.planning.node_classes import check_node_classes

CLASSES = {"names": ["drivable", "sky", "lane marking"], "members": {"drivable": ["road"]}}


@pytest.fixture
def deployed(federation_data):
    """A federation whose clients and evaluator have nodes of their own."""
    clients = [{"name": "one"}, {"name": "two"}]
    own = {"clients": clients, "evaluators": [{"name": "city"}], "classes": CLASSES}
    return Federation.model_validate(federation_data | own)


@pytest.fixture
def notices(caplog):
    caplog.set_level(logging.WARNING, "fedseg.notices")
    return lambda: "\n".join(caplog.messages)


def check(federation, late=None, **known):
    """Check with the names that nodes said, and those that say so only when they are looked for."""
    check_node_classes(federation, known, lambda names: known.update(late or {}))


def test_a_name_that_nobody_knows_is_an_error_before_training(deployed, notices):
    with pytest.raises(FedsegError, match=r"^classes: .* 'lane marking'"):
        check(deployed, one={"road"}, two={"road", "sky"}, city={"sky"})
    assert notices() == ""


def test_a_name_that_one_client_knows_is_right(deployed, notices):
    check(deployed, one={"road", "sky"}, two={"lane marking"}, city=set())
    assert notices() == ""


def test_an_evaluator_is_looked_for_where_it_may_know_a_name(deployed, notices):
    late = {"city": {"lane marking"}}
    check(deployed, late, one={"road", "sky"}, two={"road"})
    assert "1 of the 3 classes: lane marking" in notices()


def test_where_somebody_said_nothing_it_is_a_notice(deployed, notices):
    check(deployed, one={"road", "sky"}, city=set())
    assert "'lane marking'" in notices()


def test_names_that_are_not_in_the_list_do_no_harm(deployed, notices):
    known = {"road", "sky", "lane marking", "x" * 1000}
    check(deployed, one=known, two=known, city=known)
    assert notices() == ""
