"""Values of the audit log: who did something administrative, from where, and what was before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class AuditOrigin(StrEnum):
    """From where something was done."""

    SLACK = "slack"  # a command, button or form
    FILE = "file"  # `apply`, with an organization file
    COMMAND = "command"  # another command of run_bot.py
    SYNC = "sync"  # a user group of Slack has other people
    OAUTH = "oauth"  # the bot was installed in a workspace, or removed from it
    SCHEDULE = "schedule"  # the bot itself, when something was due


class AuditAction(StrEnum):
    """What was done. Readers may find others, which a later version has written."""

    ORGANIZATION_ADD = "organization.add"
    ORGANIZATION_CHANGE = "organization.change"
    ORGANIZATION_MOVE = "organization.move"
    WORKSPACE_ADD = "workspace.add"
    WORKSPACE_REMOVE = "workspace.remove"
    INSTALLATION_ADD = "installation.add"
    INSTALLATION_CHANGE = "installation.change"
    INSTALLATION_REMOVE = "installation.remove"
    TEAM_ADD = "team.add"
    TEAM_CHANGE = "team.change"
    TEAM_REMOVE = "team.remove"
    PROJECT_ADD = "project.add"
    PROJECT_CHANGE = "project.change"
    PROJECT_REMOVE = "project.remove"
    MEMBER_ADD = "member.add"
    MEMBER_CHANGE = "member.change"
    MEMBER_REMOVE = "member.remove"
    MEMBER_ASK = "member.ask"  # by somebody who is none, to be let in
    MEMBER_DECLINE = "member.decline"
    MEMBER_ERASE = "member.erase"  # passes the trigger that keeps entries unchanged
    DIGEST_ADD = "digest.add"
    DIGEST_CHANGE = "digest.change"
    DIGEST_REMOVE = "digest.remove"
    SILENCE_ADD = "silence.add"
    SILENCE_END = "silence.end"
    TOKEN_CREATE = "token.create"
    TOKEN_REVOKE = "token.revoke"
    DATA_EXPORT = "data.export"
    DATA_IMPORT = "data.import"
    DATA_RESTORE = "data.restore"
    DATA_RETENTION = "data.retention"  # passes the trigger that keeps entries from being deleted
    HOLD_BEGIN = "hold.begin"
    HOLD_END = "hold.end"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, and from where. With neither a member nor a name it was the bot itself."""

    origin: AuditOrigin
    member_id: int | None = None
    name: str | None = None  # of who is no member: "user@host" of a command, a Slack user id
    workspace_id: str | None = None  # Slack's, where it was done in Slack


@dataclass(frozen=True, slots=True)
class AuditChange:
    """One thing that was done. Members are named by id only, in `before` and `after`, too, so that they can be erased.

    The exception are the values of the subject itself: the e-mail, name and Slack id of `subject_member_id`.
    """

    action: AuditAction
    subject: str | None = None  # how people call what it was done to: a slug, a number, a Slack id
    subject_member_id: int | None = None  # the member to whom it was done
    before: Mapping[str, Any] | None = None  # JSON, without secrets; None: it was not there
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AuditNames:
    """How people call what entries name by a slug or an e-mail address."""

    teams: Mapping[str, str]  # slug to name
    projects: Mapping[str, str]  # slug to name
    people: Mapping[str, str]  # e-mail to name


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An entry of the audit log, as it is read."""

    id: int
    date_added: datetime
    origin: str  # an AuditOrigin, or one of a later version
    workspace_id: str | None
    actor: str | None  # the name of the member, or of whoever it was; None: the bot
    action: str  # an AuditAction, or one of a later version
    subject: str | None
    subject_name: str | None  # the name of the member to whom it was done
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
