"""One example of every event and command, for their schemas: mostly from one conversation, told in its order.

James starts a session on acme/webapp, asks for pytest, approves pypi.org and stops; beside it what can go wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import evolve

from sm.core import commands as c
from sm.core import events as e
from sm.core import streams
from sm.core.commands import Command, command_id
from sm.core.events import Event
from sm.core.stream_json import initialize_line, message_uuid, user_line

_SESSION = "abc12345-6f1e-4a52-9d0b-3c8e7f214d60"
_OTHER = "def67890-2b7c-4e19-8a35-91d4c06ef2a7"
_STREAM = streams.session(_SESSION)
_CHANNEL = "9scecm5wegafkoii4qgh4hsso1"
_JAMES = "19nfj6mwr6tdpce8atukaxw3zs"
_START, _ASK, _STOP = "1jjbimygeqte4cqugrat5n8mo7", "jraboy8x4n6mitj9e39p4axct1", "m48jr7asggjzos7qyfmbrsn6a4"
_SAID = "i1qe1dmu9upsfrw7tfue381gpb"
_CARD_POST = "tkj5bo8ugb1mig8ao8f86epnsq"
_VM = "192.168.12.10"
_ALIAS = "llm_approved_domains"
_NOON_MS = 1_795_521_600_000
_PATH = "/home/claude/repos/github.com/acme/webapp"
_MIRROR = "/home/claude/repos/.mirrors/github.com/acme/webapp.git"
_CONTAINER = "4a73110367e8fc78ec509a6d9e60577e02bbf88033c5f8f4ae9f3613ccc8cc76"
_COMMIT = "0b38a958c90a1835071502626e2c8fa2e3a450fa"
_DIFF, _FETCH, _PUSH = (
    "qw1u6dqfcbd4zkwa5ne3wrh61a",
    "bs9m3kc7jtgyxjo5wzq8ryn4ue",
    "d5xtf8m1c3bqpnz9ooh7ujwa4r",
)
_A_DIFF = "diff --git a/setup.py b/setup.py\n--- a/setup.py\n+++ b/setup.py\n@@ -1 +1,2 @@\n a\n+b\n"
_UUID = message_uuid(_STREAM, 21)
_DOMAIN, _REQUEST, _CARD_ID = "pypi.org", "r27x0", "c29"
_TABLE = ("160.79.104.10", "2607:6bc0::10")
_TABLE_AFTER = ("151.101.0.223", *_TABLE, "2a04:4e42::223")
_RESOLVED = e.Resolved(_DOMAIN, "found", ("151.101.0.223", "2a04:4e42::223"))
_PYTHON = e.DomainSet("python", (_DOMAIN, "files.pythonhosted.org"))
_POLICY = e.Policy(approvers=("james", "sarah"), sets=(_PYTHON,))
_DOING = "pip install pytest"
_VIEW = c.CardView(
    card_id=_CARD_ID,
    session_id=_SESSION,
    title="acme/webapp",
    user_name="james",
    doing=_DOING,
    rows=(
        c.CardRow(
            request_id=_REQUEST,
            domain=_DOMAIN,
            state="pending",
            reason="install pytest",
            status="found",
            addresses=_RESOLVED.addresses,
        ),
    ),
    offers=(_PYTHON,),
    expires_ms=_NOON_MS + 86_400_000,
)
_ANSWER = json.dumps(
    {
        "type": "assistant",
        "message": {
            "role": "assistant",
            "content": [{"type": "text", "text": f"[NETWORK_REQUEST: {_DOMAIN} — install pytest]"}],
        },
        "parent_tool_use_id": None,
        "session_id": _SESSION,
    },
    separators=(",", ":"),
)

_EVENTS: tuple[Event, ...] = (
    # every stream
    e.StreamOpened(rules="unreleased"),
    e.RulesAdopted(rules="2"),
    e.StreamQuarantined(reason="KeyError at event 27", at_seq=27),
    e.PostRendered(
        command_id=command_id(_STREAM, 23, 0), parts=("I'll add pytest...", "...and that was all of it.")
    ),
    e.PostSent(command_id=command_id(_STREAM, 8, 0), channel_id=_CHANNEL, post_id=_SAID),
    e.PostFailed(
        command_id=command_id(_STREAM, 9, 0),
        channel_id=_CHANNEL,
        code="forbidden",
        detail="Mattermost refused the post (403): you do not have the appropriate permissions.",
    ),
    # chat
    e.ChannelJoined(channel_id=_CHANNEL, name="claude-project", after_post_id=None),
    e.MessageReceived(
        post_id=_START,
        channel_id=_CHANNEL,
        user_id=_JAMES,
        user_name="james",
        text="@claude start acme/webapp",
        body_at=8,
        mentioned=True,
        masked=0,
        created_at_ms=_NOON_MS,
        intent=e.Intent("start", org="acme", repo="webapp"),
        placement=e.Placement(
            session_id=_SESSION,
            vm=_VM,
            alias=_ALIAS,
            runtime="podman",
            image="claude-code:latest",
            network="isolated",
            permission_mode="bypassPermissions",
        ),
    ),
    e.MessageSkipped(
        post_id="pz7ggh34hfceqpnwazih76bwip", channel_id=_CHANNEL, created_at_ms=_NOON_MS - 60_000
    ),
    e.MessageAssigned(post_id=_ASK, user_id=_JAMES, user_name="james", text="add pytest to the project"),
    e.VmLost(reason="192.168.12.10 did not answer in 10 s."),
    e.VmFound(),
    e.StatusRequested(post_id="ucd1g6jndn74jh6mop6f4ig7et", user_name="james"),
    e.StopRequested(post_id=_STOP, user_id=_JAMES, user_name="james"),
    e.ChannelSessionEnded(session_id=_SESSION, outcome="stopped"),
    # a session and its repository
    e.SessionRequested(
        session_id=_SESSION,
        channel_id=_CHANNEL,
        post_id=_START,
        user_id=_JAMES,
        user_name="james",
        org="acme",
        repo="webapp",
        vm=_VM,
        alias=_ALIAS,
        runtime="podman",
        image="claude-code:latest",
        network="isolated",
        permission_mode="bypassPermissions",
    ),
    e.RepositoryClaimRequested(session_id=_SESSION, channel_id=_CHANNEL),
    e.RepositoryGranted(),
    e.RepositoryRefused(holder=_OTHER),
    e.RepositoryPrepared(
        path=_PATH,
        branch="main",
        head=_COMMIT,
        mirror=_MIRROR,
        created=True,
        default_branch="main",
        base="main",
        notes=(e.Note("lfs", "2 files"),),
    ),
    e.RepositoryPrepareFailed(code="disk_full", detail="No space left on device"),
    e.RepositorySettled(session_id=_SESSION, branch="main"),
    e.RepositoryReleased(session_id=_SESSION),
    e.RepositoryProgressed(phase="Receiving objects", percent=45),
    e.RepositoryPrepareCancelled(),
    e.ProjectResolved(path="/home/claude/projects/myproject", branch="main", head=_COMMIT),
    e.ProjectRefused(code="project_missing", detail="There is no /home/claude/projects/myproject on the VM."),
    # the work, and how it gets out
    e.WorkspaceInspected(branch="main", head=_COMMIT, changed=(" M setup.py",), changed_count=1, unpushed=2),
    e.WorkspaceInspectFailed(code="image_missing", detail="Error: claude-code:latest: image not known"),
    e.DiffRequested(post_id=_DIFF, user_name="james"),
    e.WorkspaceDiffed(text=_A_DIFF, cut=False, files=1, insertions=1, deletions=0),
    e.WorkspaceDiffFailed(code="not_git", detail="/home/claude/projects/myproject is no git repository."),
    e.FetchRequested(post_id=_FETCH, user_name="james"),
    e.MirrorFetched(changed=3),
    e.MirrorFetchFailed(code="network_unreachable", detail="Could not resolve host: github.com"),
    e.PushRequested(post_id=_PUSH, user_id=_JAMES, user_name="james"),
    e.PushPrepared(commit=_COMMIT, commits=2, stat=" setup.py | 1 +\n", workflows=False, new_branch=True),
    e.PushRefused(code="nothing_to_push", detail="main has no commits that upstream lacks."),
    e.PushDecided(card_id="p52", action="approve", user_id=_JAMES, user_name="james", via="button"),
    e.PushDone(commit=_COMMIT, target="sm/abc12345"),
    e.PushFailed(code="push_rejected", detail="! [rejected] sm/abc12345 (non-fast-forward)"),
    # its agent
    e.AgentStarted(generation=1, container_id=_CONTAINER),
    e.AgentStartFailed(
        generation=1, code="image_missing", detail="Error: claude-code:latest: image not known"
    ),
    e.LineReceived(
        generation=1,
        offset=9209,
        end=9209 + len(_ANSWER) + 1,
        line=_ANSWER,
        terminated=True,
        verdicts=(e.Verdict(_DOMAIN, reason="install pytest"),),
    ),
    e.LineAppended(generation=1, length=216),
    e.AppendRefused(generation=1, expected=216, length=219),
    e.OutputBroken(generation=1, reason="The output file is gone; 2249 bytes of it were read."),
    e.AgentEnded(generation=1, meaning="ended", exit="143 0 exited 143 false", err_tail=""),
    e.AgentStopped(generation=1, meaning="ended", exit="143 0 exited 143 false"),
    e.MessageProbed(generation=1, uuid=_UUID, found=True),
    e.TimerFired(name="ready", generation=1),
    # domains
    e.AliasConfigured(policy=_POLICY),
    e.NetworkRequested(
        session_id=_SESSION,
        channel_id=_CHANNEL,
        asks=(e.Ask(_REQUEST, _DOMAIN, reason="install pytest"),),
        title="acme/webapp",
        user_id=_JAMES,
        user_name="james",
        doing=_DOING,
    ),
    e.CardResolved(card_id=_CARD_ID, names=(_RESOLVED,)),
    e.CardPosted(card_id=_CARD_ID, post_id=_CARD_POST, channel_id=_CHANNEL),
    e.CardUpdated(card_id=_CARD_ID),
    e.CardFailed(card_id=_CARD_ID, code="not_found", detail="The post is gone (404)."),
    e.NetworkDecided(
        action="approve",
        channel_id=_CHANNEL,
        user_id=_JAMES,
        user_name="james",
        via="button",
        card_id=_CARD_ID,
        request_id=_REQUEST,
        post_id=_CARD_POST,
    ),
    e.NetworkListRequested(what="net", channel_id=_CHANNEL, user_name="james"),
    e.NetworkSessionEnded(session_id=_SESSION),
    # the alias
    e.AliasRead(entries=("api.anthropic.com",)),
    e.AliasWritten(
        add=(_DOMAIN,),
        remove=(),
        names=(_RESOLVED,),
        changed=True,
        entries=("api.anthropic.com", _DOMAIN),
        table_before=_TABLE,
    ),
    e.AliasApplied(added=(_DOMAIN,), removed=(), resolved="seen", table=_TABLE_AFTER),
    e.AliasFailed(
        step="write",
        code="unauthorized",
        detail="OPNsense does not accept the API key (401): check SM_OPNSENSE_KEY, SM_OPNSENSE_SECRET and the API user.",
    ),
    e.AliasObserved(
        entries=("api.anthropic.com", _DOMAIN),
        names=(e.Resolved(_DOMAIN, "found", ("10.0.0.5",), refused="not_global", address="10.0.0.5"),),
        table=_TABLE_AFTER,
    ),
    e.AliasTroubled(
        code="disabled", detail="The alias llm_approved_domains is disabled: enable it in OPNsense."
    ),
    e.NetworkTried(domain=_DOMAIN, state="reachable", detail="pypi.org answered on port 443."),
    # what the session hears
    e.NetworkApproved(request_id=_REQUEST, domain=_DOMAIN, user_name="james", already=False),
    e.NetworkDenied(request_id=_REQUEST, domain=_DOMAIN, user_name="sarah", reason="use the mirror"),
    e.NetworkFailed(request_id=_REQUEST, domain=_DOMAIN, user_name="james", code="unseen", detail=""),
    # a VM
    e.HostKeySeen(
        host=_VM,
        public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHN0YW5kLWluIGhvc3Qga2V5IG9mIHRoaXMgZXhhbXBs",
        fingerprint="SHA256:p096UkA7IX36BGBBG4Y6rLqxCdadNFX5ViYcbKAOgu4",
        channel_id=_CHANNEL,
    ),
)

_COMMANDS: tuple[Command, ...] = (
    c.CancelPrepare(session_id=_SESSION),
    c.ResolveProject(session_id=_SESSION, path="/home/claude/projects/myproject"),
    c.InspectWorkspace(session_id=_SESSION, workspace=_PATH, mirror=_MIRROR),
    c.DiffWorkspace(session_id=_SESSION, workspace=_PATH, mirror=_MIRROR, base="main"),
    c.ShowDiff(channel_id=_CHANNEL, session_id=_SESSION),
    c.FetchMirror(session_id=_SESSION, org="acme", repo="webapp"),
    c.PreparePush(
        session_id=_SESSION,
        org="acme",
        repo="webapp",
        workspace=_PATH,
        branch="main",
        target="sm/abc12345",
        default_branch="main",
    ),
    c.PostPushCard(
        card_id="p52",
        session_id=_SESSION,
        channel_id=_CHANNEL,
        root_id="",
        repository="acme/webapp",
        commit=_COMMIT,
        commits=2,
        target="sm/abc12345",
        new_branch=True,
        stat=" setup.py | 1 +\n",
        workflows=False,
    ),
    c.UpdatePushCard(
        card_id="p52",
        session_id=_SESSION,
        channel_id=_CHANNEL,
        post_id=_CARD_POST,
        repository="acme/webapp",
        commit=_COMMIT,
        target="sm/abc12345",
        status="done",
        user_name="james",
        compare_url="https://github.com/acme/webapp/compare/main...sm/abc12345",
    ),
    c.PushBranch(session_id=_SESSION, org="acme", repo="webapp", commit=_COMMIT, target="sm/abc12345"),
    c.Say(channel_id=_CHANNEL, message="preparing", facts=(("repository", "acme/webapp"),)),
    c.Relay(channel_id=_CHANNEL, part=0),
    c.SayPrivately(user_id=_JAMES, message="may_not_decide", facts=(("code", "own"), ("who", ""))),
    c.ResolveCard(card_id=_CARD_ID, domains=(_DOMAIN,)),
    c.PostCard(card_id=_CARD_ID, channel_id=_CHANNEL, view=_VIEW),
    c.UpdateCard(
        card_id=_CARD_ID,
        channel_id=_CHANNEL,
        post_id=_CARD_POST,
        view=evolve(
            _VIEW,
            rows=(
                evolve(_VIEW.rows[0], state="approved", user_name="james", via="button", reach="reachable"),
            ),
            offers=(),
            expires_ms=0,
        ),
    ),
    c.PrepareRepository(session_id=_SESSION, org="acme", repo="webapp"),
    c.StartAgent(
        session_id=_SESSION,
        generation=1,
        workspace=_PATH,
        mirror=_MIRROR,
        agent_session_id=_SESSION,
        resume=False,
        permission_mode="bypassPermissions",
        line=initialize_line(1),
    ),
    c.AppendLine(
        session_id=_SESSION,
        generation=1,
        expected=len(initialize_line(1)),
        line=user_line("add pytest to the project", _UUID),
    ),
    c.StopAgent(session_id=_SESSION, generation=1),
    c.ProbeMessage(session_id=_SESSION, generation=1, uuid=_UUID),
    c.SetTimer(session_id=_SESSION, name="ready", generation=1, due_ms=_NOON_MS + 60_000),
    c.WriteAlias(alias=_ALIAS, add=(_DOMAIN,), remove=("files.example",)),
    c.ApplyAlias(
        alias=_ALIAS, added=(_DOMAIN,), removed=("files.example",), gone=("192.0.2.7",), table_before=_TABLE
    ),
    c.TryDomain(domain=_DOMAIN, due_ms=_NOON_MS + 90_000),
)

EXAMPLES: Sequence[Event | Command] = (*_EVENTS, *_COMMANDS)
