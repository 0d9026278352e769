"""A real peer that is missing is named with how to get it: a skip, or a failure where it is required."""

from __future__ import annotations

import need
import pytest
from _pytest.outcomes import Failed, Skipped


@pytest.fixture
def lacking_podman(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(need, "missing", lambda name: "podman not installed" if name == "podman" else "")


@pytest.mark.usefixtures("lacking_podman")
class TestAMissingPeer:
    def test_is_a_skip_that_says_how_to_get_it(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SM_TEST_REQUIRE", raising=False)
        request.node.add_marker(need.needs("sshd", "podman"))
        with pytest.raises(Skipped, match=r"needs a real podman: podman not installed .*scripts/real-peers"):
            need.enforce(request.node)

    def test_is_a_failure_when_it_is_required(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SM_TEST_REQUIRE", "sshd, podman")
        request.node.add_marker(need.needs("podman"))
        with pytest.raises(Failed, match=r"SM_TEST_REQUIRE: this test needs a real podman"):
            need.enforce(request.node)

    def test_is_a_skip_when_only_others_are_required(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SM_TEST_REQUIRE", "docker")
        request.node.add_marker(need.needs("podman"))
        with pytest.raises(Skipped):
            need.enforce(request.node)


def test_a_required_name_that_is_no_peer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_TEST_REQUIRE", "sshd,pod")
    with pytest.raises(Failed, match="pod, which is no real peer"):
        need.required()
