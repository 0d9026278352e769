"""Connections: keys checked, few channels each, failures told apart."""

import asyncio

import asyncssh
import pytest

from sm.core.outcome import Refused, Unreachable
from sm.vm import HostKey

from .conftest import SESSION, spec


def new_key(kind="ssh-ed25519"):
    return asyncssh.generate_private_key(kind)


def line_of(key):
    return key.export_public_key().decode()


async def works(vm):
    await vm.fence(SESSION, 1)


async def refused(vm):
    with pytest.raises(Refused) as caught:
        await vm.fence(SESSION, 1)
    return caught.value


async def test_the_host_key_is_fetched_without_logging_in(peer):
    vm = peer.vm(pinned_host_keys=())
    key = await vm.fetch_host_key()
    assert key == HostKey(" ".join(line_of(peer.host_key).split()[:2]), peer.host_key.get_fingerprint())
    assert peer.logins == 0


async def test_a_fetched_key_that_was_pinned_is_trusted_and_any_other_is_not(peer):
    vm = peer.vm(pinned_host_keys=())
    key = await vm.fetch_host_key()
    vm.pin(key)
    await works(vm)
    await peer.away()
    peer.host_key = new_key()
    await peer.listen()
    error = await refused(vm)
    assert error.code == "host_key_changed"
    assert key.fingerprint in str(error)
    assert peer.host_key.get_fingerprint() in str(error)
    assert "SM_VM_HOST_KEY" in str(error)
    assert peer.logins > 0


async def test_a_changed_key_gets_no_login(peer):
    assert (await refused(peer.vm(pinned_host_keys=(line_of(new_key()),)))).code == "host_key_changed"
    assert peer.logins == 0


async def test_a_key_of_another_type_is_a_changed_key_too(peer):
    error = await refused(peer.vm(pinned_host_keys=(line_of(new_key("ecdsa-sha2-nistp256")),)))
    assert error.code == "host_key_changed"
    assert peer.host_key.get_fingerprint() in str(error)


async def test_without_any_known_key_nothing_is_trusted(peer):
    assert (await refused(peer.vm(pinned_host_keys=()))).code == "host_key_unknown"
    assert (await refused(peer.vm(pinned_host_keys=(), accept=lambda _key: False))).code == "host_key_unknown"


async def test_an_unknown_key_is_taken_when_the_caller_accepts_it(peer):
    seen = []
    await works(peer.vm(pinned_host_keys=(), accept=lambda key: not seen.append(key)))
    assert seen[0].fingerprint == peer.host_key.get_fingerprint()


async def test_accepting_never_overrides_a_pinned_key(peer):
    error = await refused(peer.vm(pinned_host_keys=(line_of(new_key()),), accept=lambda _key: True))
    assert error.code == "host_key_changed"


async def test_a_fingerprint_pins_as_a_key_does(peer):
    await works(peer.vm(pinned_host_keys=(peer.host_key.get_fingerprint(),)))
    assert (
        await refused(peer.vm(pinned_host_keys=(new_key().get_fingerprint(),)))
    ).code == "host_key_changed"


async def test_a_known_hosts_file_is_read(peer, tmp_path):
    file = tmp_path / "known_hosts"
    file.write_text(f"[127.0.0.1]:{peer.port} {line_of(peer.host_key)}")
    await works(peer.vm(pinned_host_keys=(), known_hosts_path=str(file)))
    file.write_text(f"[127.0.0.1]:{peer.port} {line_of(new_key())}")
    assert (
        await refused(peer.vm(pinned_host_keys=(), known_hosts_path=str(file)))
    ).code == "host_key_changed"


def test_a_pin_that_is_no_key_is_refused_by_name(peer):
    with pytest.raises(Refused, match="SM_VM_HOST_KEY"):
        peer.vm(pinned_host_keys=("ssh-ed25519 nonsense",))


async def test_a_key_that_the_vm_does_not_let_in_is_a_no(peer):
    other = new_key().export_private_key().decode()
    assert (await refused(peer.vm(private_key=other))).code == "ssh_denied"


async def test_a_private_key_that_cannot_be_read_is_told_without_its_text(peer):
    error = await refused(
        peer.vm(private_key="-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET\n-----END OPENSSH PRIVATE KEY-----")
    )
    assert error.code == "ssh_key_unreadable"
    assert "SECRET" not in str(error)
    assert error.__cause__ is None
    assert (await refused(peer.vm(private_key=None, key_path="/nowhere/id"))).code == "ssh_key_missing"


async def test_the_private_key_is_read_from_its_path(peer, tmp_path):
    file = tmp_path / "id"
    peer.client_key.write_private_key(str(file))
    await works(peer.vm(private_key=None, key_path=str(file)))


def test_settings_show_no_private_key(peer):
    assert "PRIVATE KEY" not in repr(peer.settings())


async def test_a_vm_that_is_away_is_unreachable_and_comes_back(peer, vm):
    await works(vm)
    await peer.away()
    with pytest.raises(Unreachable):
        await vm.status(SESSION, 1)
    await peer.listen()
    await works(vm)


async def test_no_connection_carries_more_than_six_channels(peer, vm):
    await asyncio.gather(*(vm.status(SESSION, 1) for _ in range(14)))
    assert peer.most_channels <= 6
    assert peer.refused_channels == 0


async def test_a_refused_channel_is_tried_on_another_connection(peer, vm):
    peer.max_channels = 2
    found = await asyncio.gather(*(vm.status(SESSION, 1) for _ in range(7)))
    assert {status.meaning for status in found} == {"never_started"}
    assert peer.refused_channels > 0


async def test_a_server_that_opens_no_channel_at_all_is_unreachable(peer, vm):
    peer.max_channels = 0
    with pytest.raises(Unreachable):
        await vm.status(SESSION, 1)


async def test_an_answer_that_was_cut_proves_nothing(peer, vm):
    peer.tool("flock", "kill -9 $PPID")
    with pytest.raises(Unreachable, match="cut off"):
        await vm.fence(SESSION, 1)


async def test_a_profile_that_ends_the_shell_is_unreachable(peer, vm):
    peer.write_profile(more="exit 0")
    with pytest.raises(Unreachable, match="profile"):
        await vm.fence(SESSION, 1)


async def test_what_a_profile_prints_does_not_matter(peer, vm):
    peer.write_profile(more="echo Welcome; echo done; echo 'refused fenced no'; printf x; echo y >&2")
    await works(vm)
    assert not (await vm.start_generation(spec(peer), 1)).resumed_existing


@pytest.mark.parametrize(
    "session", ["../../etc", "a b c d e f g", "$(id)-aaaaaa", "-rf-aaaaaaa", "short", "a" * 65]
)
async def test_a_session_id_that_is_none_reaches_no_vm(peer, vm, session):
    with pytest.raises(Refused):
        await vm.fence(session, 1)
    assert peer.logins == 0
