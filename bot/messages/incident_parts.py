"""The parts of an incident that its card, `view` and direct messages have in common, each rendered in one form."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.markup import escape
from bot.messages.blocks import (
    MAX_CONTEXT,
    MAX_ELEMENTS,
    Block,
    bold,
    context,
    format_date,
    format_duration,
    link,
    link_urls,
    section,
    truncate,
)
from bot.messages.comments import render_comment_with_names
from storage.rows import DESCRIPTION, ActivityEntry, IncidentDetails, Mentions, Owner, Seen
from storage.values import Status

# Names that are listed if more people than `MAX_NAMES` have acknowledged an incident.
FEW_NAMES = 2
MAX_NAMES = 3
NAME_LENGTH = 80  # characters of a person's name
# From this duration on, the time alone would not say on which day an incident was resolved.
SAME_DAY_S = 12 * 3600
PLACE_LENGTH = 150  # characters of the names of all projects, of the team or of the environment
COMMENT_LENGTH = 300  # of the last comment
VALUE_LENGTH = 60  # characters of a fact among others in one line
STATUS_NAMES = {
    Status.OPEN: "Open",
    Status.CLOSED: "Resolved",
    Status.WARNING: "Warning",
    Status.CRITICAL: "Critical",
}
# The severity of an open incident, by its status: behind the word "severity", and by itself.
SEVERITY_NAMES = {Status.OPEN: "None", Status.WARNING: "Warning", Status.CRITICAL: "Critical"}
SEVERITY_LABELS = {**SEVERITY_NAMES, Status.OPEN: "No severity"}


def render_status(status: Status) -> str:
    """The severity of an open incident, or that it is resolved."""
    return SEVERITY_LABELS.get(status, "Resolved")


def render_seen(seen: Sequence[Seen], count: int) -> str:
    """Who has acknowledged an incident: "Seen by Ada, Ben and 3 more". `seen` has the most recent first."""
    return render_seen_by([one.name for one in seen], count)


def render_seen_by(people: Sequence[str], count: int) -> str:
    """Who has acknowledged an incident, from the names of some of `count` people, the most recent first."""
    if not people:
        return "Nobody has acknowledged this yet"
    names = [truncate(escape(name), NAME_LENGTH) for name in people[: MAX_NAMES if count <= MAX_NAMES else FEW_NAMES]]
    if more := count - len(names):
        return f"Seen by {', '.join(names)} and {more} more"
    *first, last = names
    return f"Seen by {', '.join(first)} and {last}" if first else f"Seen by {last}"


def render_owned(owner: Owner) -> str:
    """Who owns an incident, and since when (mrkdwn): "Owned by Ada since today at 10:32 PM"."""
    sentence = f"Owned by {truncate(escape(owner.name), NAME_LENGTH)} since {format_date(owner.since)}"
    return sentence + (f", offered to {truncate(escape(owner.offered_to), NAME_LENGTH)}" if owner.offered_to else "")


def find_description(incident: IncidentDetails) -> str | None:
    """What the alert says about itself, as plain text; None where it says nothing."""
    return next((text for name, text in incident.facts if name == DESCRIPTION), None)


def render_description(incident: IncidentDetails, limit: int) -> list[Block]:
    """The alert's description in at most `limit` characters, whole words if possible: one block, or none."""
    text = link_urls(escape(find_description(incident) or ""))
    shown = truncate(text, limit)
    if shown != text and " " in shown[limit // 2 :]:
        shown = shown.rpartition(" ")[0] + "…"
    return [section(shown)] if shown else []


def render_all_facts(incident: IncidentDetails) -> list[Block]:
    """Every label and value of the alert, ten in a block."""
    facts = [f"{bold(escape(name))} {link_urls(escape(text))}" for name, text in _list_facts(incident)]
    return [context(*facts[first : first + MAX_ELEMENTS]) for first in range(0, len(facts), MAX_ELEMENTS)]


def render_few_facts(incident: IncidentDetails, limit: int) -> list[Block]:
    """The first labels and values of the alert in one text of about `limit` characters, and how many more it has."""
    shown: list[str] = []
    length = 0
    facts = _list_facts(incident)
    for name, text in facts:
        fact = f"{bold(escape(name))} {truncate(link_urls(escape(text)), VALUE_LENGTH)}"
        length += len(fact)
        if shown and length > limit:
            shown.append(f"and {len(facts) - len(shown)} more")
            break
        shown.append(fact)
    return [context(" · ".join(shown))] if shown else []


def _list_facts(incident: IncidentDetails) -> list[tuple[str, str]]:
    description = find_description(incident)
    return [fact for fact in incident.facts if fact != (DESCRIPTION, description)]


def render_links(incident: IncidentDetails, limit: int = MAX_ELEMENTS * MAX_CONTEXT) -> list[Block]:
    """The alert's links by name, its source last: one block, or none. Links that exceed `limit` together are left out.

    Each may be as long as Slack allows for a text.
    """
    links = list(incident.links)
    if incident.url:
        links = [*links[: MAX_ELEMENTS - 1], ("Source", incident.url)]
    shown: list[str] = []
    for name, url in links:
        text = link(url, name)
        if len(text) <= limit:
            shown.append(text)
            limit -= len(text)
    return [context(*shown)] if shown else []


def render_silence(incident: IncidentDetails) -> list[Block]:
    """Until when a silence holds an open incident, and by whom: one block, or none."""
    silence = incident.silence
    if silence is None or incident.status is Status.CLOSED:
        return []
    text = f":no_bell: Silenced until {format_date(silence.ends)} by {truncate(escape(silence.maker), NAME_LENGTH)}"
    return [context(f"{text}: {escape(silence.reason)}" if silence.reason else text)]


def render_place(incident: IncidentDetails) -> list[str]:
    """Severity, projects, team and environment (mrkdwn), where the incident has them."""
    facts = [SEVERITY_LABELS.get(incident.status), ", ".join(incident.projects), incident.team, incident.environment]
    return [truncate(escape(fact), PLACE_LENGTH) for fact in facts if fact]


def render_age(incident: IncidentDetails) -> str:
    """How long ago an incident began. Slack computes it whenever somebody looks: nothing has to be redrawn."""
    return f"started {format_date(incident.date_started, '{ago}')}"


def render_last_comment(entry: ActivityEntry, mentions: Mentions) -> str:
    """The last word about an incident in a line of mrkdwn. It mentions nobody."""
    who = bold(truncate(escape(entry.author or "Someone"), NAME_LENGTH))
    text = render_on_one_line(entry.comment or "", mentions, COMMENT_LENGTH)
    return f":speech_balloon: {who}, {format_date(entry.date_added)}: {text}"


def render_on_one_line(comment: str, mentions: Mentions, limit: int) -> str:
    """The beginning of a comment as mrkdwn without line breaks. It mentions nobody."""
    return truncate(render_comment_with_names(" ".join(comment.split()), mentions), limit)


def render_resolved(incident: IncidentDetails, entry: ActivityEntry | None) -> str:
    """Who or what resolved an incident, when, and after how long (mrkdwn): "Resolved by Ada at 10:37 PM after 14 min".

    `entry` is the log entry of its resolution; without it, the text does not say who.
    """
    sentence = "Resolved"
    if entry is not None:
        by_whom = escape(entry.author) if entry.author else "its alert" if incident.source else "someone"
        sentence += f" by {truncate(by_whom, NAME_LENGTH)}"
    if incident.date_closed is not None:
        lasted = (incident.date_closed - incident.date_started).total_seconds()
        form = "at {time}" if lasted < SAME_DAY_S else "{date_short_pretty} at {time}"
        sentence += f" {format_date(incident.date_closed, form)}"
        sentence += f" after {format_duration(incident.date_started, incident.date_closed)}"
    return sentence
