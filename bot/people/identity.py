"""Finds the member that a Slack user is, and what they may see.

A user is matched by the Slack id in the organization file, else by e-mail. The e-mail counts only if the user is
of this workspace (and not of another company's, in a shared channel), the e-mail is confirmed, and the user is no bot,
guest or deactivated. Slack is asked at the first request, and again when its answer is old.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from slack_sdk.errors import SlackApiError
from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import Refusal
from bot.slack.background import Background
from bot.slack.clients import Clients
from bot.slack.requests import Person, find_home_team
from storage.engine import Store
from storage.prefetch import Prefetch
from storage.queries import access as queries
from storage.queries import homes, slack_ids
from storage.queries.access import CallerRow
from storage.reading import Reading
from storage.values import Role, Unmatched

log = structlog.get_logger(__name__)

# A profile older than this is refreshed after the request is answered.
FRESH_FOR = timedelta(hours=1)
# A profile older than this is refreshed before the answer: the user may have left, or become a guest.
VALID_FOR = timedelta(days=1)
# Mentions come from the client. Slack is asked only about what is a user id.
_USER_ID = re.compile(r"[UW][A-Z0-9]{1,31}")
# Where Slack could not be asked.
ASK_AGAIN_AFTER = timedelta(minutes=5)


class NotConnected(Refusal):
    """The workspace belongs to no organization, or the bot is not in it."""

    def __init__(self) -> None:
        super().__init__(
            "This workspace is not connected to an organization yet. Ask an owner of your organization to connect it,"
            " or the people who run Tocsin to add it to the organization file and run `run_bot.py apply FILE`."
        )


class TokenUnreadable(Refusal):
    """The bot is in the workspace, and cannot decrypt its token."""

    def __init__(self) -> None:
        super().__init__(
            "Tocsin is not set up correctly: it cannot read its Slack token for this workspace. Ask the people who run"
            " Tocsin to run `run_bot.py doctor`, which says how to fix it."
        )


NOT_MEMBER = "You are not a member of this workspace's organization in Tocsin, so I cannot show you anything."


class NotMember(Refusal):
    """The user is no member of the organization. The sentence says why their e-mail does not count."""

    _REASONS: Mapping[Unmatched | None, str] = {
        Unmatched.UNCONFIRMED: "Slack does not say that your e-mail address is confirmed, as is usual with single"
        " sign-on, so I cannot use it.",
        Unmatched.GUEST: "You are a guest in this workspace, and guests are not recognized by e-mail address.",
        Unmatched.NO_EMAIL: "Slack does not show me your e-mail address.",
        None: "No member has your e-mail address.",
    }

    def __init__(self, user_id: str, unmatched: Unmatched | None, organization_id: int, *, may_ask: bool) -> None:
        asked = "Ask to be let in, or ask" if may_ask else "Ask"
        super().__init__(
            f"{NOT_MEMBER} {self._REASONS[unmatched]} {asked} the people who run Tocsin to add `slack: {user_id}` to"
            " your entry in the organization file."
        )
        self.organization_id = organization_id
        self.may_ask = may_ask  # the managers, to be let in


class FromOtherWorkspace(Refusal):
    """The user belongs to another workspace, with which the channel is shared."""

    def __init__(self) -> None:
        super().__init__("Only members of this workspace's organization can do that here.")


class IncidentsOff(Refusal):
    """Incidents are switched off for the organization."""

    def __init__(self, organization: str) -> None:
        super().__init__(f"Incidents are switched off for {organization}.")


class SlackAway(Refusal):
    """Slack could not be asked about a user."""

    def __init__(self) -> None:
        super().__init__("Slack did not answer when I looked up who you are. Try again in a moment.")


@dataclass(frozen=True, slots=True)
class Profile:
    """A Slack user, as `users.info` describes them."""

    home_team: str | None
    at_home: bool  # belongs to the workspace of the request
    name: str
    email: str | None  # None where it does not count
    unmatched: Unmatched | None  # why the e-mail does not count
    timezone: str  # IANA name
    ordinary: bool  # no bot, no guest, not deactivated

    @classmethod
    def read(cls, user: Mapping[str, Any], workspace_id: str) -> Profile:
        """From the `user` object of `users.info`."""
        profile = user.get("profile") or {}
        home = find_home_team(user.get("team_id"), profile.get("team"))
        # In an Enterprise organization a user may belong to several workspaces.
        homes = {home, *((user.get("enterprise_user") or {}).get("teams") or [])}
        unmatched = _unmatched(user)
        return cls(
            home_team=home,
            at_home=workspace_id in homes and not user.get("is_stranger"),
            name=profile.get("real_name") or user.get("real_name") or user.get("name") or "",
            email=profile.get("email") if unmatched is None else None,
            unmatched=unmatched,
            timezone=_known_zone(user.get("tz")),
            ordinary=not any(
                user.get(flag) for flag in ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_app_user")
            ),
        )


UNKNOWN_PERSON = Profile(
    home_team=None, at_home=False, name="", email=None, unmatched=None, timezone="UTC", ordinary=False
)


def _unmatched(user: Mapping[str, Any]) -> Unmatched | None:
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return Unmatched.GUEST
    if not (user.get("profile") or {}).get("email"):
        return Unmatched.NO_EMAIL
    return None if user.get("is_email_confirmed") else Unmatched.UNCONFIRMED


def _known_zone(name: object) -> str:
    try:
        return str(ZoneInfo(str(name)))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"


class Identity:
    """Finds the member behind a Slack user, from the database and Slack."""

    def __init__(self, store: Store, clients: Clients, background: Background) -> None:
        self._store = store
        self._clients = clients
        self._background = background
        # Users who saw all projects at their last request: which statement to try first. It grants nothing.
        self._saw_all: set[tuple[str, str]] = set()
        self._opened_home: set[tuple[str, str]] = set()  # users of whom this is recorded

    def access(self, reading: Reading, person: Person, now: datetime, prefetch: Prefetch | None = None) -> Access:
        """The member that a user is, and what they see. For a known user it is one query, which runs `prefetch` too.

        Raises NotConnected, TokenUnreadable, FromElsewhere, NotMember, IncidentsOff, SlackAway, DatabaseAway.
        """
        standing = self._standing(reading.connection, person, prefetch)
        age = now - standing.date_checked if standing.date_checked else None
        if age is None or age > VALID_FOR:
            self._ask_slack(reading, standing, person.workspace_id, person.user_id, now)
            standing = self._standing(reading.connection, person, prefetch)
        elif age > FRESH_FOR:
            self._background.submit(lambda: self.refresh(person.workspace_id, person.user_id, now))
        return _build_access(standing, person)

    def reload(self, connection: Connection, person: Person) -> Access:
        """The same after what a transaction has changed. Raises NotConnected, NotMember, IncidentsOff."""
        return _build_access(self._standing(connection, person, None), person)

    def _standing(self, connection: Connection, person: Person, prefetch: Prefetch | None) -> CallerRow:
        who = (person.workspace_id, person.user_id)
        if self._clients.find(person.workspace_id) is None:
            raise TokenUnreadable if self._clients.is_unreadable(person.workspace_id) else NotConnected
        if prefetch is None:
            standing = queries.find_caller(connection, *who)
        else:
            standing = queries.find_caller_and_prefetch(connection, prefetch, *who, saw_all=who in self._saw_all)
        if standing is None:
            raise NotConnected
        (self._saw_all.add if standing.sees_all else self._saw_all.discard)(who)
        return standing

    def refresh(self, workspace_id: str, user_id: str, now: datetime) -> None:
        """Asks Slack about a user again and stores the answer. Raises SlackAway."""
        with self._store.reading() as reading:
            standing = queries.find_caller(reading.connection, workspace_id, user_id)
            if standing is not None:
                self._ask_slack(reading, standing, workspace_id, user_id, now)

    def note_home_opened(self, person: Person) -> None:
        """Records that a user has opened Home, after the request is answered: it is published anew from then on."""
        who = (person.workspace_id, person.user_id)
        if who not in self._opened_home:
            self._background.submit(lambda: self._record_home_opened(*who))

    def _record_home_opened(self, workspace_id: str, user_id: str) -> None:
        with self._store.reading() as reading:
            known = homes.mark_opened(reading.connection, workspace_id, user_id)
        if known:  # else Slack could not be asked about them: the next opening records it
            self._opened_home.add((workspace_id, user_id))

    def forget(self, tx: Connection, person: Person) -> None:
        """Marks a user's profile as expired: Slack is asked again before their next request is answered."""
        queries.expire_profile(tx, person.workspace_id, person.user_id)

    def find_member_of_user(
        self, reading: Reading, workspace_id: str, user_id: str, now: datetime
    ) -> tuple[int | None, str]:
        """The member that a mentioned user is, or None, and the name that Slack shows. Raises SlackAway."""
        if not _USER_ID.fullmatch(user_id):
            return None, user_id
        standing = queries.find_caller(reading.connection, workspace_id, user_id)
        if standing is None:
            raise NotConnected
        if standing.date_checked is None or now - standing.date_checked > VALID_FOR:
            self._ask_slack(reading, standing, workspace_id, user_id, now)
        member_id, name = queries.find_person(reading.connection, workspace_id, user_id)
        return member_id, name or user_id

    def find(self, workspace_id: str, member_id: int, user_id: str | None, now: datetime) -> str | None:
        """The Slack id of a member, as of now; None where Slack has no such user.

        `user_id` is the id by which they were known before. The rules for matching are those of `access`. Raises
        SlackAway, DatabaseAway.
        """
        with self._store.reading() as reading:
            user_id = slack_ids.find_user_of_member(reading.connection, workspace_id, member_id) or user_id
            if user_id is not None:
                known, _ = self.find_member_of_user(reading, workspace_id, user_id, now)
                if known == member_id:
                    return user_id
            email = queries.find_email(reading.connection, workspace_id, member_id)
            reading.give_back()
            found = self._by_email(workspace_id, email) if email else None
            if found is None:
                return None
            # The user who was found has to pass the same rules as any other.
            standing = queries.find_caller(reading.connection, workspace_id, found)
            if standing is None:
                return None
            self._ask_slack(reading, standing, workspace_id, found, now)
            known, _ = queries.find_person(reading.connection, workspace_id, found)
            return found if known == member_id else None

    def find_user_by_email(self, reading: Reading, workspace_id: str, email: str) -> str | None:
        """The id of the Slack user with this e-mail, or None. Raises SlackAway."""
        reading.give_back()
        return self._by_email(workspace_id, email)

    def get_profile(self, reading: Reading, workspace_id: str, user_id: str) -> Profile:
        """A user as Slack describes them now; UNKNOWN_PERSON for an id that is nobody's. Raises SlackAway."""
        if not _USER_ID.fullmatch(user_id):
            return UNKNOWN_PERSON
        reading.give_back()
        return self._profile(workspace_id, user_id)

    def _by_email(self, workspace_id: str, email: str) -> str | None:
        installation = self._clients.find(workspace_id)
        if installation is None:
            return None
        try:
            return str(installation.client.users_lookupByEmail(email=email)["user"]["id"])
        except SlackApiError as error:
            if error.response.get("error") == "users_not_found":
                return None
            log.warning("users.lookupByEmail was refused", error=error.response.get("error"))
            raise SlackAway from error
        except OSError as error:
            log.warning("Slack could not be reached", method="users.lookupByEmail", error=str(error))
            raise SlackAway from error

    def _ask_slack(self, reading: Reading, standing: CallerRow, workspace_id: str, user_id: str, now: datetime) -> None:
        member_id = slack_ids.find_member_of_user(reading.connection, standing.organization_id, workspace_id, user_id)
        reading.give_back()
        checked = now
        try:
            profile = self._profile(workspace_id, user_id)
        except SlackAway:
            if member_id is None:
                raise
            # The organization file has this id, so the profile is not needed. Only the time zone is unknown.
            profile = UNKNOWN_PERSON
            checked = now - VALID_FOR + ASK_AGAIN_AFTER
        organization_id = standing.organization_id
        member_id = member_id or _find_by_email(reading.connection, organization_id, workspace_id, profile)
        _save(reading.connection, workspace_id, user_id, member_id, profile, checked)
        if member_id is None:
            # Who was being added meanwhile: their row was locked, and this was saved after that had committed.
            member_id = slack_ids.find_member_of_user(reading.connection, organization_id, workspace_id, user_id)
            member_id = member_id or _find_by_email(reading.connection, organization_id, workspace_id, profile)
            if member_id is not None:
                _save(reading.connection, workspace_id, user_id, member_id, profile, checked)

    def _profile(self, workspace_id: str, user_id: str) -> Profile:
        installation = self._clients.find(workspace_id)
        if installation is None:
            raise NotConnected
        try:
            return Profile.read(installation.client.users_info(user=user_id)["user"], workspace_id)
        except SlackApiError as error:
            if error.response.get("error") in ("user_not_found", "users_not_found", "user_not_visible"):
                return UNKNOWN_PERSON
            log.warning("users.info was refused", error=error.response.get("error"))
            raise SlackAway from error
        except OSError as error:
            log.warning("Slack could not be reached", method="users.info", error=str(error))
            raise SlackAway from error


def _find_by_email(connection: Connection, organization_id: int, workspace_id: str, profile: Profile) -> int | None:
    """The member with the e-mail of a profile, where it counts."""
    if not (profile.at_home and profile.ordinary and profile.email):
        return None
    return queries.find_member_by_email(connection, organization_id, workspace_id, profile.email)


def _save(
    connection: Connection, workspace_id: str, user_id: str, member_id: int | None, profile: Profile, checked: datetime
) -> None:
    queries.save_person(
        connection,
        workspace_id,
        user_id,
        member_id=member_id,
        home_team=profile.home_team,
        name=profile.name,
        timezone=profile.timezone,
        unmatched=profile.unmatched,
        now=checked,
    )


def _build_access(standing: CallerRow, person: Person) -> Access:
    if standing.member_id is None:
        # This answer does not depend on whether the organization uses incidents.
        elsewhere = person.home_team or standing.home_team
        if elsewhere is not None and elsewhere != person.workspace_id:
            raise FromOtherWorkspace
        unmatched = Unmatched(standing.unmatched) if standing.unmatched else None
        may_ask = standing.incidents_on and unmatched is not Unmatched.GUEST
        raise NotMember(person.user_id, unmatched, standing.organization_id, may_ask=may_ask)
    if not standing.incidents_on:
        raise IncidentsOff(standing.organization_name)
    return Access(
        organization_id=standing.organization_id,
        organization_name=standing.organization_name,
        workspace_id=person.workspace_id,
        member_id=standing.member_id,
        name=standing.name or "",
        email=standing.email or "",
        role=Role(standing.role or Role.MEMBER),
        superuser=bool(standing.superuser),
        team_ids=frozenset(standing.team_ids),
        loaded_project_ids=None if standing.project_ids is None else tuple(standing.project_ids),
        sees_all=standing.sees_all,
        shared_channels=standing.shared_channels,
        timezone=standing.timezone or "UTC",
        workspace_added=standing.workspace_added,
    )
