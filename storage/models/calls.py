"""Calls: the steps that are due, who was called, and the user groups of Slack that say who is on call."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within, null_within


class CallStep(Base):
    """One call to be made for an incident, unless somebody has it by then. It keeps the rule that it was made from.

    A round begins with the incident, with a rise of its severity, and when it is reopened. `repetition` counts the
    repeats of one step. A step that waits for its owner to release the incident has neither `due_at` nor `outcome`.
    """

    __tablename__ = "call_step"
    __table_args__ = (
        cascade_within("incident_id", "incident"),
        cascade_within("team_id", "team"),
        Index("ix_call_step_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"), primary_key=True)
    incident_id: Mapped[int] = mapped_column(primary_key=True, index=True)
    round: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    step: Mapped[int] = mapped_column(SmallInteger, primary_key=True)  # counts from 1 within the rules of the team
    repetition: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(index=True)
    severity: Mapped[int] = mapped_column(SmallInteger)
    who: Mapped[str]  # "oncall", "team", "managers", or the e-mail of a member
    after_s: Mapped[int]
    repeat_s: Mapped[int | None]
    quiet: Mapped[str | None]  # "22:00-07:00", in the team's zone
    until: Mapped[str]  # "owned" or "acknowledged"
    since: Mapped[datetime]  # from when its time counts: the beginning of the round, or the last release
    due_at: Mapped[datetime | None]  # NULL: it is done, or waits for a release
    outcome: Mapped[str | None]  # why it is done: "called", "nobody", or the reason for which it was dropped
    date_done: Mapped[datetime | None]


class CallRecipient(Base):
    """Somebody who was called by a step, and the direct message about it."""

    __tablename__ = "call_recipient"
    __table_args__ = (
        cascade_within("member_id", "member"),
        null_within("post_id", "post"),
        ForeignKeyConstraint(
            ["organization_id", "incident_id", "round", "step", "repetition"],
            [f"call_step.{column}" for column in ("organization_id", "incident_id", "round", "step", "repetition")],
            ondelete="CASCADE",
        ),
    )

    organization_id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(primary_key=True, index=True)
    round: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    step: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    repetition: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(primary_key=True, index=True)
    post_id: Mapped[int | None] = mapped_column(index=True)
    date_declined: Mapped[datetime | None]  # when they answered "Not me"


class Usergroup(Base):
    """A user group of Slack whose people the bot keeps: who is on call, or the members of a team."""

    __tablename__ = "usergroup"

    workspace_id: Mapped[str] = mapped_column(cascade("workspace.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)  # Slack's "S…"
    # When its people were read; NULL: they have changed since, or have not been read yet.
    date_checked: Mapped[datetime | None]
    date_read: Mapped[datetime | None]  # the last time that reading worked; NULL: never
    asked_until: Mapped[datetime | None]  # until then a replica asks Slack, and others do not
    version: Mapped[int] = mapped_column(server_default=text("0"))  # counts the changes that Slack has reported
    problem: Mapped[str | None]  # Slack's code of the error of the last reading


class UsergroupUser(Base):
    """A person of such a user group."""

    __tablename__ = "usergroup_user"
    __table_args__ = (
        ForeignKeyConstraint(
            ["workspace_id", "usergroup_id"], ["usergroup.workspace_id", "usergroup.id"], ondelete="CASCADE"
        ),
    )

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    usergroup_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)  # Slack's "U…" or "W…"
