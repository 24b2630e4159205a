"""The guided path of the demo: steps to try, and which of them are done."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, select

from bot.demo.company import SLUG, Company
from bot.demo.digest import was_sent_since
from sandbox import Sandbox
from storage.engine import Store
from storage.models import (
    CommentMention,
    Incident,
    IncidentActivity,
    IncidentSeen,
    Member,
    Organization,
    Storm,
)
from storage.values import ActivityType, Status


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to try. `text` is mrkdwn."""

    title: str
    text: str
    who: str  # as whom, a Slack id
    place: str  # where: a channel's id, `home`, `trouble` (of the inspector), or nowhere
    done: Callable[[Connection], bool]
    button: str = ""  # the label of a button in the step


STORM_BUTTON = "Send a storm"


class GuidedPath:
    """The steps around the incident `number`, and which of them are done."""

    def __init__(
        self,
        slack: Sandbox,
        store: Store,
        company: Company,
        command: str,
        number: int,
        start_storm: Callable[[], None],
    ) -> None:
        self._start_storm = start_storm
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
        ada, ben, cyn = self._company.ada, self._company.ben, self._company.cyn
        checkout, incident = self._company.checkout.id, f"*#{self._number}*"
        return [
            Step(
                "Read who needs you",
                f"You are {ada.name} of Payments, on call. Ben has mentioned you: open your messages from Tocsin.",
                ada.id,
                "D" + ada.id[1:],
                lambda _: self._messages_read(),
            ),
            Step(
                "Acknowledge it",
                f"Find the card of {incident} in *#checkout* and press `Acknowledge`. Everybody sees it there.",
                ada.id,
                checkout,
                self._acknowledged,
            ),
            Step(
                "Comment, and bring your team in",
                "Choose `Comment` in the card's `⋯` menu, and mention a team as `@payments`. Its members get a direct"
                " message. A reply in the card's thread is a comment too.",
                ada.id,
                checkout,
                self._commented,
            ),
            Step(
                "Resolve it",
                f"Press `Resolve` on the card, or type `{command} resolve {self._number} all good again`.",
                ada.id,
                checkout,
                self._resolved,
            ),
            Step(
                "Read the digest",
                "A minute after the demo has started, and then each hour, the digest in *#checkout* shows what is open."
                f" `{command} digest list` shows when. To have the next one now, move the clock in the inspector.",
                ada.id,
                checkout,
                self._digest_read,
            ),
            Step(
                "See what your team sees",
                f"{ben.name} is of Payments too. As Ben, type `{command} view {self._number}`: everything is there.",
                ben.id,
                self._company.general.id,
                lambda _: self._looked(ben.id),
            ),
            Step(
                "See what others do not see",
                f"{cyn.name} is of Search. As Cyn, type `{command} view {self._number}` in the same channel: for her it"
                " does not exist. Teams and projects decide that, not channels.",
                cyn.id,
                self._company.general.id,
                lambda _: self._looked(cyn.id),
            ),
            Step(
                "Open the Home",
                "It has your open incidents, what you follow, and a button for each command.",
                ada.id,
                "home",
                lambda _: self._slack.who(ada.id).home() is not None,
            ),
            Step(
                "Break Slack",
                "Open the inspector at *Trouble and time* and press `Answer lost`: Slack takes the bot's next call, and"
                f" the answer gets lost. Then type `{command} declare critical Slack is broken`. Its card comes once.",
                ada.id,
                "trouble",
                lambda _: self._slack.faults.met > 0,
            ),
            Step(
                "See a storm of alerts",
                "Press the button: 60 alerts arrive within seconds. *#checkout* gets one message that counts them, and"
                " says so when it is over. Its buttons list, take, silence or split them.",
                ada.id,
                checkout,
                self._storm_seen,
                button=STORM_BUTTON,
            ),
            Step(
                "Take it to your own Slack",
                "`python3 run_bot.py manifest` prints the app for your workspace, and `python3 run_bot.py doctor`"
                " checks the setup. The README has it step by step: “A first real workspace in five minutes”.",
                ada.id,
                "",
                lambda _: False,  # it leads away from here
            ),
        ]

    def show(self) -> None:
        """Puts the steps on the page, with a tick at those that are done; once done, a step stays so. Raises
        DatabaseAway.
        """
        done = self._slack.steps_done
        with self._store.read() as connection:
            steps: list[dict[str, Any]] = [
                {
                    "title": step.title,
                    "text": step.text,
                    "as": step.who,
                    "place": step.place,
                    "done": step.title in done or step.done(connection),
                    "button": step.button,
                }
                for step in self._steps
            ]
        self._slack.guide(steps, {STORM_BUTTON: self._start_storm})

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
        is_notified = any(f"#{self._number}" in message.text for message in ada.direct_messages())
        return is_notified and self._slack.unread(ada, "D" + ada.id[1:]) == 0

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

    @staticmethod
    def _storm_seen(connection: Connection) -> bool:
        return bool(connection.scalar(select(exists(select(Storm.id)))))

    def _looked(self, slack_id: str) -> bool:
        """Whether somebody has looked at the incident, or at a list."""
        return any(
            exchange.kind == "slash_commands"
            and exchange.sent.get("user_id") == slack_id
            and re.match(rf"list\b|(view\s+)?#?{self._number}$", str(exchange.sent.get("text")).strip())
            for exchange in self._slack.sent
        )
