"""The state machines, as data: every row of every machine stands in this file.

Theory of operation. A stream is an unregistered model with a `state`; the fold triggers the shared machine with
the event's stable name. A row names the trigger, the states that it leaves, the state that it enters (`None`:
stays), what must hold (`when`), and what is done (`do`, methods of the model, in order). Rows of the same trigger
and state are tried from above; a pair without a row is ignored and changes nothing.

Some triggers are no events of the journal but what an event turned out to mean: `initialized`, `turn_opened`,
`turn_closed`, `line_delivered` (a message for the agent is on its way), `line_acknowledged` (the agent has it, or
another waits that it may have at once), `generation_over` (its container is stopped by us *and* its output is
read to the end). A step fires them itself, within the same fold.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen
from transitions import Machine


@frozen
class Row:
    """One row: `do` and `when` name methods of the model."""

    trigger: str
    source: tuple[str, ...]
    dest: str | None
    do: tuple[str, ...] = ()
    when: tuple[str, ...] = ()


def _row(trigger: str, source: str, dest: str | None, do: str = "", when: str = "") -> Row:
    return Row(trigger, tuple(source.split()), dest, tuple(do.split()), tuple(when.split()))


SESSION_STATES = [
    "new",
    "claiming",
    "preparing",
    "starting",
    "ready",
    "working",
    "recovering",
    "probing",
    "resuming",
    "stopping",
    "stopped",
    "failed",
    "refused",
    "quarantined",
]
SESSION_ENDED = ("stopped", "failed", "refused", "quarantined")

_BEFORE_READY = "claiming preparing starting recovering probing resuming"
_AGENT_EXPECTED = "starting ready working resuming"
_LIVE = "starting ready working resuming recovering stopping"
_ALL = " ".join(SESSION_STATES)
_UNFINISHED = " ".join(state for state in SESSION_STATES if state not in SESSION_ENDED)

SESSION: tuple[Row, ...] = (
    # how it comes to be
    _row("session.requested", "new", "claiming", "claim_repository"),
    _row("repository.granted", "claiming", "preparing", "prepare_repository"),
    _row("repository.refused", "claiming", "refused", "say_in_use leave_channel"),
    _row("repository.prepared", "preparing", "starting", "start_first_generation"),
    _row("repository.prepare_failed", "preparing", "failed", "say_prepare_failed leave_all"),
    _row("repository.prepared", "stopping", "stopped", "say_stopped leave_all"),
    _row("repository.prepare_failed", "stopping", "stopped", "say_stopped leave_all"),
    # a generation: one start of a container
    _row("agent.started", _LIVE, None, "note_started", "is_current"),
    _row("agent.start_failed", "starting resuming", "failed", "say_start_failed leave_all", "is_current"),
    _row("agent.start_failed", "stopping recovering", None, "note_never_started", "is_current"),
    _row("initialized", "starting", "ready", "say_ready deliver_next"),
    _row("initialized", "resuming", "ready", "say_resumed deliver_next"),
    _row("timer.fired", "starting resuming", "recovering", "give_up_waiting", "timer_is_ready"),
    # what the agent says
    _row("agent.line_received", _LIVE, None, "take_line", "is_current is_new_output"),
    # what people and the firewall say to the agent
    _row("chat.message_assigned", "ready working", None, "queue_message deliver_next"),
    _row("chat.message_assigned", _BEFORE_READY + " stopping", None, "queue_message"),
    _row("network.approved", "ready working", None, "queue_network deliver_next"),
    _row("network.approved", _BEFORE_READY, None, "queue_network"),
    _row("network.denied", "ready working", None, "queue_network deliver_next"),
    _row("network.denied", _BEFORE_READY, None, "queue_network"),
    _row("network.failed", _UNFINISHED, None),  # the card says what went wrong; a person decides again
    _row("line_delivered", "ready", "working", "open_turn"),
    _row("turn_opened", "ready", "working", "open_turn"),
    _row("turn_opened", "working", None, "open_turn"),
    _row("line_acknowledged", "ready working", None, "deliver_next"),
    _row("turn_closed", "working", "ready", "close_turn", "nothing_waits"),
    _row("turn_closed", "working", None, "close_turn deliver_next"),
    _row("agent.line_appended", _LIVE, None),
    # an agent that ends by itself, or whose files are not as we left them
    _row("agent.append_refused", "ready working starting resuming", "recovering", "stop_agent", "is_current"),
    _row("agent.append_refused", "stopping", None, "stop_agent", "is_current"),
    _row("agent.output_broken", _AGENT_EXPECTED, "recovering", "note_broken stop_agent", "is_current"),
    _row(
        "agent.output_broken",
        "stopping recovering",
        None,
        "note_broken stop_agent fire_if_over",
        "is_current",
    ),
    _row("agent.ended", _AGENT_EXPECTED, "recovering", "note_ended stop_agent", "is_current"),
    _row("agent.ended", "stopping recovering", None, "note_ended stop_agent fire_if_over", "is_current"),
    _row("agent.stopped", "recovering stopping", None, "note_stopped fire_if_over", "is_current"),
    _row("generation_over", "recovering", "failed", "say_gave_up leave_all", "cannot_go_on"),
    _row(
        "generation_over", "recovering", "probing", "say_cut_off probe_message", "message_is_unacknowledged"
    ),
    _row("generation_over", "recovering", "resuming", "say_cut_off start_next_generation"),
    _row(
        "agent.message_probed",
        "probing",
        "resuming",
        "take_probe start_next_generation",
        "is_current is_what_was_asked",
    ),
    # the end that people ask for
    _row("session.stop_requested", "preparing", "stopping", "note_stop"),
    _row("session.stop_requested", "starting ready resuming", "stopping", "note_stop stop_agent"),
    _row("session.stop_requested", "recovering probing", "stopping", "note_stop stop_agent fire_if_over"),
    _row("session.stop_requested", "working", "stopping", "note_stop interrupt"),
    _row("session.stop_requested", "stopping", None, "say_already_stopping"),
    _row("turn_closed", "stopping", None, "stop_agent"),
    _row("timer.fired", "stopping", None, "stop_agent", "timer_is_stop"),
    _row("generation_over", "stopping", "stopped", "say_stopped leave_all"),
    # anything at any time
    _row("session.vm_lost", _UNFINISHED, None, "say_vm_lost", "vm_answers"),
    _row("session.vm_found", _UNFINISHED, None, "say_vm_found", "vm_is_lost"),
    _row("session.status_requested", _ALL, None, "say_status"),
    _row("chat.message_assigned", "quarantined", None, "say_status"),
    _row("session.stop_requested", "quarantined", None, "say_status"),
    _row("stream.quarantined", _UNFINISHED, "quarantined", "say_quarantined"),
)

REQUEST_STATES = ["pending", "applying", "approved", "failed", "denied"]

REQUEST: tuple[Row, ...] = (
    _row("approve", "pending failed", "applying", "decide save show"),
    _row("already_granted", "pending", "applying", "take_grant save show"),
    _row("deny", "pending", "denied", "decide tell_denied show"),
    _row("cardless", "pending", "denied", "tell_cardless show"),
    _row("confirmed", "applying", "approved", "grant tell_approved show"),
    _row("refused", "applying", "failed", "tell_failed show"),
)

REPOSITORY_STATES = ["free", "held", "quarantined"]

REPOSITORY: tuple[Row, ...] = (
    _row("repository.claim_requested", "free", "held", "give"),
    _row("repository.claim_requested", "held", None, "refuse"),
    _row("repository.claim_requested", "quarantined", None, "refuse_all"),
    _row("repository.released", "held", "free", "take_back", "is_holder"),
    _row("stream.quarantined", "free held", "quarantined"),
)

CHANNEL_STATES = ["new", "open", "occupied", "quarantined"]

CHANNEL: tuple[Row, ...] = (
    _row("channel.joined", "new", "open", "note_joined"),
    _row("channel.joined", "open occupied", None, "note_joined"),
    _row("chat.message_skipped", "new", "open"),
    _row("chat.message_skipped", "open occupied", None),
    _row("chat.message_received", "new open", "occupied", "open_session", "asks_to_start"),
    _row("chat.message_received", "new", "open", "answer_without_session"),
    _row("chat.message_received", "open", None, "answer_without_session"),
    _row("chat.message_received", "occupied", None, "pass_on"),
    _row("channel.session_ended", "occupied", "open", "forget_session", "is_own_session"),
    _row("chat.message_received", "quarantined", None, "say_quarantined"),
    _row("stream.quarantined", "new open occupied", "quarantined"),
)

VM_STATES = ["new", "known", "quarantined"]

VM: tuple[Row, ...] = (
    _row("vm.host_key_seen", "new", "known", "trust"),
    _row("stream.quarantined", "new known", "quarantined"),
)

ALIAS_STATES = ["open", "quarantined"]

ALIAS: tuple[Row, ...] = (
    _row("network.requested", "open", None, "take_request"),
    _row("network.requested", "quarantined", None, "refuse_request"),
    _row("card.posted", "open", None, "note_card"),
    _row("card.failed", "open", None, "take_card_failed"),
    _row("card.pressed", "open", None, "take_press"),
    _row("alias.saved", "open", None, "take_saved"),
    _row("alias.applied", "open", None, "take_applied"),
    _row("alias.failed", "open", None, "take_failed"),
    _row("stream.quarantined", "open", "quarantined"),
)


def machine(states: list[str], rows: tuple[Row, ...]) -> Machine:
    """A shared machine without models of its own; steps are triggered through `machine.events`."""
    transitions: list[dict[str, Any]] = [
        {
            "trigger": row.trigger,
            "source": list(row.source),
            "dest": row.dest,
            "conditions": list(row.when),
            "after": list(row.do),
        }
        for row in rows
    ]
    return Machine(
        model=None,
        states=states,
        transitions=transitions,
        initial=states[0],
        auto_transitions=False,
        ignore_invalid_triggers=True,
    )


SESSION_MACHINE = machine(SESSION_STATES, SESSION)
REQUEST_MACHINE = machine(REQUEST_STATES, REQUEST)
REPOSITORY_MACHINE = machine(REPOSITORY_STATES, REPOSITORY)
CHANNEL_MACHINE = machine(CHANNEL_STATES, CHANNEL)
VM_MACHINE = machine(VM_STATES, VM)
ALIAS_MACHINE = machine(ALIAS_STATES, ALIAS)
