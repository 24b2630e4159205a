"""Finds the members that people name in filters: by mention, name or e-mail."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput
from bot.incidents.words import shorten
from storage.queries import directory
from storage.queries.directory import DirectoryMember

USER_ID = re.compile(r"[UW][A-Z0-9]{1,31}")
# A mention as Slack sends it. Its label is a user name of Slack's, which identifies nobody, so the id is kept.
_MENTION = re.compile(r"<@([A-Z0-9]{1,30})(?:\|[^<>]*)?>")
_MAX_NAMED = 5


def keep_ids(text: str) -> str:
    """The text with the ids of Slack users in place of mentions: `@U0001`."""
    return _MENTION.sub(r"@\1", text)


def find_member(
    connection: Connection, access: Access, typed: str, form: str, *, field: str, example: str = "me"
) -> DirectoryMember:
    """The member of the caller's organization that `@…` means: a Slack id, an e-mail, a name or a first name.

    Raises InvalidInput, with the correct `form` and the `field` at fault, if it is nobody or several. `example` stands
    in the form where nobody is meant.
    """
    wanted = typed.removeprefix("@").strip()
    by_id = directory.find_member_by_slack_id(connection, access.organization_id, access.workspace_id, wanted.upper())
    if by_id is not None:
        return by_id
    everybody = directory.list_members(connection, access.organization_id)
    for fits in (_by_email(wanted), _by_name(wanted), _by_first_name(wanted)):
        found = [one for one in everybody if fits(one)]
        if len(found) == 1:
            return found[0]
        if found:
            named = ", ".join(f"{one.name} ({one.email})" for one in sorted(found, key=_sort_key)[:_MAX_NAMED])
            raise InvalidInput(
                f"Who is “{shorten(typed)}”? It could be {shorten(named, 300)}. Use the e-mail address.",
                form.format(found[0].email),
                field=field,
            )
    raise InvalidInput(
        f"There is no member “{shorten(typed)}” in your organization.", form.format(example), field=field
    )


def build_reference(connection: Connection, access: Access, member: DirectoryMember) -> str:
    """What names this member and nobody else: `@` and the name, or the e-mail address if others have that name."""
    fits = _by_name(member.name)
    others = [one for one in directory.list_members(connection, access.organization_id) if fits(one)]
    return f"@{member.name}" if len(others) == 1 else member.email


def _sort_key(member: DirectoryMember) -> tuple[str, str]:
    return member.name, member.email


def _fold(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _by_email(wanted: str) -> Callable[[DirectoryMember], bool]:
    return lambda member: member.email == wanted.lower()


def _by_name(wanted: str) -> Callable[[DirectoryMember], bool]:
    return lambda member: _fold(member.name) == _fold(wanted) != ""


def _by_first_name(wanted: str) -> Callable[[DirectoryMember], bool]:
    return lambda member: _fold((member.name.split() or [""])[0]) == _fold(wanted) != ""
