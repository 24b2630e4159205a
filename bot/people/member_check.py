"""For `doctor`: members whose Slack profile does not identify them. Slack is asked about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.people.identity import Profile
from storage.values import Unmatched

# Slack allows about fifty such calls a minute.
MOST_ASKED = 40

_REASONS = {
    Unmatched.UNCONFIRMED: "e-mail not confirmed",
    Unmatched.GUEST: "guest",
    Unmatched.NO_EMAIL: "e-mail not shown",
}


@dataclass(slots=True)
class MemberCheck:
    """What Slack says about members that the organization file names by e-mail only."""

    unmatched: dict[str, str] = field(default_factory=dict)  # by Slack id: who, and why they are not let in
    absent: int = 0  # without an account in the workspace
    not_asked: int = 0  # beyond MOST_ASKED


def check_members(client: WebClient, workspace_id: str, emails: Sequence[str]) -> MemberCheck:
    """Asks Slack about members by e-mail. Raises SlackApiError and OSError where Slack does not answer."""
    found = MemberCheck(not_asked=max(0, len(emails) - MOST_ASKED))
    for email in emails[:MOST_ASKED]:
        try:
            user = client.users_lookupByEmail(email=email)["user"]
        except SlackApiError as error:
            if error.response.get("error") != "users_not_found":
                raise
            found.absent += 1
            continue
        reason = Profile.read(user, workspace_id).unmatched
        if reason is not None:
            found.unmatched[str(user["id"])] = f"{email} ({user['id']}, {_REASONS[reason]})"
    return found
