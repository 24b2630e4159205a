"""The guided path of the demo: steps to try, and which of them are done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, select

from bot.demo.company import SLUG, Company
from bot.demo.digest import was_sent_since
from sandbox import Sandbox
from storage.engine import Store
from storage.models import CommentMention, Incident, IncidentActivity, IncidentSeen, Member, Organization
from storage.values import ActivityType, Status


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to try. `text` is mrkdwn."""

    title: str
    text: str
    who: str  # as whom, a Slack id
    place: str  # where, a channel's id or `home`
    done: Callable[[Connection], bool]


class GuidedPath:
    """The steps around the incident `number`, and which of them are done."""

    def __init__(self, slack: Sandbox, store: Store, company: Company, command: str, number: int) -> None:
        self._slack = slack
        self._store = store
        self._company = company
        self._number = number
        self._began = store.clock.now()
        with store.read() as connection:
            found = connection.execute(
                select(Incident.id, Incident.organization_id)
                .join(Organization, Organization.id == Incident.organization_id)
                .where(Organization.slug == SLUG, Incident.identifier == number)
            ).one()
            self._incident_id = found.id
            members = connection.execute(
                select(Member.slack_user_id, Member.id).where(Member.organization_id == found.organization_id)
            )
            self._member_ids = {row.slack_user_id: row.id for row in members}
        self._steps = self._build_steps(command)

    def _build_steps(self, command: str) -> list[Step]:
        ada, cyn, eve = self._company.ada, self._company.cyn, self._company.eve
        incident = f"*#{self._number}*"
        messages = "D" + ada.id[1:]
        return [
            Step(
                "Somebody mentioned you",
                f"You are {ada.name} of Payments, on call. Ben asks for your help: look at your messages from Tocsin.",
                ada.id,
                messages,
                lambda _: self._messages_read(),
            ),
            Step(
                "Say that you have seen it",
                f"Find the card of {incident} in *#checkout* and press `Acknowledge`. The card says so to everybody.",
                ada.id,
                self._company.checkout.id,
                self._acknowledged,
            ),
            Step(
                "Comment, and bring your team in",
                "Choose `Comment` in the card's `⋯` menu and mention a team, as `@payments`. Its members get a message."
                " A reply in the card's thread is a comment too.",
                ada.id,
                self._company.checkout.id,
                self._commented,
            ),
            Step(
                "Resolve it",
                f"Press `Resolve`, or type `{command} resolve {self._number} all good again`.",
                ada.id,
                self._company.checkout.id,
                self._resolved,
            ),
            Step(
                "Read the digest",
                "A minute after the demo has begun, and each hour, *#checkout* is told what Ben sees to be open."
                f" `{command} digest list` shows how; in the inspector, the clock brings the next one on.",
                ada.id,
                self._company.checkout.id,
                self._digest_read,
            ),
            Step(
                "See who sees what",
                f"Be {cyn.name} of Search and type `{command} list all`: what is Payments' is not there. Then be"
                f" {eve.name}, who belongs to no team, and try the same.",
                cyn.id,
                self._company.general.id,
                lambda _: self._asked(cyn.id),
            ),
            Step(
                "Look at the Home",
                "Every person's open incidents, what they follow, and a button for each command.",
                ada.id,
                "home",
                lambda _: self._slack.who(ada.id).home() is not None,
            ),
        ]

    def show(self) -> None:
        """Puts the steps on the page, with a tick at those that are done. Raises DatabaseAway."""
        with self._store.read() as connection:
            steps: list[dict[str, Any]] = [
                {
                    "title": step.title,
                    "text": step.text,
                    "as": step.who,
                    "place": step.place,
                    "done": step.done(connection),
                }
                for step in self._steps
            ]
        self._slack.guide(steps)

    def mention_is_due(self) -> bool:
        """Whether Ben has yet to ask for help. Raises DatabaseAway."""
        with self._store.read() as connection:
            return not self._has(connection, self._company.ben.id, ActivityType.COMMENT)

    def _has(self, connection: Connection, slack_id: str, kind: ActivityType, value: Status | None = None) -> bool:
        wanted = select(IncidentActivity.id).where(
            IncidentActivity.incident_id == self._incident_id,
            IncidentActivity.member_id == self._member_ids[slack_id],
            IncidentActivity.type == kind,
        )
        if value is not None:
            wanted = wanted.where(IncidentActivity.value == value)
        return bool(connection.scalar(select(exists(wanted))))

    def _messages_read(self) -> bool:
        ada = self._company.ada
        told = any(f"#{self._number}" in message.text for message in ada.direct_messages())
        return told and self._slack.unread(ada, "D" + ada.id[1:]) == 0

    def _acknowledged(self, connection: Connection) -> bool:
        seen = select(IncidentSeen).where(
            IncidentSeen.incident_id == self._incident_id,
            IncidentSeen.member_id == self._member_ids[self._company.ada.id],
        )
        return bool(connection.scalar(select(exists(seen))))

    def _commented(self, connection: Connection) -> bool:
        mention = (
            select(CommentMention.id)
            .join(IncidentActivity, IncidentActivity.id == CommentMention.activity_id)
            .where(
                IncidentActivity.incident_id == self._incident_id,
                IncidentActivity.member_id == self._member_ids[self._company.ada.id],
                CommentMention.team_id.is_not(None),
            )
        )
        return bool(connection.scalar(select(exists(mention))))

    def _resolved(self, connection: Connection) -> bool:
        return self._has(connection, self._company.ada.id, ActivityType.STATUS_CHANGE, Status.CLOSED)

    def _digest_read(self, connection: Connection) -> bool:
        read = self._slack.unread(self._company.ada, self._company.checkout.id) == 0
        return read and was_sent_since(connection, self._began)

    def _asked(self, slack_id: str) -> bool:
        return any(
            exchange.kind == "slash_commands" and exchange.sent.get("user_id") == slack_id
            for exchange in self._slack.sent
        )
