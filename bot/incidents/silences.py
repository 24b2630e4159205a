"""Silences: alerts that make no cards until a moment that is always given. Their incidents are recorded all the same.

Whoever sees an incident may silence its alert, and may end any silence of a project that they see. A silence holds only
incidents that its maker sees. Of several silences that match an incident, the one that ends last holds it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.incidents import lookup
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.limits import MAX_REASON_LENGTH
from bot.incidents.plain_text import disable_formatting
from bot.incidents.words import shorten
from storage.queries import outbox
from storage.queries import silences as queries
from storage.rows import EndedSilence, IncidentHead, NewSilence, SilencedAlert, SilenceRow

USAGE = "silence N DURATION|until:… [reason]"
END_USAGE = "silence end ID"
EXAMPLE = "silence N 2h"
UNTIL_EXAMPLE = "silence N until:18:00"
LONGEST = timedelta(days=365)
_LARGEST_ID = 2**63 - 1  # what the column holds

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d{1,9})([smhd])", re.IGNORECASE)
_NO_UNIT = re.compile(r"\d+")
_UNTIL = re.compile(r'until:\s*(?:["“”„]([^"“”„]*)["“”„]|(\S+))', re.IGNORECASE)
_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")


class NoAlert(Refusal):
    """A person declared the incident, so there is no alert to silence."""

    def __init__(self, incident: IncidentHead) -> None:
        super().__init__(
            f"#{incident.identifier} {disable_formatting(incident.title)} has no alert to silence:"
            " it was declared by a person, or its alert has another incident now."
        )


class NoSuchSilence(Refusal):
    """There is no such silence, it has ended, or it is for a project that the caller does not see."""

    def __init__(self, silence_id: int) -> None:
        super().__init__(f"There is no silence {silence_id} that you can see. `silence list` shows those in force.")


# --- when it ends ------------------------------------------------------------------------------------------


def parse_end(text: str, now: datetime, zone: str) -> tuple[datetime, str]:
    """Parses `2h` or `until:…` at the beginning of a text into the end of a silence. Returns the rest of the text too.

    Times are in `zone`. Raises InvalidInput.
    """
    until = _UNTIL.match(text)
    if until is not None:
        return parse_until((until[1] or until[2] or "").strip(), now, zone), text[until.end() :].strip()
    word, _, rest = text.strip().partition(" ")
    if not word:
        raise InvalidInput("Say how long, because every silence ends.", EXAMPLE)
    return parse_duration(word, now), rest.strip()


def parse_duration(word: str, now: datetime) -> datetime:
    """The end of a silence that begins now and lasts as long as `90m`, `2h` or `3d`. Raises InvalidInput."""
    found = _DURATION.fullmatch(word)
    if found is None:
        if _NO_UNIT.fullmatch(word):
            raise InvalidInput(
                f"“{shorten(word)}” has no unit. Use s, m, h or d, such as 30m, 2h or 3d.", EXAMPLE, field="for"
            )
        raise InvalidInput(
            f"“{shorten(word)}” is not a duration. Use a number and s, m, h or d, such as 30m, 2h or 3d.",
            EXAMPLE,
            field="for",
        )
    lasts = timedelta(**{_UNITS[found[2].lower()]: int(found[1])})
    if not lasts:
        raise InvalidInput("A silence lasts at least one second.", EXAMPLE, field="for")
    return check_end(now + min(lasts, 2 * LONGEST), now, field="for")


def parse_until(value: str, now: datetime, zone: str) -> datetime:
    """Parses `18:00`, which is the next time that it is so late, `2026-11-29` or `2026-11-29T18:00`.

    A day alone is its end. Times are in `zone`. Raises InvalidInput.
    """
    where = ZoneInfo(zone)
    try:
        if found := _TIME.fullmatch(value):
            clock = time(int(found[1]), int(found[2]))
            end = datetime.combine(now.astimezone(where).date(), clock, where)
            if end <= now:
                end = datetime.combine(end.date() + timedelta(days=1), clock, where)
        elif _DATE.fullmatch(value):
            year, month, day = map(int, value.split("-"))
            end = datetime.combine(date(year, month, day) + timedelta(days=1), time(), where)
        else:
            end = datetime.fromisoformat(value.upper())
            end = end if end.tzinfo else end.replace(tzinfo=where)
        end = end.astimezone(UTC)  # PostgreSQL knows fewer offsets than Python
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"“{shorten(value)}” is not a time. Use 18:00, 2026-11-29 or 2026-11-29T18:00.",
            UNTIL_EXAMPLE,
            field="until",
        ) from None
    return check_end(end, now, field="until")


def check_end(end: datetime, now: datetime, *, field: str) -> datetime:
    """The end of a silence, if it is one. Raises InvalidInput for one that has passed, or is more than a year away."""
    if end <= now:
        raise InvalidInput("That time has passed. Choose a later one.", UNTIL_EXAMPLE, field=field)
    if end - now > LONGEST:
        raise InvalidInput("A silence lasts at most a year (365d).", EXAMPLE, field=field)
    return end


def parse_id(word: str) -> int:
    """Parses the id of a silence. Raises InvalidInput."""
    digits = word.strip().removeprefix("#")
    if not (digits.isascii() and digits.isdigit()):
        mistake = f"“{shorten(word)}” is not the id of a silence." if word else "The id of the silence is missing."
        raise InvalidInput(f"{mistake} `silence list` shows the ids.", END_USAGE)
    return min(int(digits[:20]), _LARGEST_ID)


# --- making ------------------------------------------------------------------------------------------------


def get_alert(connection: Connection, access: Access, identifier: int) -> tuple[IncidentHead, SilencedAlert]:
    """The incident with that identifier, and what describes its alert. Raises NotFound, NoAlert."""
    incident = lookup.get_incident(connection, access, identifier)
    alert = queries.find_alert(connection, access.organization_id, identifier, access.project_ids)
    if alert is None:
        raise NoAlert(incident)
    return incident, alert


def silence_alert(
    tx: Connection,
    access: Access,
    identifier: int,
    ends: datetime,
    now: datetime,
    *,
    reason: str = "",
    labels: Sequence[str] = (),
) -> NewSilence:
    """Silences the alert of an incident until `ends`; with names of its labels, all alerts of its source and project
    that have the same values of these.

    Raises NotFound, NoAlert, InvalidInput.
    """
    if len(reason) > MAX_REASON_LENGTH:
        raise InvalidInput(
            f"A reason can have at most {MAX_REASON_LENGTH} characters; this one has {len(reason):,}.",
            USAGE,
            field="reason",
        )
    incident, alert = get_alert(tx, access, identifier)
    if unknown := [name for name in labels if name not in alert.labels]:
        raise InvalidInput(f"The alert no longer has the label “{shorten(unknown[0])}”.", field="labels")
    matchers: dict[str, Any] = {"source": alert.source}
    if labels:
        matchers["labels"] = {name: alert.labels[name] for name in labels}
    else:
        matchers["key"] = alert.key
    silence_id = queries.insert_silence(
        tx,
        organization_id=access.organization_id,
        workspace_id=access.workspace_id,
        project_id=alert.project_id,
        incident_id=incident.id,
        member_id=access.member_id,
        matchers=matchers,
        reason=reason or None,
        ends=ends,
        now=now,
    )
    held = queries.hold_matching(tx, access.organization_id, silence_id, now)
    # What is being opened right now is not seen yet; what is opened later finds the silence.
    queries.lock_openings(tx, access.organization_id)
    held += queries.hold_matching(tx, access.organization_id, silence_id, now)
    outbox.redraw_cards(tx, held, now)
    return NewSilence(silence_id, incident, ends, len(held))


# --- listing and ending ------------------------------------------------------------------------------------


def list_silences(connection: Connection, access: Access, most: int) -> list[SilenceRow]:
    """At most `most` of the silences in force that the caller sees, the one that ends first before the others."""
    return queries.list_silences(connection, access.organization_id, access.project_ids, most)


def end_silence(tx: Connection, access: Access, silence_id: int, now: datetime) -> EndedSilence:
    """Ends a silence before its time. Raises NoSuchSilence."""
    silence = queries.find_silence(tx, access.organization_id, silence_id, access.project_ids)
    if silence is None:
        raise NoSuchSilence(silence_id)
    return _end(tx, silence, access.member_id, now)


def end_due_silences(tx: Connection, now: datetime, most: int) -> list[EndedSilence]:
    """Ends at most `most` silences whose time has come, without those that another replica is ending."""
    return [_end(tx, silence, None, now) for silence in queries.lock_due_silences(tx, now, most)]


def _end(tx: Connection, silence: SilenceRow, member_id: int | None, now: datetime) -> EndedSilence:
    held = queries.end_silence(tx, silence, member_id, now)
    still_held = set(queries.hold_incidents(tx, [one.id for one in held if one.is_open], now))
    outbox.redraw_cards(tx, [one.id for one in held if one.is_open], now)
    without_card = [one for one in held if not one.has_card and one.id not in still_held]
    return EndedSilence(silence, len(without_card), sum(1 for one in without_card if one.is_open))
