"""Entries of the audit log: who did what, when and from where, with what was before and after."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.incidents.durations import format_duration
from bot.incidents.markup import escape
from bot.incidents.plain_text import disable_formatting
from bot.messages.blocks import (
    Block,
    Element,
    Message,
    actions,
    bold,
    button,
    context,
    format_date,
    message,
    section,
    truncate,
)
from storage.audit_rows import AuditAction, AuditEntry, AuditOrigin

MAX_TYPED = 200  # characters of a person or time in a button's value
_MAX_LINE = 400
_MAX_VALUE = 300
_MAX_DETAILS = 1500
# What somebody did; the subject follows.
_DONE: Mapping[str, str] = {
    AuditAction.ORGANIZATION_ADD: "added the organization",
    AuditAction.ORGANIZATION_CHANGE: "changed the organization",
    AuditAction.WORKSPACE_ADD: "added the workspace",
    AuditAction.WORKSPACE_REMOVE: "removed the workspace",
    AuditAction.INSTALLATION_ADD: "installed Tocsin in the workspace",
    AuditAction.INSTALLATION_CHANGE: "changed the installation in the workspace",
    AuditAction.INSTALLATION_REMOVE: "removed Tocsin from the workspace",
    AuditAction.TEAM_ADD: "added the team",
    AuditAction.TEAM_CHANGE: "changed the team",
    AuditAction.TEAM_REMOVE: "removed the team",
    AuditAction.PROJECT_ADD: "added the project",
    AuditAction.PROJECT_CHANGE: "changed the project",
    AuditAction.PROJECT_REMOVE: "removed the project",
    AuditAction.MEMBER_ADD: "added the member",
    AuditAction.MEMBER_CHANGE: "changed the member",
    AuditAction.MEMBER_REMOVE: "removed the member",
    AuditAction.MEMBER_ERASE: "erased",
    AuditAction.DIGEST_ADD: "added the digest",
    AuditAction.DIGEST_CHANGE: "changed the digest",
    AuditAction.DIGEST_REMOVE: "removed the digest",
    AuditAction.SILENCE_ADD: "added the silence",
    AuditAction.SILENCE_END: "ended the silence",
    AuditAction.TOKEN_CREATE: "created the intake token",
    AuditAction.TOKEN_REVOKE: "revoked the intake token",
    AuditAction.DATA_EXPORT: "exported the data",
    AuditAction.DATA_IMPORT: "imported data",
    AuditAction.DATA_RESTORE: "restored the data from a backup",
    AuditAction.DATA_RETENTION: "removed old data",
    AuditAction.HOLD_BEGIN: "began the legal hold of",
    AuditAction.HOLD_END: "ended the legal hold of",
}
_WHERE: Mapping[str, str] = {
    AuditOrigin.SLACK: "in Slack",
    AuditOrigin.FILE: "with the organization file",
    AuditOrigin.COMMAND: "on the command line",
    AuditOrigin.SYNC: "because a user group changed in Slack",
    AuditOrigin.OAUTH: "by installing in Slack",
    AuditOrigin.SCHEDULE: "on schedule",
}
_NOTHING: tuple[object, ...] = (None, [], {})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?[+-]\d\d:\d\d\Z")
BOT = "Tocsin"  # who did what nobody did
# Columns that people call otherwise.
_NAMES = {"slack_user_id": "slack", "channel_id": "channel", "cron": "schedule"}


def render_page(entries: Sequence[AuditEntry], person: str, since: str, page: int, *, more: bool) -> Message:
    """A page of the audit log. `person` and `since` are what it is filtered by, as typed."""
    if not entries:
        sentence = "No changes were found." if person or since or page else "Nothing was changed yet."
        return message(sentence, [section(sentence)])
    blocks: list[Block] = [section(bold("Audit log"))]
    blocks += [section(render_entry(entry)) for entry in entries]
    if page or more:
        blocks.append(context(f"Page {page + 1:,}"))
    buttons: list[Element] = []
    if page > 0:
        buttons.append(button("Previous", "audit_previous", _build_position(person, since, page - 1)))
    if more:
        buttons.append(button("Next", "audit_next", _build_position(person, since, page + 1)))
    if buttons:
        blocks.append(actions(buttons))
    return message("Audit log", blocks)


def _build_position(person: str, since: str, page: int) -> str:
    return json.dumps({"w": person, "s": since, "p": page}, ensure_ascii=False)


def parse_position(value: str) -> tuple[str, str, int]:
    """The person, the time and the page in a button's value; the first page of all where it is none."""
    try:
        found = json.loads(value)
        person, since = (str(found[key])[:MAX_TYPED] for key in ("w", "s"))
        return person, since, min(max(int(found["p"]), 0), 1_000_000)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return "", "", 0


def render_entry(entry: AuditEntry) -> str:
    """An entry in mrkdwn: a line that says who did what, and one with the values."""
    line = f"{format_date(entry.date_added)} · {bold(_render(entry.actor or BOT))} {describe_action(entry, _render)}"
    details = "; ".join(f"{name}: {value}" for name, value in describe_values(entry, _render, format_date))
    return truncate(line, _MAX_LINE) + (f"\n{truncate(details, _MAX_DETAILS)}" if details else "")


def describe_action(entry: AuditEntry, render: Callable[[str], str]) -> str:
    """What was done, to what, and from where. `render` makes a text of somebody's fit for where it is shown."""
    done = _DONE.get(entry.action, render(entry.action))
    subject = entry.subject_name or entry.subject
    where = _WHERE.get(entry.origin, render(entry.origin))
    return f"{done} {render(subject)} {where}" if subject else f"{done} {where}"


def describe_values(
    entry: AuditEntry, render: Callable[[str], str], render_time: Callable[[datetime], str]
) -> list[tuple[str, str]]:
    """The values of an entry: each with its name, and what it was before and is after."""
    before, after = entry.before or {}, entry.after or {}
    described = []
    for key in dict.fromkeys([*before, *after]):
        name = _NAMES.get(key, key.removesuffix("_s")).replace("_", " ")
        old, new = (_describe_value(key, values.get(key), render, render_time) for values in (before, after))
        if entry.before is not None and entry.after is not None:
            described.append((render(name), f"{old} → {new}"))
        elif (before or after)[key] not in _NOTHING:
            described.append((render(name), new if entry.before is None else old))
    return described


def _describe_value(key: str, value: Any, render: Callable[[str], str], render_time: Callable[[datetime], str]) -> str:
    if value in _NOTHING:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key.endswith("_s"):
        return format_duration(value)
    if isinstance(value, str) and _TIME.match(value):
        return render_time(datetime.fromisoformat(value))
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    elif isinstance(value, dict):
        value = ", ".join(f"{name}={one}" for name, one in value.items())
    text = " ".join(str(value).split())
    return render(text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…")


def _render(text: str) -> str:
    return escape(disable_formatting(text))
