"""Entries of the audit log: who did what, when and from where, with what was before and after."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
_MAX_DETAILS = 700
# What somebody did; the subject follows.
_DONE: Mapping[str, str] = {
    AuditAction.ORGANIZATION_ADD: "added the organization",
    AuditAction.ORGANIZATION_CHANGE: "changed the organization",
    AuditAction.ORGANIZATION_MOVE: "moved the organization to the cell",
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
    AuditAction.MEMBER_ASK: "asked to become a member",
    AuditAction.MEMBER_DECLINE: "declined to let in",
    AuditAction.MEMBER_ERASE: "erased",
    AuditAction.DIGEST_ADD: "added digest",
    AuditAction.DIGEST_CHANGE: "changed digest",
    AuditAction.DIGEST_REMOVE: "removed digest",
    AuditAction.SILENCE_ADD: "added silence",
    AuditAction.SILENCE_END: "ended silence",
    AuditAction.TOKEN_CREATE: "created intake token",
    AuditAction.TOKEN_REVOKE: "revoked intake token",
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
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,31}")
_USER = re.compile(r"[UW][A-Z0-9]{1,31}")
_USERGROUP = re.compile(r"S[A-Z0-9]{1,31}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?[+-]\d\d:\d\d\Z")
BOT = "Tocsin"  # who did what nobody did
# Columns that people call otherwise.
_NAMES = {"slack_user_id": "slack", "channel_id": "channel", "cron": "schedule"}


def render_page(
    entries: Sequence[AuditEntry], person: str, since: str, page: int, *, more: bool, workspace_id: str
) -> Message:
    """A page of the audit log. `person` and `since` are what it is filtered by, as typed.

    Who is no member is mentioned in the workspace `workspace_id`, which shows their name.
    """
    if not entries:
        sentence = "No changes were found." if person or since or page else "Nothing was changed yet."
        return message(sentence, [section(sentence)])
    blocks: list[Block] = [section(bold("Audit log"))]
    blocks += [section(render_entry(entry, workspace_id)) for entry in entries]
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


@dataclass(frozen=True, slots=True)
class Style:
    """How the parts of an entry are written where it is shown."""

    text: Callable[[str], str]  # of somebody's, made harmless
    time: Callable[[datetime], str]
    channel: Callable[[str], str]  # by its id
    usergroup: Callable[[str], str]  # by its id
    person: Callable[[str], str]  # who is no member, by their Slack id


def _render_text(text: str) -> str:
    return escape(disable_formatting(text))


def _render_channel(channel_id: str) -> str:
    return f"<#{channel_id}>"


def _render_usergroup(usergroup_id: str) -> str:
    return f"<!subteam^{usergroup_id}>"


def _mention(user_id: str) -> str:
    return f"<@{user_id}>"


_HERE = Style(_render_text, format_date, _render_channel, _render_usergroup, _mention)
# Slack shows the ids of another workspace to nobody.
_ELSEWHERE = replace(_HERE, channel=_render_text, usergroup=_render_text, person=_render_text)


def render_entry(entry: AuditEntry, workspace_id: str) -> str:
    """An entry in mrkdwn: a line that says who did what and when, and one with the values."""
    style = _HERE if entry.workspace_id in (None, workspace_id) else _ELSEWHERE
    when = format_date(entry.date_added)
    line = truncate(f"{_render_actor(entry, style)} {describe_action(entry, style)}", _MAX_LINE)
    details = "; ".join(f"{name}: {value}" for name, value in describe_values(entry, style))
    return f"{line}, {when}" + (f"\n{truncate(details, _MAX_DETAILS)}" if details else "")


def _render_actor(entry: AuditEntry, style: Style) -> str:
    actor = entry.actor or BOT
    if entry.action == AuditAction.MEMBER_ASK and _USER.fullmatch(actor):
        return style.person(actor)
    if entry.origin == AuditOrigin.SYNC and _USERGROUP.fullmatch(actor):
        return style.usergroup(actor)
    return bold(style.text(actor))


def describe_action(entry: AuditEntry, style: Style) -> str:
    """What was done, to what, and from where."""
    done = _DONE.get(entry.action, style.text(entry.action))
    subject = entry.subject_name or entry.subject
    where = _WHERE.get(entry.origin, style.text(entry.origin))
    if entry.action == AuditAction.MEMBER_DECLINE and _USER.fullmatch(subject or ""):
        return f"{done} {style.person(subject or '')} {where}"
    return f"{done} {style.text(subject)} {where}" if subject else f"{done} {where}"


def describe_values(entry: AuditEntry, style: Style) -> list[tuple[str, str]]:
    """The values of an entry: each with its name, and what it was before and is after."""
    before, after = entry.before or {}, entry.after or {}
    described = []
    for key in dict.fromkeys([*before, *after]):
        name = style.text(_NAMES.get(key, key.removesuffix("_s")).replace("_", " "))
        old, new = (_describe_value(key, values.get(key), style) for values in (before, after))
        if entry.before is not None and entry.after is not None:
            described.append((name, f"{old} → {new}"))
        elif not _is_nothing((before or after)[key]):
            described.append((name, new if entry.before is None else old))
    return described


def _is_nothing(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})


def _describe_value(key: str, value: Any, style: Style) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _is_nothing(value):
        return "none"
    if isinstance(value, int) and key.endswith("_s"):
        return format_duration(value)
    if isinstance(value, str) and _TIME.match(value):
        return style.time(datetime.fromisoformat(value))
    if isinstance(value, list):
        return ", ".join(_describe_value(key, one, style) for one in value)
    if isinstance(value, dict):
        value = ", ".join(f"{name}={one}" for name, one in value.items())
    text = " ".join(str(value).split())
    if "channel" in key and _CHANNEL.fullmatch(text):
        return style.channel(text)
    if "usergroup" in key and _USERGROUP.fullmatch(text):
        return style.usergroup(text)
    return style.text(text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…")
