"""A generation: started once, fed by compare-and-append, read to its end, stopped by its id."""

from sm.vm import Appended, Ended, LengthMismatch

from .conftest import FIRST, SESSION, spec, until


async def test_an_agent_is_started_with_the_first_line_and_answers(peer, started):
    status = await started.status(SESSION, 1)
    assert status.meaning == "running"
    assert status.in_bytes == len(FIRST) + 1
    assert peer.read("out") == '{"got":' + FIRST + "}\n"
    print(await started.stop_generation(SESSION, 1, 1))
