"""The state machines, as data: every row of every machine stands in this file.

Theory of operation. A stream is an unregistered model with a `state`; the fold triggers the shared machine with
the event's stable name. A row names the trigger, the states that it leaves, the state that it enters (`None`:
stays), what must hold (`when`), and what is done (`do`, methods of the model, in order). Rows of the same trigger
and state are tried from above; a pair without a row is ignored and changes nothing.

Some triggers are no events of the journal but what an event turned out to mean: `initialized`, `turn_opened`,
`turn_closed`, `line_delivered` (a message for the agent is on its way), `line_acknowledged` (the agent has it, or
another waits that it may have at once), `generation_over` (its container is stopped by us *and* its output is
read to the end), `git_allowed` and `git_denied` (what became of the request for the git host, which a session itself
asks for). A step fires them itself, within the same fold.
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
    "locating",
    "claiming",
    "preparing",
    "waiting",
    "starting",
    "ready",
    "working",
    "recovering",
    "probing",
    "resuming",
    "stopping",
    "inspecting",
    "stopped",
    "failed",
    "refused",
    "quarantined",
]
SESSION_ENDED = ("stopped", "failed", "refused", "quarantined")

_BEFORE_READY = "locating claiming preparing waiting starting recovering probing resuming"
_AGENT_EXPECTED = "starting ready working resuming"
_HAS_PLACE = "starting ready working recovering probing resuming stopping"
_HAS_NO_PLACE = "locating claiming preparing waiting"
_LIVE = "starting ready working resuming recovering stopping"
_ALL = " ".join(SESSION_STATES)
_TRUSTED = " ".join(state for state in SESSION_STATES if state != "quarantined")
_UNFINISHED = " ".join(state for state in SESSION_STATES if state not in SESSION_ENDED)

SESSION: tuple[Row, ...] = (
    # how it comes to be
    _row("session.requested", "new", "locating", "remember resolve_project", "asks_for_project"),
    _row("session.requested", "new", "claiming", "remember claim_repository"),
    _row("project.resolved", "locating", "claiming", "claim_project"),
    _row("project.refused", "locating", "failed", "say_project_refused leave_channel"),
    _row("project.resolved", "stopping", "stopped", "say_stopped leave_channel"),
    _row("project.refused", "stopping", "stopped", "say_stopped leave_channel"),
    _row("repository.granted", "claiming", "starting", "start_in_project", "is_project"),
    _row("repository.granted", "claiming", "preparing", "say_granted prepare_repository"),
    _row("repository.refused", "claiming", "refused", "say_in_use leave_channel"),
    _row("repository.progressed", "preparing", None, "say_progress"),
    _row("repository.prepared", "preparing", "starting", "settle start_in_place"),
    _row("repository.prepare_failed", "preparing", "waiting", "ask_for_git_host", "may_ask_for_git_host"),
    _row("repository.prepare_failed", "preparing", "waiting", "try_git_later", "git_host_was_just_allowed"),
    _row("repository.prepare_failed", "preparing", "failed", "say_prepare_failed leave_all"),
    _row("git_allowed", "waiting", "preparing", "prepare_repository"),
    _row("git_denied", "waiting", "failed", "say_git_denied leave_all"),
    _row("timer.fired", "waiting", "preparing", "prepare_repository", "timer_is_git"),
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
    _row("chat.message_assigned", _BEFORE_READY + " stopping inspecting", None, "queue_message"),
    _row("network.approved", "ready working", None, "queue_network deliver_next"),
    _row("network.approved", _BEFORE_READY, None, "queue_network"),
    _row("network.denied", "ready working", None, "queue_network deliver_next"),
    _row("network.denied", _BEFORE_READY, None, "queue_network"),
    _row("git_allowed", _HAS_PLACE, None, "go_on_with_git"),
    _row("git_denied", _HAS_PLACE, None, "say_git_denied"),
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
    # the work, and how it gets out
    _row("workspace.diff_requested", _HAS_PLACE, None, "read_diff"),
    _row("workspace.diff_requested", _HAS_NO_PLACE + " inspecting", None, "say_no_place"),
    _row("workspace.diffed", _TRUSTED, None, "show_diff"),
    _row("workspace.diff_failed", _TRUSTED, None, "say_diff_failed"),
    _row("mirror.fetch_requested", _HAS_PLACE, None, "say_project_is_yours", "is_project"),
    _row("mirror.fetch_requested", _HAS_PLACE, None, "fetch_mirror"),
    _row("mirror.fetch_requested", _HAS_NO_PLACE + " inspecting", None, "say_no_place"),
    _row("mirror.fetched", _TRUSTED, None, "say_fetched"),
    _row("mirror.fetch_failed", _HAS_PLACE, None, "ask_for_git_host", "may_ask_for_git_host"),
    _row("mirror.fetch_failed", _TRUSTED, None, "say_fetch_failed"),
    _row("push.requested", _HAS_PLACE, None, "say_project_is_yours", "is_project"),
    _row("push.requested", _HAS_PLACE, None, "say_push_under_way", "push_is_under_way"),
    _row("push.requested", _HAS_PLACE, None, "prepare_push"),
    _row("push.requested", _HAS_NO_PLACE + " inspecting", None, "say_no_place"),
    _row("push.prepared", _HAS_PLACE, None, "ask_to_push", "push_is_preparing"),
    _row("push.refused", _TRUSTED, None, "say_push_refused", "push_is_preparing"),
    _row("push.decided", _HAS_PLACE, None, "push_branch", "push_is_asked decides_to_push"),
    _row("push.decided", _HAS_PLACE, None, "cancel_push", "push_is_asked decides_not_to_push"),
    _row("push.done", _TRUSTED, None, "note_pushed", "push_goes_out"),
    _row("push.failed", _HAS_PLACE, None, "wait_to_push", "push_goes_out may_ask_for_git_host"),
    _row("push.failed", _TRUSTED, None, "note_push_failed", "push_goes_out"),
    _row("card.posted", _TRUSTED, None, "note_push_card", "is_push_card"),
    _row("card.failed", _TRUSTED, None, "forget_push", "is_push_card"),
    # the end that people ask for
    _row("session.stop_requested", "locating", "stopping", "note_stop"),
    _row("session.stop_requested", "waiting", "stopped", "note_stop say_stopped leave_all"),
    _row("session.stop_requested", "preparing", "stopping", "note_stop cancel_prepare"),
    _row("session.stop_requested", "starting ready resuming", "stopping", "note_stop stop_agent"),
    _row("session.stop_requested", "recovering probing", "stopping", "note_stop stop_agent fire_if_over"),
    _row("session.stop_requested", "working", "stopping", "note_stop interrupt"),
    _row("session.stop_requested", "stopping inspecting", None, "say_already_stopping"),
    _row("turn_closed", "stopping", None, "stop_agent"),
    _row("timer.fired", "stopping", None, "stop_agent", "timer_is_stop"),
    _row("generation_over", "stopping", "inspecting", "inspect_workspace"),
    _row("workspace.inspected", "inspecting", "stopped", "say_stopped say_left_behind leave_all"),
    _row("workspace.inspect_failed", "inspecting", "stopped", "say_stopped say_left_unseen leave_all"),
    # anything at any time
    _row("session.vm_lost", _UNFINISHED, None, "say_vm_lost", "vm_answers"),
    _row("session.vm_found", _UNFINISHED, None, "say_vm_found", "vm_is_lost"),
    _row("session.status_requested", _ALL, None, "say_status"),
    _row("chat.message_assigned", "quarantined", None, "say_status"),
    _row("session.stop_requested", "quarantined", None, "say_status"),
    _row("stream.quarantined", _UNFINISHED, "quarantined", "say_quarantined"),
)

REQUEST_STATES = [
    "pending",
    "applying",
    "approved",
    "failed",
    "denied",
    "expired",
    "superseded",
    "closed",
]
REQUEST_FINAL = ("denied", "expired", "superseded", "closed")

REQUEST: tuple[Row, ...] = (
    _row("approve", "pending failed denied expired closed", "applying", "hold_grant"),
    _row("retry", "failed", "applying", "try_again"),
    _row("deny", "pending failed", "denied", "note_denier tell_denied"),
    _row("rule_out", "pending", "denied", "note_code tell_denied"),
    _row("expire", "pending", "expired", "note_code tell_denied"),
    _row("supersede", "pending failed", "superseded", "note_code"),
    _row("opened", "applying failed", "approved", "note_code"),
    _row("refused", "applying", "failed", "note_code tell_failed"),
    _row("grant_ended", "applying failed", "closed", "note_code tell_denied"),
    _row("grant_ended", "approved", "closed", "note_code tell_if_untold"),
)

REPOSITORY_STATES = ["free", "held", "quarantined"]

REPOSITORY: tuple[Row, ...] = (
    _row("repository.claim_requested", "free held", None, "give_worktree", "wants_worktree worktree_is_free"),
    _row("repository.claim_requested", "free held", None, "refuse_worktree", "wants_worktree"),
    _row("repository.claim_requested", "free", None, "refuse_branch", "branch_is_taken"),
    _row("repository.claim_requested", "free", "held", "give_main"),
    _row("repository.claim_requested", "held", None, "refuse_main"),
    _row("repository.claim_requested", "quarantined", None, "refuse_all"),
    _row("repository.settled", "held", None, "settle_main", "holds_main"),
    _row("repository.settled", "free held", None, "settle_worktree", "holds_worktree"),
    _row("repository.released", "held", "free", "take_back_main", "holds_main"),
    _row("repository.released", "free held", None, "take_back_worktree", "holds_worktree"),
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
    _row("chat.message_received", "occupied", None, "open_session", "asks_to_start may_open_another"),
    _row("chat.message_received", "occupied", None, "pass_on"),
    _row("channel.session_ended", "occupied", "open", "forget_session", "is_only_session"),
    _row("channel.session_ended", "occupied", None, "forget_session", "is_own_session"),
    _row("chat.message_received", "quarantined", None, "say_quarantined"),
    _row("stream.quarantined", "new open occupied", "quarantined"),
)

VM_STATES = ["new", "known", "quarantined"]

VM: tuple[Row, ...] = (
    _row("vm.host_key_seen", "new", "known", "trust"),
    _row("stream.quarantined", "new known", "quarantined"),
)

PROJECT_STATES, PROJECT = (
    REPOSITORY_STATES,
    REPOSITORY,
)  # a folder is a repository's main clone and nothing more

ALIAS_STATES = ["open", "quarantined"]

ALIAS: tuple[Row, ...] = (
    _row("alias.configured", "open", None, "configure"),
    # asked
    _row("network.requested", "open", None, "take_request"),
    _row("network.requested", "quarantined", None, "refuse_request"),
    _row("card.resolved", "open", None, "take_resolved"),
    _row("card.posted", "open", None, "note_card"),
    _row("card.failed", "open", None, "take_card_failed"),
    _row("timer.fired", "open", None, "take_timer"),
    _row("network.session_ended", "open", None, "end_session"),
    # decided
    _row("network.decided", "open", None, "take_decision"),
    _row("network.decided", "quarantined", None, "say_closed", "awaits_an_answer"),
    _row("network.list_requested", "open", None, "list_requested"),
    _row("network.list_requested", "quarantined", None, "say_closed"),
    # written
    _row("alias.read", "open", None, "take_read"),
    _row("alias.written", "open", None, "take_written"),
    _row("alias.applied", "open", None, "take_applied"),
    _row("alias.failed", "open", None, "take_failed"),
    _row("network.tried", "open", None, "take_tried"),
    # looked at
    _row("alias.observed", "open", None, "take_observed"),
    _row("alias.troubled", "open", None, "take_troubled"),
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
