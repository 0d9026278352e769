"""An agent that obeys a test: the real CLI runs the test's script with its own tool, in the session's own container."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

from attrs import define
from real_kit import Talk, until

_numbers = itertools.count(1)


@define
class Agent:
    """The agent of a session. The first of a channel talks in it, a further one in the thread of its start."""

    talk: Talk
    session: str
    who: str
    root: str = ""

    @classmethod
    async def begin(
        cls, talk: Talk, repository: str = "acme/webapp", who: str = "james", *, thread: bool = False
    ) -> Agent:
        post = await talk.room.say(who, f"@claude start {repository}")
        ready = await talk.sees("✅ Ready. Container: `claude-")
        return cls(talk, ready.text.split("claude-")[1][:8], who, post if thread else "")

    @property
    def folder(self) -> Path:
        """The session's folder on the VM."""
        (found,) = self.talk.sessions.glob(f"{self.session}*")
        return found

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def container(self) -> str:
        return f"claude-{self.session}"

    async def say(self, text: str) -> None:
        await self.talk.room.say(self.who, text, root_id=self.root)

    async def answers(self, words: str) -> None:
        """It hears and answers."""
        await self.say(words)
        await self.talk.sees(f"You said: {words}")

    def script(self, text: str) -> str:
        """Put a script into the agent's home; answers the words that have it run. `$CLI` is the CLI's process."""
        name = f"hostile-{next(_numbers)}.sh"
        path = self.home / name
        path.write_text(f"CLI=$(pgrep -o -x claude)\n{text}\nprintf 'the %s of {name}\\n' end\n")
        os.chown(path, self.home.stat().st_uid, self.home.stat().st_gid)
        return f"run bash ~/{name}"

    async def does(self, text: str) -> str:
        """Have the agent run a script to its end; answers what it printed (the first 4000 characters)."""
        words = self.script(text)
        await self.say(words)
        end = f"the end of {words.partition('~/')[2]}"
        post = await self.talk.sees(end)
        return post.text.partition("\n")[2].removesuffix(end)

    def lines(self, generation: int = 1) -> list[str]:
        """What stands in `out`, whoever wrote it."""
        return (self.folder / str(generation) / "out").read_text(errors="replace").splitlines()


async def times_told(talk: Talk, text: str) -> int:
    """How often a person's words stand in the model's history, in whichever conversation they do most."""
    conversations = (await talk.room.state("agent"))["conversations"].values()
    return max(("\n".join(texts).count(text) for texts in conversations), default=0)


async def is_told(talk: Talk, text: str) -> None:
    """Wait until the model has a message."""

    async def look() -> bool:
        return await times_told(talk, text) > 0

    await until(f"the model has {text!r}", look)


def as_line(**value: object) -> str:
    """A line of stream-json, quoted for bash."""
    text = json.dumps(value)
    assert "'" not in text
    return f"'{text}'"
