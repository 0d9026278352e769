"""The session's stream: one conversation with one agent, from `start` to `Stopped`."""

from __future__ import annotations

from typing import cast

from attrs import evolve

from sm.core import streams
from sm.core.commands import ProbeMessage, SetTimer, StartAgent, StopAgent
from sm.core.events import (
    AgentEnded,
    AgentStartFailed,
    ChannelSessionEnded,
    MessageProbed,
    NetworkSessionEnded,
    StatusRequested,
    StopRequested,
)
from sm.core.memory import Queued
from sm.core.push import PushStep
from sm.core.stream_json import agent_session_uuid, initialize_line, interrupt_line
from sm.core.tables import SESSION_MACHINE

READY_WITHIN_MS = 60_000  # from the container's start to the answer of `initialize`
INTERRUPT_WITHIN_MS = 5_000  # from the interrupt to the stop
RESTARTS = 3  # so many restarts …
RESTARTS_WITHIN_MS = 600_000  # … in this time, and no more are tried
UNFINISHED = ("pump_killed", "runtime_away")  # ends without the pump's own record: the container may run on
MAX_QUOTED = 80  # characters by which a person knows a message that may not have arrived


class SessionStep(PushStep):
    """One event of a session; the methods are what the rows of the table name."""

    machine = SESSION_MACHINE

    # --- a generation ---------------------------------------------------------------------------------------------

    def start_in_project(self) -> None:
        """The folder is ours; there is nothing to make."""
        self.say("preparing")
        self.start_in_place()

    def start_in_place(self) -> None:
        """The place is there."""
        self.say("starting")
        self._start_generation(resume=False)

    def start_next_generation(self) -> None:
        """Go on with the same conversation; with a new one only where the agent said that it knows the old no more."""
        data = self.data
        recent = [at for at in data.restarts_ms if self.at_ms - at < RESTARTS_WITHIN_MS]
        lost = bool(data.agent_session_id) and data.resume_refused
        self.data = evolve(data, restarts_ms=(*recent, self.at_ms), memory_lost=data.memory_lost or lost)
        self._start_generation(resume=bool(data.agent_session_id) and not data.resume_refused)

    def _start_generation(self, *, resume: bool) -> None:
        number = self.data.generation + 1
        line = initialize_line(number)
        conversation = (
            self.data.agent_session_id if resume else agent_session_uuid(self.data.session_id, number)
        )
        self.data = evolve(
            self.data,
            generation=number,
            agent_session_id=self.data.agent_session_id if resume else "",
            container_id="",
            input_bytes=len(line),
            output_bytes=0,
            was_ready=False,
            resume_refused=False,
            talk=self.talk.in_new_generation(),
            stop_issued=False,
            stop_reported=False,
            output_over=False,
            end=None,
            trouble="",
        )
        self.issue(
            StartAgent(
                session_id=self.data.session_id,
                generation=number,
                workspace=self.data.path,
                mirror=self.data.mirror,
                agent_session_id=conversation,
                resume=resume,
                permission_mode=self.data.permission_mode,
                line=line,
            )
        )

    def note_started(self) -> None:
        """Its container runs; now it must answer."""
        self.data = evolve(self.data, container_id=self.event.container_id)
        if self.state in {"starting", "resuming"}:
            self._set_timer("ready", READY_WITHIN_MS)

    def note_never_started(self) -> None:
        """Nothing runs, so nothing will be said."""
        self.data = evolve(self.data, output_over=True)
        self.fire_if_over()

    def say_start_failed(self) -> None:
        """The runtime, the image or the network is not as it must be."""
        event = cast("AgentStartFailed", self.event)
        self.say("start_failed", code=event.code, detail=event.detail, waiting=self.waiting())

    def timer_is_ready(self) -> bool:
        """The sixty seconds in which this generation had to answer are over."""
        return self.event.name == "ready" and self.is_current()

    def give_up_waiting(self) -> None:
        """It never answered: end it, its last words will say why."""
        self.data = evolve(self.data, trouble="no_answer")
        self.stop_agent()

    def say_ready(self) -> None:
        """The agent itself answered."""
        self.data = evolve(self.data, was_ready=True)
        self.say("ready", session=streams.short(self.data.session_id))

    def say_resumed(self) -> None:
        """A later generation answered."""
        message = "resumed_without_memory" if self.data.memory_lost else "resumed"
        self.data = evolve(self.data, was_ready=True, memory_lost=False)
        self.say(message, session=streams.short(self.data.session_id))

    # --- an agent that ends ---------------------------------------------------------------------------------------

    def note_ended(self) -> None:
        """Its output is read to the end, unless its container may still write: then the stop brings the rest."""
        event = cast("AgentEnded", self.event)
        unfinished = event.meaning in UNFINISHED
        trouble = self.data.trouble or (event.meaning if unfinished else "")
        self.data = evolve(self.data, output_over=not unfinished, end=event, trouble=trouble)

    def note_broken(self) -> None:
        """Its output cannot be read any further."""
        self.data = evolve(self.data, output_over=True, trouble=self.event.reason)

    def note_stopped(self) -> None:
        """Its container is gone."""
        self.data = evolve(self.data, stop_reported=True)

    def fire_if_over(self) -> None:
        """A generation is over when both are true."""
        if self.data.stop_reported and self.data.output_over:
            self.then("generation_over")

    def cannot_go_on(self) -> bool:
        """The first never got ready, or too many were started in a short time."""
        recent = [at for at in self.data.restarts_ms if self.at_ms - at < RESTARTS_WITHIN_MS]
        first_failed = self.data.generation == 1 and not self.data.was_ready
        return first_failed or len(recent) >= RESTARTS

    def message_is_unacknowledged(self) -> bool:
        """A line was on its way when the generation ended."""
        return self.talk.unacknowledged is not None

    def say_cut_off(self) -> None:
        """Say what happened and what becomes of the open turn."""
        talk = self.talk
        began = talk.unacknowledged is not None and talk.unacknowledged.began_turn
        cut = talk.turn_open and not began  # whether a turn that it began was open, its probe will say
        self.say("agent_ended", turn_was_open="yes" if cut else "", **self._end_facts())

    def say_gave_up(self) -> None:
        """It cannot be started."""
        message = "never_ready" if self.data.generation == 1 else "gave_up"
        self.say(message, waiting=self.waiting(), **self._end_facts())
        if self.talk.unacknowledged is not None:
            self.say("in_doubt", text=self.talk.unacknowledged.text[:MAX_QUOTED])

    def probe_message(self) -> None:
        """Ask the transcript."""
        line = cast("Queued", self.talk.unacknowledged)
        self.issue(ProbeMessage(self.data.session_id, self.data.generation, line.uuid))

    def is_what_was_asked(self) -> bool:
        """The answer is about the message that was not acknowledged."""
        line = self.talk.unacknowledged
        return line is not None and line.uuid == self.event.uuid

    def take_probe(self) -> None:
        """Known: done. Unknown to the transcript: owed to the next generation. Can't tell: a person decides."""
        event, line = cast("MessageProbed", self.event), cast("Queued", self.talk.unacknowledged)
        self.talk = evolve(self.talk, unacknowledged=None)
        if event.found is None:
            self.say("in_doubt", text=line.text[:MAX_QUOTED])
        elif event.found:
            self.say("turn_cut_off")
        else:
            self.talk = evolve(self.talk, queue=(line, *self.talk.queue))

    # --- the end that people ask for ------------------------------------------------------------------------------

    def note_stop(self) -> None:
        """From here on nothing is delivered."""
        self.data = evolve(self.data, stopped_by=cast("StopRequested", self.event).user_name)

    def interrupt(self) -> None:
        """End the open turn first, so that the agent can put down what it holds."""
        self.append(interrupt_line(self.data.generation))
        self._set_timer("stop", INTERRUPT_WITHIN_MS)

    def timer_is_stop(self) -> bool:
        """The time that the interrupt had is over."""
        return self.event.name == "stop" and self.is_current()

    def stop_agent(self) -> None:
        """Stop the container, once a generation."""
        if not self.data.stop_issued:
            self.data = evolve(self.data, stop_issued=True)
            self.issue(StopAgent(self.data.session_id, self.data.generation))

    def say_already_stopping(self) -> None:
        """A second `stop`."""
        self.say("already_stopping")

    def say_stopped(self) -> None:
        """All is over."""
        self.say("stopped", waiting=self.waiting())

    def leave_channel(self) -> None:
        """The channel is free, and what was open for this session alone can be closed."""
        ended = ChannelSessionEnded(self.data.session_id, self.state)
        self.notify(streams.channel(self.data.channel_id), ended)
        self.notify(streams.alias(self.data.alias), NetworkSessionEnded(self.data.session_id))

    def leave_all(self) -> None:
        """The place and the channel are free."""
        self.close_push()
        self.give_place_back()
        self.leave_channel()

    # --- anything at any time -------------------------------------------------------------------------------------

    def say_status(self) -> None:
        """What the session is doing."""
        event, data = self.event, self.data
        root_id = event.root_id if isinstance(event, StatusRequested) else data.root_id
        self.say_in(
            root_id,
            "status",
            state=self.state,
            session=streams.short(data.session_id),
            waiting=self.waiting(),
            started_by=data.user_name,
            path=data.path,
            branch=data.branch,
        )

    def vm_answers(self) -> bool:
        """The channel was not told otherwise."""
        return not self.data.vm_lost

    def vm_is_lost(self) -> bool:
        """The channel was told so."""
        return self.data.vm_lost

    def say_vm_lost(self) -> None:
        """Once an outage, not once an attempt; nothing is taken for gone."""
        self.data = evolve(self.data, vm_lost=True)
        self.say("vm_lost", reason=self.event.reason)

    def say_vm_found(self) -> None:
        """What waited goes on."""
        self.data = evolve(self.data, vm_lost=False)
        self.say("vm_found")

    def say_quarantined(self) -> None:
        """The stream acts no more."""
        self.say("quarantined", session=streams.short(self.data.session_id), reason=self.event.reason)

    # --- helpers --------------------------------------------------------------------------------------------------

    def _set_timer(self, name: str, after_ms: int) -> None:
        self.issue(SetTimer(self.data.session_id, name, self.data.generation, due_ms=self.at_ms + after_ms))

    def _end_facts(self) -> dict[str, str]:
        end = self.data.end
        if end is None:
            return {"trouble": self.data.trouble, "exit": "", "err_tail": ""}
        return {"trouble": self.data.trouble or end.meaning, "exit": end.exit, "err_tail": end.err_tail}
