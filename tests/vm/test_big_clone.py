"""A clone of 300 MB over HTTP that breaks off in the middle: nothing is left that looks whole, and the next is."""

from __future__ import annotations

from pathlib import Path

import pytest

from sm.core.outcome import Refused
from sm.vm.model import PrepareSpec

from .conftest import SESSION

SIZE = 300_000_000
SPEC = PrepareSpec(session_id=SESSION, org="acme", repo="webapp")

pytestmark = pytest.mark.timeout(300)


async def test_a_clone_of_300_mb_that_is_interrupted_leaves_nothing_and_the_next_try_makes_it_whole(
    peer, github
):
    upstream, vm = github.repository(), peer.vm(git_base_url=github.url)
    upstream.git("config", "core.compression", "0")
    upstream.big(SIZE)
    github.server.cut_after = SIZE // 2
    github.fault("cut", times=None)
    with pytest.raises(Refused) as caught:
        await vm.repositories.prepare(SPEC, 1)
    assert caught.value.code == "network_unreachable"
    assert not list(peer.repos.rglob("HEAD"))
    assert sum(file.stat().st_size for file in peer.repos.rglob("*") if file.is_file()) < SIZE // 10
    github.faults.clear()
    made = await vm.repositories.prepare(SPEC, 1)
    assert (Path(made.path) / "big.bin").stat().st_size == SIZE
