import pytest

from fedseg.deployment.submit import check_registered
from fedseg.errors import FedsegError


class Known:
    """A server that knows these nodes."""

    def __init__(self, *names):
        self._names = names

    def nodes(self):
        return {name: (number, "offline") for number, name in enumerate(self._names)}


def test_a_slip_in_a_name_is_found_before_anything_starts(federation):
    check_registered(Known("one", "two", "other"), federation)
    with pytest.raises(FedsegError, match=r"knows no node 'two'; did you mean 'tow'\?"):
        check_registered(Known("one", "tow"), federation)
    with pytest.raises(FedsegError, match="no node is registered; its owner lets one in"):
        check_registered(Known(), federation)
