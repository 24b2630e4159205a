"""Erases a former member: name, e-mail and Slack ids go, what they did stays as that of "a former member".

Incidents come first, in batches, and the member last. So an erasing that was interrupted is begun again by the same
name, and ends the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.audit_rows import Actor, AuditAction, AuditChange
from storage.engine import Store
from storage.queries import audit, erasing, outbox, retention
from storage.queries import organization_changes as changes
from storage.queries.erasing import FORMER_MEMBER, Erasable

INCIDENTS_AT_ONCE = 500
# Of the subject of an audit entry.
_IDENTIFYING = frozenset({"name", "email", "slack"})


class NotErasable(ValueError):
    """Somebody cannot be erased. The text says why."""


def find_person(connection: Connection, organization_id: int, typed: str) -> Erasable:
    """The one person with this e-mail, Slack id or name who is or was a member. Raises NotErasable.

    By the Slack id it is also somebody who only asked to be let in.
    """
    ids = audit.find_people(connection, organization_id, typed)
    found = erasing.list_erasable(connection, organization_id, ids)
    if not found:
        if asked := erasing.find_asker(connection, organization_id, typed.upper()):
            return asked
        raise NotErasable(f"nobody here is or was called {typed}")
    if len(found) > 1:
        named = ", ".join(f"{one.name} ({one.email})" for one in found[:5])
        raise NotErasable(f"{typed} could be {named}; give the e-mail address")
    return found[0]


def check_erasable(connection: Connection, organization_id: int, person: Erasable) -> None:
    """Raises NotErasable for a member, and for what a legal hold keeps."""
    row = retention.get_retention(connection, organization_id)
    if row.legal_hold:
        raise NotErasable(f"{row.slug} is on legal hold, so nobody is erased until it ends")
    if person.id:  # somebody may have added them again since they were found, or erased them
        now = erasing.list_erasable(connection, organization_id, [person.id])
        if not now:
            raise NotErasable(f"{person.name} is erased already")
        if not now[0].removed:
            raise NotErasable(
                f"{person.name} is a member. Take them out of the organization file and apply it with --prune, or"
                " remove them in Slack with `member remove`; then erase them"
            )
    if teams := erasing.list_calling_teams(connection, organization_id, person.email):
        raise NotErasable(f"the team {teams[0]} still calls {person.email}; change its calls first")
    if held := erasing.list_held_incidents(connection, organization_id, person.id):
        named = ", ".join(f"#{identifier} {title}" for identifier, title in held[:5])
        raise NotErasable(f"{person.name} takes part in what is on legal hold: {named}")


def erase(
    store: Store, organization_id: int, person: Erasable, now: datetime, actor: Actor, tick: Callable[[int], None]
) -> None:
    """Erases somebody. `tick` is told how many incidents are done. Raises NotErasable, DatabaseAway, Contended."""
    after = 0
    while True:
        with store.write(organization_id) as tx:
            if retention.lock_against_hold(tx, organization_id) is None:
                raise NotErasable("a legal hold begins")
            check_erasable(tx, organization_id, person)
            ids = erasing.list_incident_ids(tx, organization_id, after, INCIDENTS_AT_ONCE)
            _erase_calls(tx, organization_id, person, ids)
            shown = erasing.erase_from_incidents(tx, organization_id, person, ids)
            outbox.redraw_cards(tx, organization_id, shown, now)
        tick(len(ids))
        if len(ids) < INCIDENTS_AT_ONCE:
            break
        after = ids[-1]
    with store.write(organization_id) as tx:
        changes.lock_apply(tx)
        if retention.lock_against_hold(tx, organization_id) is None:
            raise NotErasable("a legal hold begins")
        check_erasable(tx, organization_id, person)
        # The trigger of the table lets no entry be changed without this one.
        change = AuditChange(AuditAction.MEMBER_ERASE, subject_member_id=person.id or None)
        audit.record(tx, organization_id, actor, [change], now)
        _erase_from_audit_log(tx, organization_id, person)
        erasing.erase_member(tx, organization_id, person, now)


def _erase_calls(tx: Connection, organization_id: int, person: Erasable, incident_ids: list[int]) -> None:
    """Takes the person out of the entries about calls, which have names."""
    erased = []
    for id_, call in erasing.list_calls(tx, organization_id, incident_ids):
        changed = {
            **call,
            "who": FORMER_MEMBER if call["who"] == person.email else call["who"],
            **{key: [_erase_name(person, *one) for one in call[key]] for key in ("people", "blind")},
        }
        if changed != call:
            erased.append((id_, changed))
    erasing.save_calls(tx, organization_id, erased)


def _erase_name(person: Erasable, member_id: int, name: str) -> list[int | str]:
    # An entry that was imported has the name without an id.
    is_meant = member_id == person.id or (member_id == 0 and name == person.name)
    return [member_id, FORMER_MEMBER if is_meant else name]


def _erase_from_audit_log(tx: Connection, organization_id: int, person: Erasable) -> None:
    texts = [person.email, *person.user_ids]
    if " " in person.name:  # another name may be a word that says something else
        texts.append(person.name)
    whole = "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w.@+-])(?:{whole})(?![\w@-])")

    def replace(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(FORMER_MEMBER, value)
        if isinstance(value, list):
            return [replace(one) for one in value]
        return {key: replace(one) for key, one in value.items()} if isinstance(value, dict) else value

    def clean(values: Mapping[str, Any] | None, *, own: bool) -> Mapping[str, Any] | None:
        kept = {key: one for key, one in (values or {}).items() if not (own and key in _IDENTIFYING)}
        return None if values is None else replace(kept)

    changed = [
        {
            "id": id_,
            "actor": replace(actor),
            "subject": replace(subject),
            "before": clean(before, own=own),
            "after": clean(after, own=own),
        }
        for id_, own, actor, subject, before, after in audit.list_entries_with(tx, organization_id, person.id, texts)
    ]
    if changed:
        audit.replace_entries(tx, organization_id, changed)
