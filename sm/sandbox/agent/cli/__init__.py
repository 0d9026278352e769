"""A stand-in for the Claude Code CLI 2.1 where the real one isn't installed: the same stream-json, one tool (Bash).

It asks the same Messages API. What it does was observed with 2.1.197: `init` at the start of every turn, the late
acknowledgement by replay, one line for each content block, merged and steered messages, control requests, exit codes.
"""
