"""A small container runtime for these tests: real processes, no isolation, state in files.

A mount's source stands in for its destination in whole arguments and as the working directory. Files in the state
folder make it fail: `away` (every query fails), `no-stop`. Answers as podman does, `docker` when called by that name.
The containers that try the network run nothing: all is closed to them but what the file `reached` names. `network.json`
is what `network inspect` says, `no-probe` and `no-rules` what such a container and nft say when they fail; with `no-tables`
the rules are gone when they are looked for. `https` is what it says of a host's port 443 (`-`: nothing), `asked` what it was
asked, and whether rules were loaded before; with `holds-on` it does not end with its input.
"""

import contextlib
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

STATE = Path(os.environ["FAKE_STATE"])
SWITCHES = {"-i", "--init", "--rm", "--read-only"}


def fail(code, text):
    sys.stderr.write(text + "\n")
    sys.exit(code)


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def records():
    for file in (*(STATE / "c").glob("*.json"), *(STATE / "short").glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            yield json.loads(file.read_text())


def place(record):
    """Those of short containers lie apart."""
    return STATE / ("short" if "sm.probe" in record["labels"] else "c") / f"{record['id']}.json"


def save(record):
    file = place(record)
    part = file.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(record))
    part.rename(file)


def load(key):
    if (STATE / "away").exists():
        fail(125, "Error: unable to connect to Podman: dial unix: connect: no such file or directory")
    for record in records():
        if record["id"] == key or record["name"] == key or (len(key) > 11 and record["id"].startswith(key)):
            if record["status"] == "running" and not alive(record["pid"]):
                record.update(status="exited", exit=137)
            return record
    return fail(125, f'Error: no such object: "{key}"')


def probe(words):
    """Speak as the script in the container does, of a network that is not there."""
    if (STATE / "no-probe").exists():
        fail(127, (STATE / "no-probe").read_text())
    options = dict(itertools.pairwise(words))
    os.setpgid(0, 0)
    record = {
        "id": uuid.uuid4().hex * 2,
        "name": uuid.uuid4().hex[:12],
        "status": "running",
        "exit": 0,
        "pid": os.getpid(),
    }
    labels = [value.split("=") for option, value in itertools.pairwise(words) if option == "--label"]
    record["labels"] = dict(labels)
    save(record)
    Path(options["--cidfile"]).write_text(record["id"])
    answer_probe()
    while (STATE / "holds-on").exists():
        time.sleep(0.02)
    place(record).unlink()


def answer_probe():
    print(f"at 10.89.0.{os.getpid() % 250 + 2}\nhere", flush=True)
    file = STATE / "reached"
    reached = file.read_text().split() if file.exists() else []
    for line in iter(sys.stdin.readline, ""):
        match line.split(maxsplit=4):
            case ["go"]:
                print("tried", flush=True)
            case ["settle"]:
                print("settled", flush=True)
            case ["https", name, seconds, *_]:
                asked = {"name": name, "seconds": int(seconds), "ruled": (STATE / "rules").exists()}
                (STATE / "asked").open("a").write(json.dumps(asked) + "\n")
                file = STATE / "https"
                answer = file.read_text() if file.exists() else "reached 0"
                if answer != "-":
                    print("https", answer, flush=True)
            case [_kind, _address, _port, what, text]:
                print("open" if what in reached else "shut", what, text, flush=True)


def network(name):
    if name not in (STATE / "networks").read_text().split():
        fail(125, f"Error: network {name}: unable to find network with name or ID {name}: network not found")
    if (STATE / "network.json").exists():
        print((STATE / "network.json").read_text(), flush=True)
        return
    subnet = {"subnet": "10.89.0.0/24", "gateway": "10.89.0.1"}
    print(
        json.dumps(
            [{"name": name, "driver": "bridge", "network_interface": "podman1", "subnets": [subnet]}],
            indent=1,
        )
    )


def run(words):
    if any(word.startswith("sm.probe=") for word in words):
        (STATE / "probes.jsonl").open("a").write(json.dumps(words) + "\n")
        return probe(words)
    (STATE / "runs.jsonl").open("a").write(json.dumps(words) + "\n")
    options, env, mounts, cwd, labels = {}, {}, {}, None, {}
    while words and words[0].startswith("-"):
        word = words.pop(0)
        name, has, value = word.partition("=")
        if name not in SWITCHES and not has:
            value = words.pop(0)
        if name == "-e":
            key, has, text = value.partition("=")
            env[key] = text if has else os.environ.get(key, "")
        elif name == "-v":
            source, target, *_ = value.split(":")
            if not Path(source).exists():
                fail(125, f"Error: statfs {source}: no such file or directory")
            mounts[target] = source
        elif name == "--label":
            labels[value.partition("=")[0]] = value.partition("=")[2]
        elif name == "-w":
            cwd = value
        else:
            options[name] = value
    image, *command = words
    if image not in (STATE / "images").read_text().split():
        fail(125, f"Error: {image}: image not known")
    if os.environ.get("FAKE_RUN_FAILS") or (STATE / "run-fails").exists():
        fail(126, "Error: OCI runtime error")
    name = options.get("--name", uuid.uuid4().hex[:12])
    cidfile = options.get("--cidfile")
    if cidfile and Path(cidfile).exists():
        fail(125, f"Error: container id file exists: {cidfile}")
    if any(r["name"] == name for r in records()):
        fail(125, f'Error: the container name "{name}" is already in use')
    record = {
        "id": uuid.uuid4().hex * 2,
        "name": name,
        "labels": labels,
        "status": "created",
        "exit": 0,
        "pid": 0,
    }
    save(record)
    if cidfile:
        Path(cidfile).write_text(record["id"])
    while (STATE / "hold-run").exists():
        time.sleep(0.02)
    process = subprocess.Popen(
        [mounts.get(word, word) for word in command],
        cwd=mounts.get(cwd, cwd),
        env={"PATH": os.environ["PATH"], **env, "HOME": mounts.get(env.get("HOME"), env.get("HOME", "/tmp")),
             "GIT_CONFIG_NOSYSTEM": "1"},
        start_new_session=True,
    )  # fmt: skip
    record.update(status="running", pid=process.pid)
    save(record)
    for fd in (0, 1):  # the client keeps no end of the agent's pipes
        os.close(fd)
    code = process.wait()
    code = code if code >= 0 else 128 - code
    if "--rm" in sys.argv:
        (STATE / "c" / f"{record['id']}.json").unlink()
    elif (STATE / "c" / f"{record['id']}.json").exists():
        record.update(status="exited", exit=code)
        save(record)
    os._exit(code)


def stop(seconds, key):
    record = load(key)
    if (STATE / "no-stop").exists():
        fail(125, "Error: timed out")
    if record["status"] != "running":
        return
    deadline = time.monotonic() + float(seconds)
    os.killpg(record["pid"], signal.SIGTERM)
    while alive(record["pid"]) and time.monotonic() < deadline:
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(record["pid"], signal.SIGKILL)
    while alive(record["pid"]):
        time.sleep(0.01)
    deadline = time.monotonic() + 1  # the client records the exit, when there is one
    while load(key)["status"] == "running" and time.monotonic() < deadline:
        time.sleep(0.01)
    record = load(key)
    save(record)


def main(words):
    for name in ("c", "short"):
        (STATE / name).mkdir(parents=True, exist_ok=True)
    match words:
        case ["run", *rest]:
            run(rest)
        case ["ps", "-aq", "--no-trunc", "--filter", label]:
            print("\n".join(r["id"] for r in records() if label.removeprefix("label=") in r["labels"]))
        case ["inspect", "-f", form, key]:
            record = load(key)
            if "State" in form:
                print(record["status"], record["exit"], "false")
            elif form == "{{.Id}}":
                print(record["id"])
            else:
                print(record["labels"].get(form.split('"')[1], ""))
        case ["stop", "-t", seconds, key]:
            stop(seconds, key)
        case ["rm", *flags, key]:
            record = load(key)
            if record["status"] == "running" and "-f" not in flags:
                fail(2, "Error: cannot remove a running container")
            if record["status"] == "running":
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(record["pid"], signal.SIGKILL)
            place(record).unlink()
        case ["image", "exists" | "inspect", name]:
            sys.exit(0 if name in (STATE / "images").read_text().split() else 1)
        case ["network", "inspect", name]:
            network(name)
        case ["unshare", "--rootless-netns", *command]:
            (STATE / "rules").open("a").write("\n".join(command) + "\0")
            loads = "-f -" in command[2]
            if loads and (STATE / "no-rules").exists():
                fail(1, (STATE / "no-rules").read_text())
            if not loads and (STATE / "no-tables").exists():
                fail(1, "Error: No such file or directory")
        case ["network", "exists", name]:
            sys.exit(0 if name in (STATE / "networks").read_text().split() else 1)
        case ["info"]:
            print("ok")
        case _:
            fail(125, f"Error: unrecognized command {words}")


with (STATE / "lock").open("a") as lock:
    if sys.argv[1] in {"inspect", "rm"}:
        fcntl.flock(lock, fcntl.LOCK_EX)
    main(sys.argv[1:])
