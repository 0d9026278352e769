"""Before an agent is started, its network is tried from inside; what is open, or cannot be told, refuses the start."""

import json

import pytest

from sm.core.outcome import Refused
from sm.vm import remote

from .conftest import SESSION, spec, until


async def refused(vm, peer):
    with pytest.raises(Refused) as caught:
        await vm.start_generation(spec(peer), 1)
    return caught.value.code, str(caught.value)


def rootless(peer):
    peer.tool("id", "case $1 in -u|-g) echo 1000;; *) echo claude;; esac")


def lines(peer, name):
    file = peer.state / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def test_two_short_containers_with_the_agents_limits_try_the_network(peer, vm):
    await vm.start_generation(spec(peer), 1)
    probes = lines(peer, "probes.jsonl")
    assert len(probes) == 2
    for words in probes:
        text = " ".join(words)
        for option in (
            "run -i --rm",
            f"--label sm.probe={SESSION}",
            "--network isolated",
            "--cap-drop=all --security-opt=no-new-privileges --pull=never",
            "--read-only --sysctl net.ipv6.conf.all.disable_ipv6=1",
        ):
            assert option in f"run {text}"
        assert "-v" not in words
        assert "ANTHROPIC_API_KEY" not in text
    agent = lines(peer, "runs.jsonl")[-1]
    assert "net.ipv6.conf.all.disable_ipv6=1" in agent


@pytest.mark.parametrize(
    ("open_", "said"),
    [("gateway", "the network's gateway (10.89.0.1)"), ("sibling", "another container (10.89.0.")],
)
async def test_a_network_that_is_not_closed_refuses_the_start(peer, vm, open_, said):
    (peer.state / "reached").write_text(open_)
    code, text = await refused(vm, peer)
    assert code == "network_open"
    assert said in text
    assert "sm doctor rules" in text
    assert lines(peer, "runs.jsonl") == []
    assert not (peer.generation() / "in").exists()
    (peer.state / "reached").unlink()
    await vm.start_generation(spec(peer), 1)


async def test_rootless_podman_is_given_the_rules_before_the_network_is_tried(peer, vm):
    rootless(peer)
    await vm.start_generation(spec(peer), 1)
    *_, looked, _ = (peer.state / "rules").read_text().split("\0")
    assert '"$0" list table inet "$1"' in looked  # they were there once more when the agent ran
    assert "delete table inet sm_podman1" in (peer.state / "rules").read_text()


async def test_rules_that_went_away_while_the_agent_was_started_stop_it(peer, vm):
    rootless(peer)
    (peer.state / "no-tables").touch()
    code, text = await refused(vm, peer)
    assert code == "network_open"
    assert "went away" in text
    await until(lambda: peer.read("exit"), "the end of the agent")


async def test_rules_that_nft_refuses_are_quoted(peer, vm):
    rootless(peer)
    (peer.state / "no-rules").write_text("Error: Could not process rule: Operation not supported")
    code, text = await refused(vm, peer)
    assert code == "network_unchecked"
    assert "Operation not supported" in text


async def test_a_missing_nft_is_named_with_its_package(peer, vm, monkeypatch):
    rootless(peer)
    scripts = remote.script
    monkeypatch.setattr(remote, "script", lambda name: scripts(name).replace("/sbin/nft", "/nowhere/nft"))
    assert (await refused(vm, peer))[0] == "nft_missing"
    with pytest.raises(Refused) as caught:
        await vm.check(SESSION)
    assert caught.value.code == "nft_missing"
    assert "apt-get install nftables" in str(caught.value)


async def test_a_network_that_is_missing_at_the_start_is_named_with_its_command(peer, vm):
    (peer.state / "networks").write_text("")
    code, text = await refused(vm, peer)
    assert code == "network_missing"
    assert "podman network create isolated" in text


async def test_a_network_that_is_no_bridge_is_refused(peer, vm):
    (peer.state / "network.json").write_text(
        '[{"name": "isolated", "driver": "macvlan", "network_interface": "eth0"}]'
    )
    code, text = await refused(vm, peer)
    assert code == "network_unfit"
    assert "macvlan" in text


async def test_an_image_in_which_nothing_can_be_tried_refuses_the_start(peer, vm):
    (peer.state / "no-probe").write_text('Error: exec: "bash": executable file not found in $PATH')
    code, text = await refused(vm, peer)
    assert code == "network_unchecked"
    assert 'exec: "bash": executable file not found' in text


async def test_only_a_sandbox_on_this_very_machine_may_leave_the_network_untried(peer, vm):
    (peer.state / "reached").write_text("gateway")
    peer.write_profile(
        more="export SM_SANDBOX_WITHOUT_NAMESPACES=1 SSH_CONNECTION='192.168.12.1 5000 192.168.12.10 22'"
    )
    assert (await refused(vm, peer))[0] == "network_open"
    peer.write_profile(
        more="export SM_SANDBOX_WITHOUT_NAMESPACES=1 SSH_CONNECTION='127.0.0.1 5000 127.0.0.1 22'"
    )
    await vm.start_generation(spec(peer), 1)


async def test_dockers_bridge_has_the_name_that_it_was_given_or_that_of_its_id(peer):
    vm = peer.vm(runtime="docker")
    network = {
        "Name": "isolated", "Id": "0123456789abcdef", "Driver": "bridge", "Options": {},
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "172.20.0.0/16", "Gateway": "172.20.0.1"}]},
    }  # fmt: skip
    (peer.state / "network.json").write_text(json.dumps([network], indent=4))
    rules = await vm.network.rules()
    assert (rules.rootless, rules.bridge) == (False, "br-0123456789ab")
    assert 'iifname "br-0123456789ab" goto away' in rules.whole
    assert "table inet sm_br_0123456789ab {" in rules.plain
    assert "ip daddr { 172.20.0.0/16 } goto closed" in rules.whole
    network["Options"] = {"com.docker.network.bridge.name": "agents"}
    (peer.state / "network.json").write_text(json.dumps([network], indent=4))
    assert (await vm.network.rules()).bridge == "agents"


async def test_an_address_of_a_network_that_is_none_reaches_no_rule(peer, vm):
    evil = {"subnet": "10.89.0.0/24", "gateway": "10.89.0.1 } accept; ip daddr { 0.0.0.0/0"}
    network = {"driver": "bridge", "network_interface": "podman1", "subnets": [evil]}
    (peer.state / "network.json").write_text(json.dumps([network]))
    with pytest.raises(Refused) as caught:
        await vm.network.rules()
    assert caught.value.code == "network_unfit"


async def test_the_doctor_tells_each_thing_apart(peer, vm):
    (peer.state / "reached").write_text("vm outside")
    probed = await vm.network.probe("example.com", 443)
    states = {(one.kind, one.state) for one in probed.findings}
    assert {("outside", "open"), ("gateway", "closed"), ("sibling", "closed"), ("ipv6", "closed")} <= states
    assert "sm doctor rules" in probed.advice
    assert len(lines(peer, "probes.jsonl")) == 2
    assert all("net.ipv6.conf.all.disable_ipv6=1" not in words for words in lines(peer, "probes.jsonl"))


@pytest.mark.parametrize("host", ["-x", "a b", "a;b", "", "x" * 300])
async def test_a_host_that_is_none_is_not_tried(peer, vm, host):
    with pytest.raises(Refused) as caught:
        await vm.network.probe(host, 443)
    assert caught.value.code == "bad_name"
