"""Puts what the audit log stores into the words of people: names for slugs and addresses, schedules for cron.

The export and the command line have the stored values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from bot.digests.schedule import parse_cron
from bot.digests.schedule_text import describe_schedule
from bot.incidents import audit
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput
from storage.audit_rows import AuditEntry, AuditNames

_EMAIL = re.compile(r"(?<!\S)[^\s@]+@[^\s@]+")
_SCHEDULES = ("schedule", "cron")
_TEAMS = ("team", "teams")
_PROJECTS = ("project", "projects")
_CALLS = "calls"  # rules in words, which name people by e-mail


def put_into_words(connection: Connection, access: Access, entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    """The entries with names. What is no longer there keeps the word by which it was stored."""
    names = audit.find_names(connection, access, _list_words(entries))
    return [
        replace(
            entry,
            subject_name=entry.subject_name or _find_subject(entry, names, access),
            before=_put_values(entry.before, names),
            after=_put_values(entry.after, names),
        )
        for entry in entries
    ]


def _list_words(entries: Sequence[AuditEntry]) -> set[str]:
    """The slugs and e-mail addresses in the entries."""
    words = {entry.subject for entry in entries if entry.subject}
    for entry in entries:
        for values in (entry.before, entry.after):
            for key, value in (values or {}).items():
                if key in (*_TEAMS, *_PROJECTS):
                    words.update(str(one) for one in (value if isinstance(value, list) else [value]))
                elif key == _CALLS:
                    words.update(_EMAIL.findall(str(value)))
    return words


def _find_subject(entry: AuditEntry, names: AuditNames, access: Access) -> str | None:
    kind, subject = entry.action.partition(".")[0], entry.subject or ""
    own = (entry.after or {}).get("name") or (entry.before or {}).get("name")
    match kind:
        case "team":
            return names.teams.get(subject) or own
        case "project":
            return names.projects.get(subject) or own
        case "organization" if entry.action != "organization.move":
            return access.organization_name
    return None


def _put_values(values: Mapping[str, Any] | None, names: AuditNames) -> Mapping[str, Any] | None:
    return None if values is None else {key: _put_value(key, value, names) for key, value in values.items()}


def _put_value(key: str, value: Any, names: AuditNames) -> Any:
    if isinstance(value, list):
        return [_put_value(key, one, names) for one in value]
    if not isinstance(value, str):
        return value
    if key in _SCHEDULES:
        return _describe_cron(value)
    if key == _CALLS:
        return _EMAIL.sub(lambda found: names.people.get(found[0], found[0]), value)
    known = names.teams if key in _TEAMS else names.projects if key in _PROJECTS else {}
    return known.get(value, value)


def _describe_cron(cron: str) -> str:
    try:
        return describe_schedule(parse_cron(cron))
    except InvalidInput:
        return cron
