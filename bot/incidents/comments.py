"""Comments. Anyone who sees an incident may add one; its author or a superuser may edit and delete it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.incidents import lookup
from bot.incidents.access import Access
from bot.incidents.errors import CommentChanged, CommentGone, InvalidInput, NotFound, NotYourComment, Refusal
from bot.incidents.limits import MAX_COMMENT_LENGTH
from bot.incidents.markup import MENTION, encode_entities
from bot.incidents.plain_text import disable_formatting
from storage.queries import access as access_queries
from storage.queries import activity, commenting, directory, incidents, outbox
from storage.queries import subscriptions as followers
from storage.rows import Comment, IncidentHead


@dataclass(frozen=True, slots=True)
class CommentText:
    """A text that somebody wrote, with its mentions resolved to database ids.

    `text` is escaped mrkdwn with `<person:ID>` and `<team:ID>`. `rich_text` is the block of a rich text field with the
    same ids, if the text was typed in one.
    """

    text: str
    member_ids: frozenset[int] = frozenset()
    team_ids: frozenset[int] = frozenset()
    rich_text: dict[str, Any] | None = None

    @property
    def mentions_anybody(self) -> bool:
        """Whether it mentions people or teams."""
        return bool(self.member_ids or self.team_ids)


def check(connection: Connection, access: Access, incident: IncidentHead, written: CommentText) -> None:
    """Checks the length of a text, and that everybody it mentions can see the incident.

    A team may be mentioned if it has one of the incident's projects. Raises InvalidInput for the length, and Refusal
    with the names of those who cannot see the incident.
    """
    check_text(written)
    check_mentions(connection, access, incident, written)


def check_text(written: CommentText) -> None:
    """Checks the length of a text. Raises InvalidInput."""
    if not written.text.strip():
        raise InvalidInput("A comment needs some text.", "comment N text")
    if len(written.text) > MAX_COMMENT_LENGTH:
        raise InvalidInput(
            f"A comment can have at most {MAX_COMMENT_LENGTH:,} characters; this one has {len(written.text):,}."
        )


def check_mentions(connection: Connection, access: Access, incident: IncidentHead, written: CommentText) -> None:
    """Checks that everybody whom a text mentions can see the incident, as `check` does. Raises Refusal."""
    blind = _people_who_cannot_see(connection, access, incident, written.member_ids)
    blind += _teams_that_cannot_see(connection, incident, written.team_ids)
    if blind:
        raise Refusal(
            f"{_and(blind)} cannot see #{incident.identifier} {disable_formatting(incident.title)}, so you cannot"
            " mention them there. Nothing was changed."
        )


def _people_who_cannot_see(
    connection: Connection, access: Access, incident: IncidentHead, member_ids: frozenset[int]
) -> list[str]:
    if not member_ids:
        return []
    may = access_queries.filter_members_who_see(connection, access.organization_id, incident.id, member_ids)
    return sorted(directory.get_member_names(connection, access.organization_id, member_ids - may).values())


def _teams_that_cannot_see(connection: Connection, incident: IncidentHead, team_ids: frozenset[int]) -> list[str]:
    if not team_ids:
        return []
    projects = incidents.get_project_ids(connection, incident.organization_id, incident.id)
    may = incidents.get_team_ids_of_projects(connection, incident.organization_id, sorted(projects))
    return sorted(
        f"the team {name}"
        for name in directory.get_team_names(connection, incident.organization_id, team_ids - may).values()
    )


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def drop_blind_mentions(
    connection: Connection, access: Access, incident: IncidentHead, written: CommentText
) -> tuple[CommentText, list[str]]:
    """Replaces mentions of those who cannot see the incident with their plain names.

    Returns the text and the names. This is for replies in a channel, where it is too late to refuse a mention.
    """
    people = written.member_ids - access_queries.filter_members_who_see(
        connection, access.organization_id, incident.id, written.member_ids
    )
    projects = incidents.get_project_ids(connection, incident.organization_id, incident.id)
    teams = written.team_ids - incidents.get_team_ids_of_projects(connection, access.organization_id, sorted(projects))
    if not people and not teams:
        return written, []
    names = {
        ("person", id_): name
        for id_, name in directory.get_member_names(connection, access.organization_id, people).items()
    }
    names |= {
        ("team", id_): name for id_, name in directory.get_team_names(connection, access.organization_id, teams).items()
    }

    def plain(found: re.Match[str]) -> str:
        name = names.get((found[1], int(found[2])))
        return found[0] if name is None else "@" + encode_entities(name)

    checked = CommentText(MENTION.sub(plain, written.text), written.member_ids - people, written.team_ids - teams)
    return checked, sorted(names.values())


def withdraw(
    tx: Connection, organization_id: int, incident_id: int, comment_id: int, now: datetime, *, thread_channel: str
) -> bool:
    """Deletes a comment because its reply in a card's thread was deleted. Returns False if it was deleted before.

    `thread_channel` is the channel of the reply. Permissions are not checked: Slack decides who may delete a message.
    """
    if not activity.delete_comment(tx, organization_id, comment_id, now):
        return False
    outbox.record_comment_change(tx, organization_id, incident_id, comment_id, now=now, thread_channel=thread_channel)
    return True


def subscribe_concerned(
    connection: Connection, access: Access, incident: IncidentHead, written: CommentText, now: datetime
) -> None:
    """Subscribes the author of a text and the members it mentions.

    If a team is mentioned, its members who see the incident are subscribed.
    """
    followers.ensure_subscribed(
        connection, incident.organization_id, incident.id, _find_concerned(connection, access, incident, written), now
    )


def _find_concerned(connection: Connection, access: Access, incident: IncidentHead, written: CommentText) -> set[int]:
    """The author of a text, the members whom it mentions, and those of the teams that it mentions who see it."""
    concerned = {access.member_id, *written.member_ids}
    if written.team_ids:
        of_teams = directory.get_member_ids_of_teams(connection, access.organization_id, written.team_ids)
        concerned |= access_queries.filter_members_who_see(connection, access.organization_id, incident.id, of_teams)
    return concerned


def add(
    tx: Connection,
    access: Access,
    identifier: int,
    written: CommentText,
    now: datetime,
    *,
    thread_channel: str | None = None,
) -> tuple[IncidentHead, int]:
    """Adds a comment to an open or closed incident. Returns the incident and the comment's id.

    `thread_channel` is the channel, if the comment is a reply in a card's thread. A comment that mentions nobody is one
    message to the database. Raises NotFound, Refusal.
    """
    if not lookup.can_exist(identifier):
        raise NotFound(identifier)
    followed = {access.member_id}
    if written.mentions_anybody:
        incident = lookup.get_incident(tx, access, identifier, lock=True)
        check_mentions(tx, access, incident, written)
        followed = _find_concerned(tx, access, incident, written)
    check_text(written)
    added = commenting.add_comment(
        tx,
        access.organization_id,
        identifier,
        access.project_ids,
        member_id=access.member_id,
        comment=written.text,
        rich_text=written.rich_text,
        mentioned_members=written.member_ids,
        mentioned_teams=written.team_ids,
        followers=followed,
        thread_channel=thread_channel,
        now=now,
    )
    if added is None:
        raise NotFound(identifier)
    return added


def version_of(comment: Comment) -> str:
    """The version of a comment: a text that differs after every edit."""
    return comment.date_edited.isoformat() if comment.date_edited else ""


def get_own_comment(
    connection: Connection, access: Access, identifier: int, comment_id: int, *, lock: bool = False
) -> tuple[IncidentHead, Comment]:
    """The incident, and a comment on it that the caller may change. Raises NotFound, CommentGone, NotYourComment."""
    incident = lookup.get_incident(connection, access, identifier, lock=lock)
    comment = activity.find_comment(
        connection, incident.organization_id, incident.id, comment_id, access.workspace_id, lock=lock
    )
    if comment is None:
        raise CommentGone
    if comment.member_id != access.member_id and not access.superuser:
        raise NotYourComment
    return incident, comment


def edit(
    tx: Connection,
    access: Access,
    identifier: int,
    comment_id: int,
    written: CommentText,
    now: datetime,
    *,
    version: str | None = None,
    thread_channel: str | None = None,
) -> IncidentHead:
    """Replaces the text of a comment. Only newly mentioned members are subscribed and notified.

    `version` is the version that the editor saw, if known. `thread_channel` is the channel, if a reply in a card's
    thread was edited. Raises CommentChanged, and the errors of `get_own_comment` and `check`.
    """
    incident, comment = get_own_comment(tx, access, identifier, comment_id, lock=True)
    if version is not None and version != version_of(comment):
        raise CommentChanged
    check(tx, access, incident, written)
    if written.text == comment.text and written.rich_text == comment.rich_text:
        return incident
    activity.update_comment(tx, access.organization_id, comment.id, written.text, written.rich_text, now)
    activity.insert_mentions(tx, access.organization_id, comment.id, written.member_ids, written.team_ids)
    new = written.member_ids - comment.mentions.people.keys()
    for team_id in written.team_ids - comment.mentions.teams.keys():
        of_team = directory.get_member_ids_of_teams(tx, access.organization_id, [team_id])
        new |= access_queries.filter_members_who_see(tx, access.organization_id, incident.id, of_team)
    followers.ensure_subscribed(tx, incident.organization_id, incident.id, new, now)
    outbox.record_comment_change(
        tx,
        incident.organization_id,
        incident.id,
        comment.id,
        now=now,
        newly_mentioned=new,
        thread_channel=thread_channel,
    )
    return incident


def delete(
    tx: Connection,
    access: Access,
    identifier: int,
    comment_id: int,
    now: datetime,
    *,
    thread_channel: str | None = None,
) -> IncidentHead:
    """Deletes a comment. `thread_channel` is as in `edit`. Raises NotFound, CommentGone, NotYourComment."""
    incident, comment = get_own_comment(tx, access, identifier, comment_id, lock=True)
    activity.delete_comment(tx, access.organization_id, comment.id, now)
    outbox.record_comment_change(
        tx, incident.organization_id, incident.id, comment.id, now=now, thread_channel=thread_channel
    )
    return incident
