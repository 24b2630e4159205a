"""The audit log: what is recorded of acts in Slack, and who may read it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.incidents import filters
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.words import shorten, tokenize
from storage.audit_rows import Actor, AuditAction, AuditChange, AuditEntry, AuditNames, AuditOrigin
from storage.queries import audit as queries
from storage.values import Role

USAGE = "audit [@person] [since:7d]"
PAGE_SIZE = 10
MAX_PERSON = 200  # characters
MENTION = re.compile(r"@([UW][A-Z0-9]{1,31})")


class MayNotReadAuditLog(Refusal):
    """The caller's role does not allow reading the audit log."""

    def __init__(self) -> None:
        super().__init__("Only managers and owners of the organization can see who changed what.")


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries somebody wants to see."""

    person: str = ""  # as typed; empty: everybody
    since: str = ""  # as typed; empty: from the beginning


def record(tx: Connection, access: Access, change: AuditChange | None, now: datetime) -> None:
    """Records what a member did in Slack, in the transaction that does it. None: nothing was changed."""
    actor = Actor(AuditOrigin.SLACK, access.member_id, workspace_id=access.workspace_id)
    queries.record(tx, access.organization_id, actor, [change] if change else [], now)


def build_change(
    actions: tuple[AuditAction, AuditAction, AuditAction],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    subject: str | None = None,
    subject_member_id: int | None = None,
) -> AuditChange | None:
    """What is recorded of something that was added, changed or removed (`actions`); None if it is as before.

    Of a change only the values that differ are recorded.
    """
    added, changed, removed = actions
    if before is None or after is None:
        if before is after:
            return None
        return AuditChange(added if before is None else removed, subject, subject_member_id, before, after)
    different = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    if not different:
        return None
    old, new = ({key: values.get(key) for key in sorted(different)} for values in (before, after))
    return AuditChange(changed, subject, subject_member_id, old, new)


def check_may_read(access: Access) -> None:
    """Raises MayNotReadAuditLog."""
    if access.role not in (Role.MANAGER, Role.OWNER):
        raise MayNotReadAuditLog


def parse_query(text: str) -> AuditQuery:
    """Parses what stands behind `audit`: a person and `since:`. Raises InvalidInput."""
    tokens = tokenize(text)
    unknown = next((one.key for one in tokens if one.key not in (None, "since")), None)
    if unknown:
        raise InvalidInput(f"“{shorten(unknown)}:” is unknown here.", USAGE)
    since = [one.text for one in tokens if one.key]
    if len(since) > 1:
        raise InvalidInput("`since:` is given twice. Give it once.", USAGE)
    words = [one.text for one in tokens if one.key is None]
    if len(words) > 1 and any(MENTION.fullmatch(word) for word in words):
        raise InvalidInput("Name one person.", USAGE)
    person = " ".join(words)
    if len(person) > MAX_PERSON:
        raise InvalidInput(f"Name the person in at most {MAX_PERSON} characters.", USAGE)
    return AuditQuery(person, since[0] if since else "")


def list_entries(
    connection: Connection,
    access: Access,
    query: AuditQuery,
    now: datetime,
    *,
    member_id: int | None,
    user_id: str | None,
    page: int,
) -> tuple[list[AuditEntry], bool]:
    """A page of the entries, the newest first, and whether there are more.

    `user_id` is the Slack id of a mention in `query`, and `member_id` the member that it means; other ways of naming
    somebody also find former members. Raises Refusal, InvalidInput.
    """
    check_may_read(access)
    people, users = None, [user_id] if user_id is not None else []
    if member_id is not None:
        people = [member_id]
    elif query.person:
        typed = query.person.removeprefix("@").strip()
        people = queries.find_people(connection, access.organization_id, typed)
        users = users or queries.find_users(connection, access.organization_id, typed)
        if not (people or users):
            raise InvalidInput(f"Nobody here is or was called “{shorten(query.person)}”.", USAGE)
    return queries.list_entries(
        connection,
        access.organization_id,
        people=people,
        users=users,
        since=parse_since(query.since, now, access.timezone),
        skip=page * PAGE_SIZE,
        most=PAGE_SIZE,
    )


def find_names(connection: Connection, access: Access, words: Collection[str]) -> AuditNames:
    """The names of the organization's teams, projects and members for these slugs and e-mail addresses."""
    return queries.find_names(connection, access.organization_id, words)


def parse_since(value: str, now: datetime, zone: str) -> datetime | None:
    """The moment that `since:` means; None if it is empty. Raises InvalidInput."""
    if not value:
        return None
    try:
        return filters.moment(value, "since", now, zone)
    except InvalidInput as mistake:
        raise InvalidInput(mistake.mistake, USAGE, field="since", wrong=value) from None
