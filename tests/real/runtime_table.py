"""The command lines that our scripts give to podman and docker, and what else of them the sandbox's stand-in plays.

Each case is a few lines, run one after the other by a real runtime and by the stand-in. In a line stand for themselves:
@W a folder of the case, @N a name that only this case uses, @USER the options for the VM user's own ids, @CID what the
runtime wrote to @W/cid, @OTHER a container's id that nobody has. A line that begins with `!` is a command on the VM.
"""

from __future__ import annotations

from attrs import field, frozen

IMAGE = "claude-code:latest"
RUN = "run --network none @USER --cap-drop=all --security-opt=no-new-privileges --pull=never"
BOX = f"run --rm {RUN.removeprefix('run ')} --memory 4g --pids-limit 512 -e HOME=/tmp -e GIT_OPTIONAL_LOCKS=0"
AGENT = (
    "run -i --cidfile @W/cid --sig-proxy=false --init --name @N --label sm.session=s-1 --label sm.generation=3 "
    f"--log-driver none {RUN.removeprefix('run ')} --memory 4g --pids-limit 512 "
    "--tmpfs /tmp:rw,exec,nosuid,nodev,size=1g,mode=1777 -e ANTHROPIC_API_KEY -e HOME=/home/agent "
    "-v @W/home:/home/agent -v @W/workspace:/workspace -w /workspace"
)
STATE = "inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}'"
BOTH = ("podman", "docker")


@frozen
class Step:
    """One line. `behind` lets it go on while the next ones run: it is waited for at the case's end."""

    line: str
    stdin: str = ""
    env: dict[str, str] = field(factory=dict[str, str])
    behind: bool = False


@frozen
class Case:
    """What the lines show, and the lines. `differs` says why the stand-in cannot answer as the real ones do."""

    name: str
    steps: tuple[Step, ...]
    runtimes: tuple[str, ...] = BOTH
    differs: str = ""


def case(name: str, *lines: str | Step, runtimes: tuple[str, ...] = BOTH, differs: str = "") -> Case:
    steps = tuple(line if isinstance(line, Step) else Step(line) for line in lines)
    return Case(name, steps, runtimes, differs)


def behind(line: str, stdin: str = "") -> Step:
    return Step(line, stdin, behind=True)


def refused(name: str, *options: str, runtimes: tuple[str, ...] = BOTH) -> Case:
    """One line an option that is refused before anything runs."""
    return case(
        name,
        *(f"run --rm --network none --pull=never {option} {IMAGE} true" for option in options),
        runtimes=runtimes,
    )


_WITHIN = """
echo ids $(id -u) $(id -g) $(id -G) process $$
echo home $HOME at $(pwd)
grep -E "^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs)" /proc/self/status
python3 -c "import os; os.setuid(0)" 2>/dev/null || echo stays
[ $(ls -d /proc/[0-9]* | wc -l) -lt 6 ] && echo alone
ulimit -Sn; ulimit -Hn
env | grep -E "^(KEY|ABSENT|GIVEN|EMPTY|LEAK|TWICE)" | sort
cut -d: -f1 -s /proc/net/dev; wc -l </proc/net/route; getent hosts pypi.org || echo no names
for place in / /etc /usr /home /workspace /tmp /var/tmp /run /root /dev/shm; do touch $place/x 2>/dev/null && echo $place; done
stat -c "%a %n" /tmp /var/tmp
"""
_PLACES = "for place in / /etc /usr /home /workspace /tmp /var/tmp /run /root /dev/shm; do touch $place/x 2>/dev/null && echo $place; done"

CASES = (
    # --- a container that is waited for: what the box of git steps is -----------------------------------------
    case("the command's output and status are the client's", f"{BOX} {IMAGE} sh -c 'echo out; echo err >&2; exit 7'"),
    case("standard input passes with -i and its end is an end", Step(f"{BOX} -i {IMAGE} sh -c 'cat; printf x; exit 3'", "härter ✅\r\n\0a"), Step(f"{BOX} {IMAGE} cat", "lost\n")),
    case("a megabyte passes both ways", Step(f"{BOX} -i {IMAGE} sh -c 'tee /dev/stderr | wc -c'", "0123456789abcde\n" * 65536)),
    case("what is not there is 127", f"{BOX} {IMAGE} no-such-program", f"{BOX} {IMAGE} /no/such/program"),
    case("what is no program is 126", f"{BOX} {IMAGE} /etc/passwd", f"{BOX} {IMAGE} /etc"),
    case("no command", f"{BOX} {IMAGE}"),
    case("a first process gets no signal that it does not hear", f"{BOX} {IMAGE} sh -c 'kill -TERM $$; kill -KILL $$; echo lives; exit 5'"),
    case("a command under init ends by a signal", f"{BOX} --init {IMAGE} sh -c 'kill -TERM $$; sleep 9'", f"{BOX} --init {IMAGE} sh -c 'kill -KILL $$; sleep 9'"),
    case("--rm leaves nothing, after a failed start neither", f"run --rm --name @N {RUN.removeprefix('run ')} {IMAGE} true", f"{STATE} @N", f"run --rm --name @N {RUN.removeprefix('run ')} {IMAGE} no-such-program", f"{STATE} @N"),
    case("a failed start stays as created", f"{RUN} --name @N {IMAGE} no-such-program", f"{STATE} @N", "rm -f @N"),
    case("who and what the container is", Step(f"{BOX} --ulimit nofile=64:64 -e KEY -e ABSENT -e GIVEN=x=y -e EMPTY= -e TWICE=1 -e TWICE=2 {IMAGE} sh -c '{_WITHIN}'", env={"KEY": "secret", "LEAK": "no"})),
    case("HOME that nobody said", f"run --rm {RUN.removeprefix('run ')} {IMAGE} sh -c 'echo $HOME'"),
    case("a working directory", f"{BOX} -w /usr/lib {IMAGE} pwd", f"{BOX} -w /not/there {IMAGE} pwd"),
    case("IPv6 can be switched off", f"{BOX} --sysctl net.ipv6.conf.all.disable_ipv6=1 {IMAGE} sh -c 'cat /proc/sys/net/ipv6/conf/all/disable_ipv6; wc -l </proc/net/if_inet6'"),
    case("network none reaches nothing", f"{BOX} {IMAGE} python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 443), 3)'"),
    # --- what it sees ----------------------------------------------------------------------------------------
    case("mounts: the user's ids, read-only, one within another", "!mkdir -p @W/w/in @W/home", "!touch @W/beside @W/w/in/kept", f"{BOX} -v @W/w:/workspace -v @W/home:/home/agent -v @W/w/in:/home/agent/in -v @W/w/in:@W/w/in:ro {IMAGE} sh -c 'umask 022; echo new >made; mkdir d; stat -c %u:%g:%a made d; ls /home/agent/in; cd $1; touch no; rm -f kept; mv kept moved; chmod 777 .; ls . ..; ls ../..' sh @W/w/in", "!stat -c %u:%g:%a @W/w/made @W/w/d", "!ls -R @W/home"),
    case("symbolic links: a source's is followed, one inside leads nowhere on the host", "!mkdir @W/real", "!touch @W/real/f @W/secret", "!ln -s real @W/link", "!ln -s ../secret @W/real/out", f"{BOX} -v @W/link:/x {IMAGE} sh -c 'ls /x; cat /x/out'"),
    case("mounts that are refused", f"{BOX} -v @W:x {IMAGE} true", f"{BOX} -v @W:/x:nonsense {IMAGE} true"),
    case("a source that is not there", f"{BOX} -v @W/none:/x {IMAGE} ls /x", runtimes=("podman",)),
    case("a relative source", f"{BOX} -v ./none:/x {IMAGE} ls /x", runtimes=("docker",)),
    case("read-only: nothing but temporary places", "!mkdir @W/w", f"{BOX} --read-only {IMAGE} sh -c '{_PLACES}; exit 3'", f"{BOX} --read-only -v @W/w:/workspace:ro {IMAGE} sh -c '{_PLACES}; exit 3'"),
    case("the agent's tmpfs and its end", f"{BOX} --tmpfs /tmp:rw,exec,nosuid,nodev,size=1m,mode=1777 {IMAGE} sh -c 'cp /bin/true /tmp/t && /tmp/t && echo ran; stat -c %a /tmp; head -c 3000000 /dev/zero >/tmp/big; stat -c %s /tmp/big'"),
    case("a tmpfs without options", f"{BOX} --tmpfs /t {IMAGE} sh -c 'cp /bin/true /t/true; /t/true; echo $?; stat -c %a /t'"),
    # --- refusals before anything happens --------------------------------------------------------------------
    case("an image that is not there", f"{BOX} --cidfile @W/cid nothere:1 true", "!cat @W/cid"),
    case("a network that is not there", f"run --rm @USER --name @N --cidfile @W/cid --pull=never --network gone {IMAGE} true", f"{STATE} @N"),
    case("no such flag, no value, no image", f"run --nonsense {IMAGE} true", f"run -Q {IMAGE} true", "run --name", "run --rm"),
    refused("values that nothing takes", "--name 'a b'", "--memory lots", "--pids-limit lots", "--ulimit nonsense=1", "--cap-drop=nonsense", "--security-opt=nonsense", "--tmpfs /t:nonsense", "--userns=nonsense"),
    refused("settings of the kernel that are not the container's", "--sysctl kernel.panic=1", "--sysctl nonsense"),
    refused("a pull policy and an empty variable", "--pull=perhaps", "-e ''"),
    refused("docker knows no keep-id", "--userns=keep-id", runtimes=("docker",)),
    case("an id file: whole, with nothing after the id", f"{RUN} --cidfile @W/cid --name @N {IMAGE} true", "!wc -c @W/cid", "inspect -f '{{.Id}}' @N", "!cat @W/cid", "!sh -c 'head -c 12 @W/cid >@W/short'", "inspect -f '{{.Id}}' @SHORT", "inspect -f '{{.Id}}' @Nx", "rm @CID"),
    case("an id file that is there, one without a folder", "!touch @W/cid", f"{BOX} --cidfile @W/cid {IMAGE} true", f"{BOX} --cidfile @W/no/cid {IMAGE} true"),
    case("id files after the end", f"{BOX} --cidfile @W/cid {IMAGE} true", "!wc -c @W/cid", "!rm -f @W/cid", f"{BOX} --cidfile @W/cid {IMAGE} no-such-program", "!wc -c @W/cid"),
    case("a name in use: no second container, no id file", f"{RUN} --name @N {IMAGE} true", f"{RUN} --cidfile @W/cid --name @N {IMAGE} true", "!cat @W/cid", f"{STATE} @N", "rm @N"),
    # --- the agent's container, from its start to its removal ------------------------------------------------
    case("the agent's life", "!mkdir @W/home @W/workspace", behind(f"{AGENT} {IMAGE} sh -c 'echo $HOME $ANTHROPIC_API_KEY; pwd; exec sleep 99'"), "inspect -f '{{index .Config.Labels \"sm.session\"}} {{index .Config.Labels \"sm.generation\"}}' @CID", "inspect -f '{{index .Config.Labels \"sm.none\"}}' @CID", f"{STATE} @N", "rm @CID", f"{RUN} --name @N {IMAGE} true", f"{STATE} @CID", "stop -t 5 @CID", f"{STATE} @CID", "stop -t 5 @CID", "rm -f @CID", f"{STATE} @CID", "rm -f @CID"),
    case("the agent ends with its input", "!mkdir @W/home @W/workspace", Step(f"{AGENT} {IMAGE} cat", "one line\n", {"ANTHROPIC_API_KEY": "k"}), f"{STATE} @N", "kill @N", "rm -f @N"),
    case("stop lets a handler finish", behind(f"{RUN} --name @N --cidfile @W/cid {IMAGE} sh -c 'trap \"echo bye; exit 4\" TERM; while :; do sleep .1; done'"), "stop -t 5 @CID", f"{STATE} @CID", "rm @CID"),
    case("stop kills what does not listen", behind(f"{RUN} --name @N --cidfile @W/cid {IMAGE} sleep 99"), "stop -t 1 @CID", f"{STATE} @CID", "rm @CID"),
    case("stop takes with it what the command left in the background", "!mkdir @W/w", behind(f"{RUN} --init --name @N --cidfile @W/cid -v @W/w:/w {IMAGE} sh -c 'setsid sh -c \"while :; do date +%N >/w/beat; sleep .05; done\" & exec sleep 99'"), "stop -t 5 @CID", "!sh -c 'a=$(cat @W/w/beat); sleep .3; [ \"$a\" = \"$(cat @W/w/beat)\" ] && echo still'", "rm @CID"),
    case("kill and signals", behind(f"{RUN} --init --name @N --cidfile @W/cid {IMAGE} sh -c 'trap \"echo heard\" USR1; while :; do sleep .1; done'"), "kill -s USR1 @CID", "!sleep .3", "kill @N", f"{STATE} @CID", "rm @CID"),
    case("rm -f ends what runs", behind(f"{RUN} --init --name @N --cidfile @W/cid {IMAGE} sleep 99"), "rm -f @CID", f"{STATE} @CID"),
    case("the command's end ends what it left", f"{RUN} --rm {IMAGE} sh -c 'setsid sleep 98 & exit 6'"),
    # --- questions -------------------------------------------------------------------------------------------
    case("nothing of that name", "inspect -f '{{.Id}}' @N", f"{STATE} @OTHER", "inspect --type container -f '{{.Id}}' @N", "stop -t 5 @OTHER", "kill @N", "rm @N", "rm -f @N", "rm -f @OTHER"),
    case("no name at all", "stop -t 5", "rm -f"),
    case("what is no flag, no number, no command", "stop --nonsense @N", "stop -t soon @N", "frobnicate"),
    case("a template that cannot be filled", f"{RUN} --name @N {IMAGE} true", "inspect -f '{{.Nope}}' @N", "inspect -f '{{.State' @N", "rm @N"),
    case("podman's images and networks", f"image exists {IMAGE}", "image exists nothere:1", "network exists isolated", "network exists gone", "container exists @N", "system migrate", runtimes=("podman",)),
    case("images and networks", f"image inspect -f '{{{{.Config.WorkingDir}}}}' {IMAGE}", f"image inspect -f '{{{{.Config.WorkingDir}}}}' {IMAGE.partition(':')[0]}", "image inspect -f '{{.Id}}' nothere:1", "network inspect -f '{{.Name}} {{.Driver}}' isolated", "network inspect -f '{{.Name}}' gone", "info -f x"),
    case("listing by label and name", f"{RUN} --name @N --cidfile @W/cid --label sm.session=@N {IMAGE} true", "ps -a --no-trunc --filter label=sm.session=@N --format '{{.ID}} {{.Names}}'", "ps -a -q --no-trunc --filter label=sm.session=@N", "ps -q --filter label=sm.session=@N", "ps -a --filter label=sm.session=no@N --format '{{.ID}}'", "ps -aq --filter name=@N", "rm @N"),
    # --- what a stand-in without control groups cannot do ----------------------------------------------------
    case("the containers' own network namespace", "unshare --rootless-netns sh -c 'cat; exit 7'", "unshare --rootless-netns no-such-program", runtimes=("podman",), differs="the stand-in's containers have none, and it says so"),
    case("the process limit holds", f"run --rm --network none @USER --pids-limit 20 --pull=never {IMAGE} sh -c 'for i in $(seq 40); do sleep 1 & done 2>/dev/null; echo end'", runtimes=("docker",), differs="no limit without control groups"),
    case("the memory limit kills, and inspect says so", f"run --name @N --network none @USER --memory 32m --memory-swap 32m --pull=never {IMAGE} python3 -c 'bytearray(400 << 20)'", f"{STATE} @N", "rm -f @N", runtimes=("docker",), differs="no limit without control groups"),
)  # fmt: skip
