"""The costs of private trainings add up, whatever the data is called."""

import pytest

from fedseg.errors import PublicError
from fedseg.participants.node import NodePrivacy
from fedseg.participants.privacy_budget import BUDGET, PrivacyBudget
from fedseg.storage.audit import read_audit
from fedseg.training.supervised import PrivacyCost

COST = PrivacyCost(7.99, 1e-5)


@pytest.fixture
def budget(tmp_path):
    """A budget for so much: budget(total)."""

    def make(total=None):
        return PrivacyBudget(tmp_path, NodePrivacy(epsilon=8.0, total_epsilon=total))

    return make


def test_by_default_one_training_is_paid_for(budget):
    budget().spend(["a", "b"], COST)
    with pytest.raises(
        PublicError,
        match=r"used up: epsilon 7.99, delta 1e-05 of epsilon 8, delta 1e-05 is spent on its data, "
        r"and this training would cost epsilon 7.99, delta 1e-05 more .*privacy.total_epsilon",
    ):
        budget().spend(["a", "b"], COST)
    assert budget().spent(["a", "b"]) == COST


def test_costs_add_up_to_the_total_of_both(budget):
    for _ in range(3):
        budget(24.0).spend(["a"], COST)
    assert budget(24.0).spent(["a"]) == pytest.approx((23.97, 3e-5))
    with pytest.raises(PublicError, match="used up"):
        budget(24.0).spend(["a"], PrivacyCost(0.01, 1e-5))  # the delta is spent
    with pytest.raises(PublicError, match="used up"):
        budget(24.0).spend(["a"], PrivacyCost(0.1, 1e-9))


def test_a_budget_is_that_of_each_image(budget):
    """An image more, or less, or in another order or twice, is no new dataset."""
    budget().spend(["a", "b", "c"], COST)
    for images in (["c", "b", "a"], ["a"], ["a", "b", "c", "d"], ["d", "a"], ["a", "a"]):
        with pytest.raises(PublicError, match="used up"):
            budget().spend(images, COST)
    assert budget().spent(["d"]) == PrivacyCost(0, 0)
    budget().spend(["d", "e"], COST)


def test_what_was_spent_is_in_the_audit_log(budget, tmp_path):
    budget().spend(["a", "b"], COST)
    [entry] = read_audit(tmp_path / "audit.jsonl")
    assert (entry["event"], entry["images"], entry["epsilon"]) == ("privacy spent", 2, 7.99)


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b'{"images": []}', b'{"images": {"a": [-8.0, 0.0]}}',
     b'{"images": {"a": [NaN, 0.0]}}', b'{"images": {"a": 8.0}}', b'{"image": {}}', b"\xff"],
)  # fmt: skip
def test_a_record_that_is_lost_allows_no_training(budget, tmp_path, content):
    budget(80.0).spend(["a"], COST)
    path = tmp_path / BUDGET
    path.unlink() if content is None else path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(PublicError, match=r"privacy\.json, is missing or damaged; its owner"):
            budget(80.0).spend(["a"], COST)
    path.write_text("{}")  # an owner who says that nothing was spent
    budget(80.0).spend(["a"], COST)
