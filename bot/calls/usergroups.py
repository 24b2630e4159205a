"""Reads from Slack who is in the user groups of teams: who is on call, and the members where they are kept in step."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from slack_sdk.errors import SlackApiError
from sqlalchemy import Connection

from bot.incidents import ownership
from bot.incidents.access import Access
from bot.incidents.errors import Refusal
from bot.messages.blocks import Message
from bot.messages.members import render_stopped_sync, render_synced
from bot.messages.oncall import render_shift
from bot.people.identity import Identity
from bot.people.oncall import NO_SUCH_USERGROUP
from bot.slack.clients import Clients
from storage.audit_rows import Actor, AuditOrigin
from storage.engine import Store
from storage.member_rows import TeamSync
from storage.queries import oncall, outbox
from storage.queries.access import list_managers
from storage.queries.oncall import Shift, StaleUsergroup
from storage.values import PostKind, Urgency

log = structlog.get_logger(__name__)

# After this another replica, or this one, tries again.
RETRY = timedelta(seconds=30)
AT_ONCE = 5


def refresh_stale(store: Store, clients: Clients, identity: Identity, now: datetime) -> int:
    """Reads the user groups that have changed or were read long ago. Returns how many were read.

    Raises DatabaseAway, Contended.
    """
    workspaces = [one.workspace_id for one in clients.all()]
    with store.write() as tx:
        stale = oncall.take_stale(tx, workspaces, now, lease=RETRY, most=AT_ONCE)
    for group in stale:
        _refresh(store, clients, identity, group, now)
    return len(stale)


def _refresh(store: Store, clients: Clients, identity: Identity, group: StaleUsergroup, now: datetime) -> None:
    installation = clients.find(group.workspace_id)
    if installation is None:
        return
    problem, gone, user_ids = None, False, []
    try:
        answer = installation.client.usergroups_users_list(usergroup=group.id)
        user_ids = [str(one) for one in answer.get("users") or []]
    except SlackApiError as error:
        reason = str(error.response.get("error"))
        gone = reason in NO_SUCH_USERGROUP  # nobody is on call; teams keep their members
        problem = None if gone else reason
    except OSError as error:
        problem = str(error)
    if problem is not None:
        log.warning("a user group could not be read", usergroup=group.id, reason=problem)
        with store.write() as tx:
            oncall.save_problem(tx, group, problem, now, RETRY)
        return
    _find_members(store, identity, group.workspace_id, user_ids, now)
    with store.write() as tx:
        for shift in oncall.save_users(tx, group, user_ids, now):
            _post_shift(tx, group, shift, user_ids, now)
        if not gone:
            stopped = [sync for sync in oncall.find_team_syncs(tx, group) if _removes_too_many(sync)]
            for sync in stopped:
                _notify_stopped(tx, group, sync, user_ids, now)
            kept = [sync.team_id for sync in stopped]
            for organization_id in oncall.sync_teams(tx, group, now, kept=kept):
                ownership.release_lost(tx, organization_id, now)


def _removes_too_many(sync: TeamSync) -> bool:
    """Whether a person has to confirm that people leave a team: more than half of several, or all.

    Whoever maintains user groups in Slack may empty one by mistake, and the team would lose sight of its incidents. In
    a team of one or two, one person is replaced all the time.
    """
    return sync.leaving > 0 and (sync.in_group == 0 or (sync.leaving > 1 and sync.leaving * 2 > sync.members))


def _notify_stopped(
    tx: Connection, group: StaleUsergroup, sync: TeamSync, user_ids: Sequence[str], now: datetime
) -> None:
    """Notifies the managers, at most once a day for each state of the user group: it may come back to one."""
    log.warning("a user group would remove most members of a team", team=sync.team_id, usergroup=group.id)
    state = hashlib.sha256(" ".join(sorted(user_ids)).encode()).hexdigest()[:16]
    for member_id in list_managers(tx, sync.organization_id):
        outbox.enqueue(
            tx,
            workspace_id=group.workspace_id,
            member_id=member_id,
            kind=PostKind.NOTE,
            key=f"sync stopped:{sync.team_id}:{state}:{member_id}:{now:%Y-%m-%d}",
            message=dict(render_stopped_sync(sync, group.id)),
            now=now,
            urgency=Urgency.NEWS,
        )


def confirm_sync(tx: Connection, access: Access, team_id: int, most: int | None, now: datetime) -> Message:
    """Removes those who are not in the user group from this team, because a manager wants it.

    `most` is how many the manager has read of; if more would leave by now, nobody does, and the question is asked
    again. Returns what to answer.
    """
    group = oncall.find_synced_group(tx, access.organization_id, access.workspace_id, team_id)
    if group is None:
        return render_synced(None)
    [sync] = oncall.find_team_syncs(tx, group, team_id=team_id)
    if most is not None and sync.leaving > most:
        return render_stopped_sync(sync, group.id)
    actor = Actor(AuditOrigin.SLACK, access.member_id, workspace_id=access.workspace_id)
    for organization_id in oncall.sync_teams(tx, group, now, team_id=team_id, by=actor):
        ownership.release_lost(tx, organization_id, now)
    return render_synced(sync)


def _find_members(store: Store, identity: Identity, workspace_id: str, user_ids: Sequence[str], now: datetime) -> None:
    """Finds out which members the people are: who has never used the bot is not known by their Slack id."""
    for user_id in user_ids:
        with store.reading() as reading:
            try:
                identity.find_member_of_user(reading, workspace_id, user_id, now)
            except Refusal as refusal:  # Slack cannot be asked; the next reading tries again
                log.warning("somebody on call could not be looked up", user=user_id, reason=refusal.sentence)


def _post_shift(tx: Connection, group: StaleUsergroup, shift: Shift, user_ids: Sequence[str], now: datetime) -> None:
    outbox.enqueue(
        tx,
        workspace_id=group.workspace_id,
        channel_id=shift.channel_id,
        kind=PostKind.NOTE,
        key=f"shift:{shift.team_id}:{now.isoformat()}",
        message=render_shift(shift.team, user_ids),
        now=now,
        urgency=Urgency.NEWS,
    )
