"""k8s/, built with kustomize: what it makes is valid, hardened, and says the same as the program."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import kubernetes_validate
import pytest
import yaml

from sm.settings import VARIABLES, load

ROOT = Path(__file__).parents[2]
BASE = ROOT / "k8s"
KUBECTL = Path(sys.executable).parent / "kubectl"
# The oldest and the newest that the schemas at hand know.
VERSIONS = ("1.29", kubernetes_validate.latest_version())
SECRETS = {variable.name for variable in VARIABLES if variable.secret}
PLAIN = {variable.name: variable for variable in VARIABLES if not variable.secret}


def kustomized(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return kustomized(BASE)


@pytest.fixture(scope="module")
def secret() -> dict[str, Any]:
    return yaml.safe_load((BASE / "secret.example.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def by_kind(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {document["kind"]: document for document in documents}
    assert len(found) == len(documents)
    return found


@pytest.fixture(scope="module")
def pod(by_kind: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return by_kind["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return only


@pytest.fixture(scope="module")
def configured(by_kind: dict[str, dict[str, Any]]) -> dict[str, str]:
    return by_kind["ConfigMap"]["data"]


# --- names and schemas ---------------------------------------------------------------------------------------


def test_the_base_holds_one_of_each_with_the_names_of_the_specification(
    by_kind: dict[str, dict[str, Any]], secret: dict[str, Any]
) -> None:
    names = {kind: document["metadata"]["name"] for kind, document in by_kind.items()}
    assert re.fullmatch(r"session-manager-settings-[a-z0-9]{10}", names.pop("ConfigMap"))
    assert names == {
        "Deployment": "session-manager",
        "Service": "session-manager",
        "PersistentVolumeClaim": "session-manager-journal",
        "NetworkPolicy": "session-manager",
    }
    assert (secret["kind"], secret["metadata"]["name"]) == ("Secret", "session-manager-secrets")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_is_valid(
    documents: list[dict[str, Any]], secret: dict[str, Any], version: str
) -> None:
    for document in (*documents, secret):
        kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_would_not_be_valid(by_kind: dict[str, dict[str, Any]]) -> None:
    service = by_kind["Service"]
    wrong = {**service, "spec": {**service["spec"], "selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="selectors"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_every_file_of_the_folder_is_in_the_base_but_the_example_of_a_secret() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))
    used = {*listed["resources"], *listed["configMapGenerator"][0]["envs"], "kustomization.yaml"}
    tracked = {path.name for path in BASE.iterdir()} - {"secret.yaml"}
    assert tracked - used == {"secret.example.yaml"}


def test_an_overlay_changes_settings_image_and_namespace(tmp_path: Path) -> None:
    overlay = {
        "namespace": "chat",
        "resources": ["base"],
        "images": [{"name": "session-manager", "newName": "registry.example.com/sm", "newTag": "0.1.0"}],
        "configMapGenerator": [
            {"name": "session-manager-settings", "behavior": "merge", "literals": ["SM_VM_HOST=192.168.9.9"]}
        ],
    }
    (tmp_path / "base").symlink_to(BASE)
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    made = {document["kind"]: document for document in kustomized(tmp_path)}
    assert {document["metadata"]["namespace"] for document in made.values()} == {"chat"}
    assert made["ConfigMap"]["data"]["SM_VM_HOST"] == "192.168.9.9"
    (only,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert only["image"] == "registry.example.com/sm:0.1.0"
    assert only["envFrom"][0]["configMapRef"]["name"] == made["ConfigMap"]["metadata"]["name"]


# --- the settings --------------------------------------------------------------------------------------------


def test_the_settings_are_exactly_those_of_the_program(configured: dict[str, str]) -> None:
    assert set(configured) == set(PLAIN)


def test_the_secret_holds_exactly_the_secret_settings(secret: dict[str, Any]) -> None:
    assert set(secret["stringData"]) == SECRETS


def test_a_setting_that_has_a_default_has_it_here_too(configured: dict[str, str]) -> None:
    optional = {name: variable.default or "" for name, variable in PLAIN.items() if not variable.required}
    assert {name: configured[name] for name in optional} == optional


def test_no_variable_is_set_beside_the_two_sources(container: dict[str, Any]) -> None:
    assert "env" not in container
    sources = [next(iter(source.values()))["name"] for source in container["envFrom"]]
    assert len(sources) == 2
    assert sources[0].startswith("session-manager-settings-")
    assert sources[1] == "session-manager-secrets"


def test_with_a_real_key_the_program_takes_it_all_as_it_is(
    configured: dict[str, str], secret: dict[str, Any]
) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    settings = load({**configured, **secret["stringData"], "SM_VM_SSH_KEY": key})
    assert settings.callback_path == "/callback"
    assert settings.callback_secret is None


def test_the_example_of_a_secret_holds_none() -> None:
    text = (BASE / "secret.example.yaml").read_text("utf-8")
    for line in text.splitlines():
        assert not re.search(r"[A-Za-z0-9+/=]{40}", line), "this looks like a real one"
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "k8s/secret.yaml" in ignored


# --- how it runs ---------------------------------------------------------------------------------------------


def test_one_copy_runs_and_the_old_one_ends_first(
    by_kind: dict[str, dict[str, Any]], pod: dict[str, Any]
) -> None:
    spec = by_kind["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert pod["terminationGracePeriodSeconds"] == 15


def test_service_container_and_setting_agree_on_the_port(
    by_kind: dict[str, dict[str, Any]], container: dict[str, Any], configured: dict[str, str]
) -> None:
    (port,) = by_kind["Service"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8000, "http")
    assert container["ports"] == [{"name": "http", "containerPort": 8000}]
    assert configured["SM_LISTEN_ADDR"] == "0.0.0.0:8000"
    assert configured["SM_CALLBACK_URL"].startswith("http://session-manager:8000/")


def test_the_selectors_find_the_pod(by_kind: dict[str, dict[str, Any]]) -> None:
    deployment = by_kind["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    selectors = (
        deployment["selector"]["matchLabels"],
        by_kind["Service"]["spec"]["selector"],
        by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    )
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()


def test_the_probes_ask_health_and_ready(container: dict[str, Any]) -> None:
    paths = {
        probe: container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}
    assert {container[probe]["httpGet"]["port"] for probe in paths} == {"http"}


def test_a_start_may_take_minutes_before_it_counts_as_dead(container: dict[str, Any]) -> None:
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 300


def test_the_pod_may_do_nothing_that_it_needs_not(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_user_is_that_of_the_image(pod: dict[str, Any]) -> None:
    (user,) = re.findall(r"^USER (\d+:\d+)$", (ROOT / "Containerfile").read_text("utf-8"), re.MULTILINE)
    context = pod["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    assert context["fsGroup"] == context["runAsGroup"] != 0


def mounts(pod: dict[str, Any], container: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a volume is mounted, and of which kind it is."""
    volumes = {volume["name"]: next(key for key in volume if key != "name") for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        yield mount["mountPath"], volumes[mount["name"]]


def test_the_journal_lies_on_the_claimed_volume(
    pod: dict[str, Any],
    container: dict[str, Any],
    configured: dict[str, str],
    by_kind: dict[str, dict[str, Any]],
) -> None:
    where = dict(mounts(pod, container))
    assert where[str(Path(configured["SM_JOURNAL"]).parent)] == "persistentVolumeClaim"
    assert where["/tmp"] == "emptyDir"
    (claim,) = [
        volume["persistentVolumeClaim"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume
    ]
    assert claim["claimName"] == by_kind["PersistentVolumeClaim"]["metadata"]["name"]


def test_the_files_that_settings_may_name_come_from_optional_volumes(
    pod: dict[str, Any], container: dict[str, Any], configured: dict[str, str]
) -> None:
    where = dict(mounts(pod, container))
    assert where[str(Path(configured["SM_VM_SSH_KEY_PATH"]).parent)] == "secret"
    assert where["/etc/session-manager"] == "configMap"
    assert all(
        volume[kind]["optional"]
        for volume in pod["volumes"]
        for kind in ("secret", "configMap")
        if kind in volume
    )


# --- the network ---------------------------------------------------------------------------------------------


def test_only_mattermost_comes_in_and_only_to_the_port(by_kind: dict[str, dict[str, Any]]) -> None:
    policy = by_kind["NetworkPolicy"]["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"] == {"matchLabels": {"app": "mattermost"}}
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "mattermost"}
    assert rule["ports"] == [{"protocol": "TCP", "port": 8000}]


def test_what_goes_out_is_dns_mattermost_the_vm_and_the_firewall(
    by_kind: dict[str, dict[str, Any]], configured: dict[str, str]
) -> None:
    out = {}
    for rule in by_kind["NetworkPolicy"]["spec"]["egress"]:
        (peer,) = rule["to"]
        to = peer["ipBlock"]["cidr"] if "ipBlock" in peer else peer["podSelector"]["matchLabels"].popitem()[1]
        out[to] = [f"{port['protocol']} {port['port']}" for port in rule["ports"]]
    assert out == {
        "kube-dns": ["UDP 53", "TCP 53"],
        "mattermost": ["TCP 8065"],
        "192.168.10.20/32": ["TCP 443"],
        f"{configured['SM_VM_HOST']}/32": ["TCP 22"],
        "192.168.12.1/32": ["TCP 443", "UDP 53", "TCP 53"],
    }
