"""Takes the name of a former member, and all that identifies them, out of the database. What they did stays."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.member_rows import NO_EMAIL_DOMAIN
from storage.values import ActivityType

FORMER_MEMBER = "a former member"  # in place of the name


@dataclass(frozen=True, slots=True)
class Erasable:
    """Who is or was a member, with what identifies them."""

    id: int  # 0: they never were a member, and asked to be let in
    name: str
    email: str
    user_ids: frozenset[str]  # Slack's
    removed: bool


_PEOPLE = """
SELECT m.id, m.name, m.email, m.date_removed IS NOT NULL, m.slack_user_id,
       ARRAY(SELECT p.user_id FROM workspace w JOIN slack_person p ON p.workspace_id = w.id
             WHERE w.organization_id = m.organization_id AND p.member_id = m.id UNION SELECT k.slack_user_id
             FROM member_slack_user k WHERE k.organization_id = m.organization_id AND k.member_id = m.id)
FROM member m WHERE m.organization_id = %(organization_id)s AND m.id = ANY(%(ids)s) AND m.date_erased IS NULL
ORDER BY m.id
"""


def list_erasable(connection: Connection, organization_id: int, member_ids: Collection[int]) -> list[Erasable]:
    """Returns these members, without those who were erased."""
    rows = connection.exec_driver_sql(_PEOPLE, {"organization_id": organization_id, "ids": list(member_ids)})
    return [
        Erasable(id_, name, email, frozenset(linked) | ({user_id} if user_id else frozenset()), removed)
        for id_, name, email, removed, user_id, linked in rows
    ]


def find_asker(connection: Connection, organization_id: int, user_id: str) -> Erasable | None:
    """Returns who asked to be let in and is no member, by the Slack id; None if nobody with this id has."""
    asked = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT FROM join_request"
        " WHERE organization_id = %(organization_id)s AND user_id = %(user_id)s)",
        {"organization_id": organization_id, "user_id": user_id},
    ).scalar_one()
    # Nothing else is stored by their name, and an address like this is nobody's.
    return Erasable(0, user_id, f"{user_id}@{NO_EMAIL_DOMAIN}", frozenset({user_id}), removed=True) if asked else None


# Where member m shows in incident i.
_TAKES_PART = """
(i.owner_id = %(member_id)s
 OR EXISTS (SELECT FROM incident_seen s WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
   AND s.member_id = %(member_id)s)
 OR EXISTS (SELECT FROM incident_activity a WHERE a.organization_id = i.organization_id AND a.incident_id = i.id
   AND %(member_id)s
            IN (a.member_id, a.owner_id, a.previous_owner_id)))
"""


def list_held_incidents(connection: Connection, organization_id: int, member_id: int) -> list[tuple[int, str]]:
    """Returns number and title of the incidents on legal hold in which a member takes part."""
    rows = connection.exec_driver_sql(
        "SELECT i.identifier, i.title FROM incident i WHERE i.organization_id = %(organization_id)s AND i.legal_hold"  # noqa: S608 - constants
        f" AND {_TAKES_PART} ORDER BY i.identifier",
        {"organization_id": organization_id, "member_id": member_id},
    )
    return [(identifier, title) for identifier, title in rows]


def list_calling_teams(connection: Connection, organization_id: int, email: str) -> list[str]:
    """Returns the slugs of teams whose rules call somebody by this e-mail."""
    rows = connection.exec_driver_sql(
        "SELECT slug FROM team t WHERE t.organization_id = %(organization_id)s AND EXISTS (SELECT FROM"
        " jsonb_array_elements(coalesce(t.calls, '[]') || coalesce(t.form_calls, '[]')) rule"
        " WHERE rule ->> 'who' = %(email)s) ORDER BY slug",
        {"organization_id": organization_id, "email": email},
    )
    return list(rows.scalars())


# --- in incidents, in batches --------------------------------------------------------------------------------


def list_incident_ids(connection: Connection, organization_id: int, after: int, most: int) -> list[int]:
    """Returns the next ids of incidents behind `after`."""
    rows = connection.exec_driver_sql(
        "SELECT id FROM incident WHERE organization_id = %(id)s AND id > %(after)s ORDER BY id LIMIT %(most)s",
        {"id": organization_id, "after": after, "most": most},
    )
    return list(rows.scalars())


def list_calls(tx: Connection, organization_id: int, incident_ids: Collection[int]) -> list[tuple[int, dict[str, Any]]]:
    """Locks and returns the entries about calls in the logs of incidents: id and record."""
    rows = tx.exec_driver_sql(
        "SELECT id, call FROM incident_activity WHERE organization_id = %(organization_id)s"  # noqa: S608 - a constant
        f" AND incident_id = ANY(%(ids)s) AND type = {ActivityType.CALL:d} AND call IS NOT NULL ORDER BY id FOR UPDATE",
        {"organization_id": organization_id, "ids": list(incident_ids)},
    )
    return [(id_, call) for id_, call in rows]


def save_calls(tx: Connection, organization_id: int, calls: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Stores changed entries about calls: id and record."""
    if calls:
        tx.exec_driver_sql(
            "UPDATE incident_activity a SET call = c.call FROM jsonb_to_recordset(%(calls)s::jsonb)"
            " AS c(id bigint, call jsonb) WHERE a.organization_id = %(organization_id)s AND a.id = c.id",
            {
                "organization_id": organization_id,
                "calls": json.dumps([{"id": id_, "call": call} for id_, call in calls]),
            },
        )


def erase_from_incidents(
    tx: Connection, organization_id: int, person: Erasable, incident_ids: Collection[int]
) -> list[int]:
    """Takes the e-mail out of the steps of calls of incidents. Returns the incidents that show the person."""
    parameters = {
        "organization_id": organization_id,
        "ids": list(incident_ids),
        "member_id": person.id,
        "email": person.email,
        "former_member": FORMER_MEMBER,
    }
    tx.exec_driver_sql(
        "UPDATE call_step SET who = %(former_member)s WHERE organization_id = %(organization_id)s"
        " AND incident_id = ANY(%(ids)s) AND who = %(email)s",
        parameters,
    )
    rows = tx.exec_driver_sql(
        "SELECT i.id FROM incident i WHERE i.organization_id = %(organization_id)s"  # noqa: S608 - constants
        f" AND i.id = ANY(%(ids)s) AND {_TAKES_PART} ORDER BY i.id",
        parameters,
    )
    return list(rows.scalars())


# --- everywhere else -----------------------------------------------------------------------------------------

# Each takes the person out of one place. Messages of the bot to them are known by the conversation with them.
_ERASE = """
DELETE FROM slack_person p USING workspace w WHERE p.workspace_id = w.id AND w.organization_id = %(organization_id)s
  AND (p.member_id = %(member_id)s OR p.user_id = ANY(%(user_ids)s) OR (p.member_id IS NULL AND p.name = %(name)s));
DELETE FROM member_slack_user WHERE organization_id = %(organization_id)s AND member_id = %(member_id)s;
DELETE FROM usergroup_user u USING workspace w WHERE u.workspace_id = w.id AND w.organization_id =
  %(organization_id)s AND u.user_id = ANY(%(user_ids)s);
DELETE FROM destination d USING workspace w WHERE d.workspace_id = w.id AND w.organization_id = %(organization_id)s
  AND (d.member_id = %(member_id)s OR d.user_id = ANY(%(user_ids)s));
DELETE FROM personal_digest WHERE organization_id = %(organization_id)s AND member_id = %(member_id)s;
DELETE FROM followed_filter WHERE organization_id = %(organization_id)s AND member_id = %(member_id)s;
DELETE FROM join_request WHERE organization_id = %(organization_id)s AND (former_member_id = %(member_id)s OR user_id =
  ANY(%(user_ids)s));
DELETE FROM form_text WHERE organization_id = %(organization_id)s AND member_id = %(member_id)s;
DELETE FROM incident_subscription WHERE organization_id = %(organization_id)s AND member_id = %(member_id)s;
DELETE FROM notification WHERE organization_id = %(organization_id)s AND member_id = %(member_id)s;
UPDATE digest_fire f SET reason = replace(f.reason, %(name)s, %(former_member)s) FROM digest d
  WHERE d.organization_id = f.organization_id AND d.id = f.digest_id AND d.organization_id = %(organization_id)s
  AND d.owner_id = %(member_id)s AND f.reason IS NOT NULL;
UPDATE digest SET owner_user_id = NULL, pause_reason = replace(pause_reason, %(name)s, %(former_member)s) WHERE
  organization_id = %(organization_id)s AND owner_id = %(member_id)s;
UPDATE silence SET made_by = %(former_member)s WHERE organization_id = %(organization_id)s AND made_by IN (%(name)s,
  %(email)s);
UPDATE installation SET installed_by = %(former_member)s WHERE organization_id = %(organization_id)s AND
  installed_by = ANY(%(user_ids)s);
UPDATE workspace_request SET installed_by = %(former_member)s WHERE organization_id = %(organization_id)s AND
  installed_by = ANY(%(user_ids)s);
UPDATE member SET name = %(former_member)s, email = %(new_email)s, slack_user_id = NULL, role = 'member', superuser
  = false, changed_in_slack = false, date_erased = %(now)s
WHERE organization_id = %(organization_id)s AND id = %(member_id)s
"""


def erase_member(tx: Connection, organization_id: int, person: Erasable, now: datetime) -> None:
    """Erases a former member everywhere but in incidents and in the audit log."""
    parameters = {
        "organization_id": organization_id,
        "member_id": person.id,
        "name": person.name,
        "email": person.email,
        "user_ids": sorted(person.user_ids),
        "former_member": FORMER_MEMBER,
        "new_email": f"erased-{person.id}@{NO_EMAIL_DOMAIN}",
        "now": now,
    }
    tx.exec_driver_sql(_ERASE, parameters)
