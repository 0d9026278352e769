"""The part of a session's step that talks with the agent: what may be said to it now, and what it said.

At most one user line is unacknowledged; the rest waits. A line is acknowledged by its replay (by uuid, never by
content), or, when it was appended with no turn open, by the next `result`. A line that begins with `/` has no
replay and waits until no turn is open. A turn ends with `idle`; where a generation never told its state, with
`result`.
"""

from __future__ import annotations

import hashlib
from typing import cast

from attrs import evolve

from sm.core import markers, streams
from sm.core.commands import AppendLine, Relay, Say
from sm.core.events import Ask, LineReceived, MessageAssigned, NetworkRequested, Verdict
from sm.core.memory import Conversation, Queued, SessionData
from sm.core.step import Step
from sm.core.stream_json import (
    MAX_DETAIL,
    MAX_DOING,
    Reading,
    initialize_id,
    message_uuid,
    read_line,
    user_line,
)


class ConversationStep(Step[SessionData]):
    """What the rows of a session's table do with lines in either direction."""

    # --- to the agent -----------------------------------------------------------------------------------------------

    def queue_message(self) -> None:
        """A person's words wait for their turn."""
        event = cast("MessageAssigned", self.event)
        self.queue(event.text, post_id=event.post_id)

    def deliver_next(self) -> None:
        """Append the head of the queue, if the agent may have it now."""
        talk = self.data.talk
        if talk.unacknowledged is not None or not talk.queue:
            return
        head, rest = talk.queue[0], talk.queue[1:]
        if talk.turn_open and head.text.startswith("/"):
            return
        line = evolve(head, began_turn=not talk.turn_open)
        self.append(user_line(line.text, line.uuid))
        self.talk = evolve(talk.opened(), queue=rest, unacknowledged=line)
        self.then("line_delivered")

    def append(self, line: str) -> None:
        """Append a line, ASCII and with its newline, to this generation's `in`."""
        data = self.data
        self.issue(AppendLine(data.session_id, data.generation, data.input_bytes, line))
        self.data = evolve(data, input_bytes=data.input_bytes + len(line))

    def open_turn(self) -> None:
        """The agent works."""
        self.talk = self.talk.opened()

    def close_turn(self) -> None:
        """The agent rests."""
        self.talk = self.talk.closed()

    def nothing_waits(self) -> bool:
        """No line is queued, none is unacknowledged."""
        return self.talk.nothing_waits

    # --- from the agent ---------------------------------------------------------------------------------------------

    def is_new_output(self) -> bool:
        """The line begins where what is known of `out` ends, or behind."""
        return self.event.offset >= self.data.output_bytes

    def take_line(self) -> None:
        """Take in a line of the agent's output."""
        event = cast("LineReceived", self.event)
        self.data = evolve(self.data, output_bytes=event.end)
        reading = read_line(event.line)
        takers = {
            "init": self._take_init,
            "running": self._take_running,
            "idle": self._take_idle,
            "replay": self._take_replay,
            "text": self._take_text,
            "retry": self._take_retry,
            "result": self._take_result,
            "control_response": self._take_answer,
        }
        if reading.doing:
            self.data = evolve(self.data, doing=reading.doing)
        if reading.kind in takers:
            takers[reading.kind](reading)

    def _take_init(self, reading: Reading) -> None:
        """Each turn names the conversation anew (`/clear` changes it)."""
        self.data = evolve(self.data, agent_session_id=reading.session_id)

    def _take_running(self, _: Reading) -> None:
        self.talk = evolve(self.talk, tells_state=True)
        self.then("turn_opened")

    def _take_idle(self, _: Reading) -> None:
        self.talk = evolve(self.talk, tells_state=True)
        self.then("turn_closed")

    def _take_replay(self, reading: Reading) -> None:
        line = self.talk.unacknowledged
        if line is not None and reading.uuid == line.uuid:
            self.talk = evolve(self.talk, unacknowledged=None)
            self.then("line_acknowledged")

    def _take_retry(self, reading: Reading) -> None:
        if not self.talk.retry_said:
            self.talk = evolve(self.talk, retry_said=True)
            self.say("api_retry", detail=reading.detail)

    def _take_result(self, reading: Reading) -> None:
        talk = self.talk
        if reading.is_error and self.state == "resuming":
            self.data = evolve(
                self.data, resume_refused=True
            )  # it never got ready: it doesn't know what to resume
        elif reading.is_error and self.state != "stopping":  # there it is the answer to our own interrupt
            shown = talk.last_text == _digest(reading.detail)
            self.say("turn_failed", detail="" if shown else reading.detail)
        if talk.unacknowledged is not None and talk.unacknowledged.began_turn:
            self.talk = evolve(talk, unacknowledged=None)
            self.then("line_acknowledged")
        if not talk.tells_state:
            self.then("turn_closed")

    def _take_answer(self, reading: Reading) -> None:
        if reading.request_id == initialize_id(self.data.generation) and not reading.is_error:
            self.then("initialized")

    def _take_text(self, reading: Reading) -> None:
        """Show each block; ask for what its markers ask for."""
        for part in range(len(reading.texts)):
            self.issue(Relay(self.data.channel_id, part, self.data.root_id))
        self.talk = evolve(self.talk, last_text=_digest(reading.texts[-1][:MAX_DETAIL]))
        self._ask(reading)

    def _ask(self, reading: Reading) -> None:
        """What a text block asks for is one card; what may not be asked for is answered at once."""
        asks: dict[int, list[Ask]] = {}
        for index, verdict in enumerate(cast("LineReceived", self.event).verdicts):
            if verdict.refused:
                self._refuse(index, verdict)
            else:
                ask = Ask(
                    f"r{self.seq}x{index}", verdict.domain, verdict.reason, verdict.warning, verdict.shown
                )
                asks.setdefault(verdict.part, []).append(ask)
        for part, together in asks.items():
            text = reading.texts[part] if part < len(reading.texts) else ""
            doing = self.data.doing or _sentence(text)
            names = (ask.domain for ask in together)
            self.data = evolve(self.data, asked=tuple(dict.fromkeys((*self.data.asked, *names))))
            self.request_network(tuple(together), doing)

    def request_network(self, asks: tuple[Ask, ...], doing: str) -> None:
        """Ask the alias's stream."""
        data: SessionData = self.data
        asked = NetworkRequested(
            session_id=data.session_id,
            channel_id=data.channel_id,
            asks=asks,
            root_id=data.root_id,
            title=data.repository,
            user_id=data.user_id,
            user_name=data.user_name,
            doing=doing,
        )
        self.notify(streams.alias(data.alias), asked)

    def _refuse(self, index: int, verdict: Verdict) -> None:
        name = markers.shown(verdict.domain)
        self.say("domain_refused", domain=name, code=verdict.refused, hint=verdict.hint)
        self.queue(markers.refused(verdict.domain, verdict.refused, verdict.hint), index=index)
        self.then("line_acknowledged")  # the agent may have this line at once

    # --- helpers ----------------------------------------------------------------------------------------------------

    @property
    def talk(self) -> Conversation:
        """The conversation as it is now."""
        return self.data.talk

    @talk.setter
    def talk(self, talk: Conversation) -> None:
        self.data = evolve(self.data, talk=talk)

    def is_current(self) -> bool:
        """The event is of the generation that runs."""
        return self.event.generation == self.data.generation

    def say(self, message: str, **facts: str) -> None:
        """Say something of our own where the session talks."""
        self.say_in(self.data.root_id, message, **facts)

    def say_in(self, root_id: str, message: str, **facts: str) -> None:
        """Say something of our own in a thread of the session's channel, or top-level."""
        facts = {"repository": self.data.repository, **facts}
        self.issue(Say(self.data.channel_id, message, tuple(sorted(facts.items())), root_id))

    def waiting(self) -> str:
        """How many messages of people the agent was not given."""
        return str(sum(bool(line.post_id) for line in self.talk.queue))

    def queue(self, text: str, *, post_id: str = "", index: int = 0) -> None:
        """Have a line wait for its turn."""
        line = Queued(message_uuid(self.stream, self.seq, index), text, post_id)
        self.talk = evolve(self.talk, queue=(*self.talk.queue, line))


def _sentence(text: str) -> str:
    """The last line of a text that is no marker, cut with a mark."""
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith(("[NETWORK_REQUEST:", "```"))]
    last = said[-1] if said else ""
    return last if len(last) <= MAX_DOING else last[: MAX_DOING - 1] + "…"


def _digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode("utf-8", "replace")).hexdigest()[:16]
