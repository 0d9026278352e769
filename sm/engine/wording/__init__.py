"""What we say: one function a message, the same voice everywhere, and always what to do next.

A changed wording is no change of the rules: commands hold the message's name and its facts, never these words.
"""

from __future__ import annotations

from collections.abc import Callable

from sm.engine.wording.cards import card
from sm.engine.wording.corrections import CORRECTIONS
from sm.engine.wording.network import NETWORK_MESSAGES
from sm.engine.wording.phrases import Facts, code, counted, fenced, line, undelivered
from sm.engine.wording.places import PLACE_MESSAGES, PREPARE_ADVICE

__all__ = ["MESSAGES", "SYSTEM_PROMPT", "card", "render"]


def render(message: str, facts: Facts, *, bot: str, link: str = "") -> str:
    """The words for a message; `link` begins the address of a post. KeyError for one without (a test renders each)."""
    return MESSAGES[message]({**facts, "bot": bot, "link": link}).rstrip()


def _starting(_: Facts) -> str:
    return "🚀 Starting session..."


def _ready(facts: Facts) -> str:
    return f"✅ Ready. Container: `claude-{facts['session']}`"


def _resumed(facts: Facts) -> str:
    return f"✅ Back, with the conversation so far. Container: `claude-{facts['session']}`"


def _resumed_without_memory(facts: Facts) -> str:
    return (
        f"✅ Back. Container: `claude-{facts['session']}`\n"
        "⚠️ The conversation so far could not be taken up: tell the agent again what matters."
    )


def _stopped(facts: Facts) -> str:
    return "✅ Stopped." + undelivered(facts)


def _already_stopping(_: Facts) -> str:
    return "⏳ Already stopping. I will say when it is done."


def _start_failed(facts: Facts) -> str:
    advice = PREPARE_ADVICE.get(facts["code"], "Mend what it says, then start again.")
    return f"❌ Could not start the container. {advice}" + undelivered(facts) + fenced(facts["detail"])


_TROUBLE = {
    "no_answer": "did not answer within 60 s",
    "ended": "ended",
    "pump_killed": "was cut off: its pump on the VM was killed",
    "runtime_away": "was cut off: the container runtime was away",
    "cut_off": "was cut off: the VM restarted, or its disk is full",
    "never_started": "never started",
}


def _trouble(facts: Facts) -> str:
    trouble = facts["trouble"]
    said = _TROUBLE.get(trouble, f"was cut off: {trouble.rstrip('.')}" if trouble else "was cut off")
    words = facts[
        "exit"
    ].split()  # the client's status, its output's, and the container's state, status, out of memory
    if not words:
        return said
    why = ", out of memory" if words[-1] == "true" else ""
    why += ", its output is over 256 MiB" if words[1:2] == ["153"] else ""
    why += ", its output cannot be written: is the VM's disk full?" if words[1:2] == ["1"] else ""
    return f"{said} (exit status {code(words[0])}{why})"


def _never_ready(facts: Facts) -> str:
    head = f"❌ The agent {_trouble(facts)}. Its last words are below; mend it, then start again."
    return head + undelivered(facts) + fenced(facts["err_tail"])


def _agent_ended(facts: Facts) -> str:
    cut = "\nIts turn was cut off: write `continue` to go on." if facts["turn_was_open"] else ""
    return f"⚠️ The agent {_trouble(facts)}. Starting it again..." + cut + fenced(facts["err_tail"])


def _gave_up(facts: Facts) -> str:
    head = (
        f"❌ The agent {_trouble(facts)}, and starting it again three times in ten minutes did not help. I stop trying; the "
        f"files are kept. "
        f"Go on with `@{facts['bot']} start {facts['repository']}`."
    )
    return head + undelivered(facts) + fenced(facts["err_tail"])


def _turn_cut_off(_: Facts) -> str:
    return "The agent had your last message; its turn was cut off: write `continue` to go on."


def _in_doubt(facts: Facts) -> str:
    quoted = line(facts["text"])
    return f"⚠️ This message may not have arrived; send it again if the agent doesn't answer it:\n> `{quoted}`"


def _no_session(facts: Facts) -> str:
    return f"No session in this channel. Start one with `@{facts['bot']} start org/repo`."


def _help(facts: Facts) -> str:
    bot = facts["bot"]
    return (
        f"`@{bot} start org/repo` starts a session on a GitHub repository; `org/repo@branch` on that branch, "
        "`--worktree` or `--worktree=NAME` in a folder of its own\n"
        f"`@{bot} stop` ends it, `@{bot} status` says what it is doing\n"
        f"`@{bot} approve HOST` opens a host until it is revoked; `for this session` or `for 1 hour` behind it ends that. "
        f"`@{bot} deny HOST` says no, with a reason if you write one behind it; `@{bot} revoke HOST` takes it back\n"
        f"`@{bot} pending` lists the requests that wait for a decision, `@{bot} net` what is open, for whom and until when\n"
        f"`@{bot} diff` shows the change so far, `@{bot} push` pushes its branch after you have seen what goes out, "
        f"`@{bot} fetch` brings new commits within its reach\n"
        "Every other message in the channel goes to the agent while a session runs; a further session talks in the "
        "thread of its start message. When the agent needs a host, a card asks; a button, a ✅ or ❌ on it, or a command decides."
    )


def _correction(facts: Facts) -> str:
    said = CORRECTIONS[facts["problem"]].format(word=facts["word"], suggestion=facts["suggestion"])
    return f"{said}\n(To say it to the agent, leave out the mention.)"


def _nothing_to_pass_on(facts: Facts) -> str:
    return f"@{facts['user']}: I can pass on text only, and this post has none. Nothing was delivered."


def _masked(facts: Facts) -> str:
    return (
        f"⚠️ @{facts['user']}: your message held what looks like a secret. It was replaced by `[masked]` before it "
        "was stored or passed on. Take the secret for known: change it."
    )


def _api_retry(facts: Facts) -> str:
    said = code(facts["detail"])
    return f"⏳ The Anthropic API does not answer ({said}); the agent keeps trying for some minutes."


def _turn_failed(facts: Facts) -> str:
    said = fenced(facts["detail"]) or " (its words are above)."
    return "⚠️ The agent's turn ended with an error" + (":" if facts["detail"] else "") + said


_STATES = {
    "claiming": "is being prepared",
    "preparing": "is being prepared",
    "starting": "is starting",
    "ready": "is ready and waits for you",
    "working": "is working",
    "recovering": "is being started again",
    "probing": "is being started again",
    "resuming": "is being started again",
    "stopping": "is stopping",
    "inspecting": "is stopping",
    "locating": "is being prepared",
    "waiting": "waits for the git host: decide on its card",
    "quarantined": "is quarantined: an operator must look at its journal",
}


def _status(facts: Facts) -> str:
    waiting = int(facts["waiting"])
    queued = f" {counted(waiting, 'message waits', 'messages wait')}." if waiting else ""
    did = _STATES.get(facts["state"], f"is over ({facts['state']})")
    on = f" on branch {code(facts['branch'])}" if facts["branch"] else ""
    where = f" It works in {code(facts['path'])}{on}." if facts["path"] else ""
    return (
        f"Session `{facts['session']}` on **{facts['repository']}**, started by @{facts['started_by']}, {did}."
        f"{where}{queued}"
    )


def _repository_quarantined(facts: Facts) -> str:
    return (
        f"❌ **{facts['repository']}** can't be used now: what the journal holds of it could not be taken in. "
        "Ask an operator to look at it with `sm-replay`."
    )


def _channel_quarantined(facts: Facts) -> str:
    return (
        f"❌ @{facts['user']}: nothing was done with your message. This channel is quarantined: "
        "ask an operator to look at its journal with `sm-replay`."
    )


def _host_key_trusted(facts: Facts) -> str:
    return (
        f"🔑 First contact with the VM `{facts['host']}`: from now on only its host key `{facts['fingerprint']}` is "
        "accepted. Compare it with the VM's own; `SM_VM_HOST_KEY` chooses another."
    )


def _vm_lost(facts: Facts) -> str:
    return f"⏳ The VM is unreachable, retrying... Nothing is lost meanwhile.\n{code(facts['reason'])}"


def _vm_found(_: Facts) -> str:
    return "✅ Back: the VM answers again."


def _quarantined(facts: Facts) -> str:
    return (
        f"❌ Session `{facts['session']}` is quarantined and does nothing more ({facts['reason']}). "
        "Its journal is kept: ask an operator to look at it with `sm-replay`."
    )


MESSAGES: dict[str, Callable[[Facts], str]] = {
    **PLACE_MESSAGES,
    **NETWORK_MESSAGES,
    "starting": _starting,
    "ready": _ready,
    "resumed": _resumed,
    "resumed_without_memory": _resumed_without_memory,
    "stopped": _stopped,
    "already_stopping": _already_stopping,
    "start_failed": _start_failed,
    "never_ready": _never_ready,
    "agent_ended": _agent_ended,
    "gave_up": _gave_up,
    "turn_cut_off": _turn_cut_off,
    "in_doubt": _in_doubt,
    "no_session": _no_session,
    "help": _help,
    "correction": _correction,
    "nothing_to_pass_on": _nothing_to_pass_on,
    "masked": _masked,
    "api_retry": _api_retry,
    "turn_failed": _turn_failed,
    "status": _status,
    "vm_lost": _vm_lost,
    "vm_found": _vm_found,
    "quarantined": _quarantined,
    "host_key_trusted": _host_key_trusted,
    "repository_quarantined": _repository_quarantined,
    "channel_quarantined": _channel_quarantined,
}


# --- the agent's system prompt ----------------------------------------------------------------------------------

SYSTEM_PROMPT = """\
You work in a container without access to the internet. Web search works. Every other host is blocked until a person \
allows it; that includes fetching a page and installing packages. A blocked connection times out.

When you need a host, write this alone on a line of your answer, with the host's full name in lower case, and then end \
your turn:
[NETWORK_REQUEST: example.com]
Several hosts go into one marker with commas between them, and a reason may stand behind a dash: \
[NETWORK_REQUEST: example.com, files.example.com — install pytest]
Ask only for what you need now, and do not retry before you are answered. The answer is a message for each host. \
[NETWORK_APPROVED: example.com]: try again. [NETWORK_APPROVED: example.com — not reachable yet, try again in a minute]: do \
that. [NETWORK_DENIED: example.com] or [NETWORK_DENIED: example.com — why]: go on without it, and do not ask again.\
"""
