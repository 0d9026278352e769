"""Lines about requests and grants as people write them, what each asks for, and the answer to each that is not right.

`python`, `npm`, `go` and `conda` are the sets of hosts that the table names: the shipped ones are known, too.
"""

from __future__ import annotations

from typing import Any

from .start_lines import Outcome, answer, command

SETS = {
    "python": ["pypi.org", "files.pythonhosted.org"],
    "npm": ["registry.npmjs.org"],
    "go": ["proxy.golang.org"],
}


def approve(*names: str, scope: str | None = None) -> Outcome:
    return _decision("approve", names, scope=scope)


def deny(*names: str, reason: str | None = None) -> Outcome:
    return _decision("deny", names, reason=reason)


def revoke(*names: str) -> Outcome:
    return _decision("revoke", names)


def _decision(
    name: str, names: tuple[str, ...], *, scope: str | None = None, reason: str | None = None
) -> dict[str, Any]:
    plain = command(name)
    assert isinstance(plain, dict)
    return {**plain, "names": list(names), "scope": scope, "reason": reason}


PYPI, FILES = "pypi.org", "files.pythonhosted.org"
NO_NAME = "Which one? Write the host's name behind the command. This lists them:"
NO_HOST = "`{}` is no host and no set of hosts that I know. This lists what I do:"
NO_SET = "`{}` is not quite the name of a set of hosts. Did you mean this?"
MORE = "I take hosts and sets of hosts, but I also read `{}`. Without that:"
SCOPE = "An approval holds until it is revoked, `for this session` or `for 1 hour`, but I read `{}`. Write one of them:"
MARK = "I read `{}`. Write it without the mark at its end:"
ALONE = "That command takes nothing more, but I read `{}`. Write it alone:"
TYPO = "I don't know `{}`. Did you mean this?"
PLAIN = "I read `{}`. Write it with nothing around it:"
TOO_MANY = "I take 20 hosts at a time. Write fewer:"
TEXT = command("text")

MANY = [f"h{number}.example.com" for number in range(21)]

LINES: list[tuple[str, Outcome]] = [
    # approve: until it is revoked, for this session, for an hour
    ("@claude approve pypi.org", approve(PYPI)),
    ("@claude approve pypi.org for this session", approve(PYPI, scope="session")),
    ("@claude approve pypi.org this session", approve(PYPI, scope="session")),
    ("@claude approve pypi.org for the session", approve(PYPI, scope="session")),
    ("@claude approve pypi.org session", approve(PYPI, scope="session")),
    ("@claude approve pypi.org only for this session", approve(PYPI, scope="session")),
    ("@claude approve pypi.org for this session.", approve(PYPI, scope="session")),
    ("@claude approve pypi.org For This Session", approve(PYPI, scope="session")),
    ("@claude approve pypi.org for 1 hour", approve(PYPI, scope="hour")),
    ("@claude approve pypi.org 1 hour", approve(PYPI, scope="hour")),
    ("@claude approve pypi.org hour", approve(PYPI, scope="hour")),
    ("@claude approve pypi.org for an hour", approve(PYPI, scope="hour")),
    ("@claude approve pypi.org for one hour", approve(PYPI, scope="hour")),
    ("@claude approve pypi.org 1h", approve(PYPI, scope="hour")),
    ("@claude approve pypi.org for 1h!", approve(PYPI, scope="hour")),
    # several names
    ("@claude approve pypi.org files.pythonhosted.org", approve(PYPI, FILES)),
    ("@claude approve pypi.org, files.pythonhosted.org", approve(PYPI, FILES)),
    ("@claude approve pypi.org,files.pythonhosted.org", approve(PYPI, FILES)),
    ("@claude approve pypi.org , files.pythonhosted.org", approve(PYPI, FILES)),
    ("@claude approve pypi.org; files.pythonhosted.org", approve(PYPI, FILES)),
    ("@claude approve pypi.org and files.pythonhosted.org", approve(PYPI, FILES)),
    ("@claude approve pypi.org, and files.pythonhosted.org for 1 hour", approve(PYPI, FILES, scope="hour")),
    ("@claude approve pypi.org\nfiles.pythonhosted.org", approve(PYPI, FILES)),
    ("@claude approve pypi.org pypi.org", approve(PYPI)),
    ("@claude approve " + " ".join(MANY[:20]), approve(*MANY[:20])),
    # sets
    ("@claude approve python", approve("python")),
    ("@claude approve Python", approve("python")),
    ("@claude approve python for this session", approve("python", scope="session")),
    ("@claude approve python, npm and crates.io", approve("python", "npm", "crates.io")),
    ("@claude approve `python`", approve("python")),
    # upper case, other commands' marks, the sentence's own
    ("@Claude Approve pypi.org", approve(PYPI)),
    ("@claude, approve: pypi.org", approve(PYPI)),
    ("approve pypi.org", approve(PYPI)),
    ("@claude approve PyPI.org", approve("PyPI.org")),
    ("@claude approve pypi.org.", approve("pypi.org.")),
    # what people, phones and Markdown put around a name
    ("@claude approve `pypi.org`", approve(PYPI)),
    ("@claude approve `pypi.org`, `files.pythonhosted.org`", approve(PYPI, FILES)),
    ("@claude approve `pypi.org, files.pythonhosted.org`", approve(PYPI, FILES)),
    ('@claude approve "pypi.org"', approve(PYPI)),
    ("@claude approve “pypi.org”", approve(PYPI)),
    ("@claude approve **pypi.org**", approve(PYPI)),
    ("@claude approve _pypi.org_", approve(PYPI)),
    ("@claude approve (pypi.org)", approve(PYPI)),
    ("@claude approve [pypi.org]", approve(PYPI)),
    ("@claude approve <pypi.org>", approve(PYPI)),
    ("@claude approve pypi.org\u200b", approve(PYPI)),
    ("@claude approve [pypi.org](http://pypi.org)", approve(PYPI)),
    ("@claude approve [pypi.org](https://pypi.org/)", approve(PYPI)),
    ("@claude approve [pypi.org](pypi.org)", approve(PYPI)),
    # kept as written: whether it can be opened is judged, and answered, elsewhere
    ("@claude approve [pypi.org](https://evil.example)", approve("[pypi.org](https://evil.example)")),
    ("@claude approve <https://pypi.org>", approve("https://pypi.org")),
    ("@claude approve https://pypi.org/simple/", approve("https://pypi.org/simple/")),
    ("@claude approve http://intranet", approve("http://intranet")),
    ("@claude approve *.example.com", approve("*.example.com")),
    ("@claude approve `*.example.com`", approve("*.example.com")),
    ("@claude approve !pypi.org", approve("!pypi.org")),
    ("@claude approve pypi.org:443", approve("pypi.org:443")),
    ("@claude approve 10.0.0.0/8", approve("10.0.0.0/8")),
    ("@claude approve 10.0.0.1-10.0.0.254", approve("10.0.0.1-10.0.0.254")),
    ("@claude approve 127.1", approve("127.1")),
    ("@claude approve ::1", approve("::1")),
    ("@claude approve [fd00::1]:443", approve("[fd00::1]:443")),
    ("@claude approve !fd00::/8", approve("!fd00::/8")),
    ("@claude approve co.uk", approve("co.uk")),
    ("@claude approve пример.example", approve("пример.example")),
    ("@claude approve pypi。org", approve("pypi。org")),
    ("@claude approve bob@example.com", approve("bob@example.com")),
    ("@claude approve $(id).example.com", approve("$(id).example.com")),
    # no name
    ("@claude approve", answer(NO_NAME, "pending")),
    ("@claude approve .", answer(NO_NAME, "pending")),
    ("@claude approve ``", answer(NO_NAME, "pending")),
    ("@claude approve for this session", answer(NO_NAME, "pending")),
    ("@claude approve 1h", answer(NO_NAME, "pending")),
    ("@claude deny", answer(NO_NAME, "pending")),
    ("@claude revoke", answer(NO_NAME, "net")),
    ("@claude approve all", answer(NO_HOST.format("all"), "pending")),
    ("@claude approve it", answer(NO_HOST.format("it"), "pending")),
    ("@claude approve pypi", answer(NO_HOST.format("pypi"), "pending")),
    ("@claude approve localhost", answer(NO_HOST.format("localhost"), "pending")),
    ("@claude approve 2130706433", answer(NO_HOST.format("2130706433"), "pending")),
    ("@claude approve 0x7f000001", answer(NO_HOST.format("0x7f000001"), "pending")),
    ("@claude approve the change in the router", answer(NO_HOST.format("the change in the router"), "pending")),
    ("@claude approve #42", answer(NO_HOST.format("#42"), "pending")),
    ("@claude approve --all", answer(NO_HOST.format("--all"), "pending")),
    ("@claude deny everything", answer(NO_HOST.format("everything"), "pending")),
    ("@claude deny all requests in the middleware", answer(NO_HOST.format("all requests in the middleware"), "pending")),
    ("@claude revoke the token...", answer(NO_HOST.format("the token..."), "net")),
    ("@claude approve pyton", answer(NO_SET.format("pyton"), "approve python")),
    ("@claude revoke `pythn`", answer(NO_SET.format("'pythn'"), "revoke python")),
    ("@claude deny pythom, use conda", answer(NO_SET.format("pythom,"), "deny python")),
    # more than names
    ("@claude approve pypi.org please", answer(MORE.format("please"), "approve pypi.org")),
    ("@claude approve the pypi.org request for 1 hour", answer(MORE.format("the request"), "approve pypi.org for 1 hour")),
    ("@claude approve pypi.org and", answer(MORE.format("and"), "approve pypi.org")),
    ("@claude approve pypi.org or npm", answer(MORE.format("or"), "approve pypi.org npm")),
    ("@claude approve pypi.org localhost", answer(MORE.format("localhost"), "approve pypi.org")),
    ("@claude approve package.json changes", answer(MORE.format("changes"), "approve package.json")),
    ("@claude approve the go routine", answer(NO_HOST.format("the go routine"), "pending")),
    ("@claude deny all go routines", answer(NO_HOST.format("all go routines"), "pending")),
    ("@claude deny pyton, it is slow", answer(NO_SET.format("pyton,"), "deny python")),
    ("@claude approve the npm and registry.npmjs.org", answer(MORE.format("the"), "approve npm registry.npmjs.org")),
    ("@claude approve go routines", answer(MORE.format("routines"), "approve go")),
    ("@claude approve pypi.org --session", answer(MORE.format("--session"), "approve pypi.org")),
    ("@claude approve `x` pypi.org\u202e", answer(MORE.format("x"), "pending")),  # a name that would turn the line around
    ("@claude approve x pypi.org`x", answer(MORE.format("x"), "pending")),
    ("@claude approve pypi.org!", answer(MARK.format("pypi.org!"), "approve pypi.org")),
    ("@claude approve pypi.org?", answer(MARK.format("pypi.org?"), "approve pypi.org")),
    ("@claude approve `pypi.org`?", answer(MARK.format("pypi.org'?"), "approve pypi.org")),
    ("@claude approve python.", answer(MARK.format("python."), "approve python")),
    ("@claude approve pypi.org for 2 hours", answer(SCOPE.format("for 2 hours"), "approve pypi.org for 1 hour")),
    ("@claude approve pypi.org 24h", answer(SCOPE.format("24h"), "approve pypi.org for 1 hour")),
    ("@claude approve pypi.org 30 minutes", answer(SCOPE.format("30 minutes"), "approve pypi.org for 1 hour")),
    ("@claude approve pypi.org until tomorrow", answer(SCOPE.format("until tomorrow"), "approve pypi.org for 1 hour")),
    ("@claude approve pypi.org forever", answer(SCOPE.format("forever"), "approve pypi.org for 1 hour")),
    ("@claude approve pypi.org for all sessions", answer(SCOPE.format("for all sessions"), "approve pypi.org for this session")),
    ("@claude approve pypi.org for pip install", answer(SCOPE.format("for pip install"), "approve pypi.org for 1 hour")),
    ("@claude approve " + " ".join(MANY), answer(TOO_MANY, "approve " + " ".join(MANY[:15]))),
    ("@claude deny " + ", ".join(MANY), answer(TOO_MANY, "deny " + ", ".join(MANY[:15]))),
    # deny, with a reason or without one
    ("@claude deny pypi.org", deny(PYPI)),
    ("@claude deny python", deny("python")),
    ("@claude deny pypi.org use our mirror", deny(PYPI, reason="use our mirror")),
    ("@claude deny `pypi.org` use our mirror", deny(PYPI, reason="use our mirror")),
    ("@claude deny pypi.org, we have a mirror", deny(PYPI, reason="we have a mirror")),
    ("@claude deny pypi.org: we have a mirror", deny(PYPI, reason="we have a mirror")),
    ("@claude deny pypi.org — we have a mirror", deny(PYPI, reason="we have a mirror")),
    ("@claude deny pypi.org - we have a mirror", deny(PYPI, reason="we have a mirror")),
    ("@claude deny pypi.org—no", deny(PYPI, reason="no")),
    ("@claude deny pypi.org,no", deny(PYPI, reason="no")),
    ("@claude deny pypi.org use mirror.example.com instead", deny(PYPI, reason="use mirror.example.com instead")),
    ("@claude deny pypi.org — mirror.example.com", deny(PYPI, reason="mirror.example.com")),
    ("@claude deny pypi.org\n\nbecause of\nthe audit", deny(PYPI, reason="because of the audit")),
    ("@claude deny pypi.org, files.pythonhosted.org use our mirror", deny(PYPI, FILES, reason="use our mirror")),
    ("@claude deny pypi.org , files.pythonhosted.org use our mirror", deny(PYPI, FILES, reason="use our mirror")),
    ("@claude deny pypi.org and files.pythonhosted.org use our mirror", deny(PYPI, FILES, reason="use our mirror")),
    ("@claude deny pypi.org and files.pythonhosted.org", deny(PYPI, FILES)),
    ("@claude deny pypi.org files.pythonhosted.org", deny(PYPI, FILES)),
    ("@claude deny pypi.org,files.pythonhosted.org,npm", deny(PYPI, FILES, "npm")),
    ("@claude deny pypi.org and stop asking", deny(PYPI, reason="and stop asking")),
    ("@claude deny pypi.org for this session", deny(PYPI, reason="for this session")),
    ("@claude deny pypi.org use `pip download`", deny(PYPI, reason="use 'pip download'")),
    ("@claude deny pypi.org " + "x" * 300, deny(PYPI, reason="x" * 199 + "…")),
    ("@claude deny the pypi.org request", answer(MORE.format("the"), "deny pypi.org — request")),
    ("@claude deny pypi.org!", answer(MARK.format("pypi.org!"), "deny pypi.org")),
    # revoke
    ("@claude revoke pypi.org", revoke(PYPI)),
    ("@claude revoke pypi.org, files.pythonhosted.org", revoke(PYPI, FILES)),
    ("@claude revoke python", revoke("python")),
    ("@claude revoke pypi.org for this session", answer(MORE.format("for this session"), "revoke pypi.org")),
    ("@claude revoke pypi.org now", answer(MORE.format("now"), "revoke pypi.org")),
    # what stands alone
    ("@claude pending", command("pending")),
    ("@claude Pending.", command("pending")),
    ("@claude net", command("net")),
    ("@claude NET", command("net")),
    ("@claude net income is up", answer(ALONE.format("income is up"), "net")),
    ("@claude pending tasks", answer(ALONE.format("tasks"), "pending")),
    ("@claude pending pypi.org", answer(ALONE.format("pypi.org"), "pending")),
    # slips, and words of a sentence that are one letter away from a command
    ("@claude aprove pypi.org", answer(TYPO.format("aprove"), "approve pypi.org")),
    ("@claude approve? pypi.org", answer(TYPO.format("approve?"), "approve pypi.org")),
    ("@claude approved pypi.org", answer(TYPO.format("approved"), "approve pypi.org")),
    ("@claude approved", answer(TYPO.format("approved"), "pending")),
    ("@claude dney pypi.org no", answer(TYPO.format("dney"), "deny pypi.org — no")),
    ("@claude revok python", answer(TYPO.format("revok"), "revoke python")),
    ("@claude pendin", answer(TYPO.format("pendin"), "pending")),
    ("@claude pending?", answer(TYPO.format("pending?"), "pending")),
    ("@claude approve2", answer(TYPO.format("approve2"), "pending")),
    ("@claude approved, go ahead", TEXT),
    ("@claude sending mail to bob@example.com fails", TEXT),
    ("@claude ending the loop early is wrong", TEXT),
    ("@claude revoked tokens are still accepted", TEXT),
    ("@claude dent the curve", TEXT),
    ("@claude next, add tests", TEXT),
    ("@claude nets", TEXT),
    ("@claude newt", TEXT),
    ("@claude denied", TEXT),
    ("@claude please approve pypi.org", TEXT),
    ("@claude `approve pypi.org`", answer(PLAIN.format("'approve pypi.org'"), "approve pypi.org")),
    ("@claude “deny pypi.org use our mirror”", answer(PLAIN.format("“deny pypi.org use our mirror”"), "deny pypi.org — use our mirror")),
    ("@claude `approve` is the word", TEXT),
    ("> @claude approve pypi.org", TEXT),
    ("`@claude approve pypi.org`", TEXT),
]  # fmt: skip
