"""Reads from Slack who is in the user groups of teams: who is on call, and the members where they are kept in step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from slack_sdk.errors import SlackApiError
from sqlalchemy import Connection

from bot.incidents import ownership
from bot.incidents.errors import Refusal
from bot.messages.oncall import render_shift
from bot.people.identity import Identity
from bot.people.oncall import NO_SUCH_USERGROUP
from bot.slack.clients import Clients
from storage.engine import Store
from storage.queries import oncall, outbox
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
            for organization_id in oncall.sync_teams(tx, group, now):
                ownership.release_lost(tx, organization_id, now)


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
