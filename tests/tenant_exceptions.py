"""Which statements leave an organization out on purpose, and which tables they read without it.

Other tables of such a statement have to name the organization of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_DUE = (
    "call_step",
    "digest",
    "digest_fire",
    "handoff",
    "handoff_item",
    "outbox",
    "owner_reminder",
    "personal_digest",
    "post",
    "silence",
    "storm",
)
# By the reason: the statement, or the function that sends it, and the tables.
_REASONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "looks for what is due, in all organizations at once": {
        "due_work._FIND_IN_ALL_BUT": (*_DUE, "destination", "slack_person", "team", "usergroup", "workspace"),
        "due_work._FIND_IN_ONLY": _DUE,
        "expansion._TAKE_OF_ALERTS": ("outbox",),
        "expansion._TAKE_OF_PEOPLE": ("outbox",),
        "leases._NEXT_ANYWHERE": ("destination",),
        "pacing._PAUSED": ("workspace",),
    },
    "serves conversations that delivery has leased, or whose rows the transaction has locked, whoever's they are": {
        "destinations._LOCK_DESTINATIONS": ("destination",),
        "destinations._LOCK_FREE_TARGETS": ("destination",),
        "destinations._LOCK_TARGETS": ("destination",),
        "destinations._MARK_DUE": ("destination",),
        "destinations.mark_due": ("destination",),
        "destinations._RELEASE": ("destination", "post"),
        "destinations._RESCHEDULE": ("destination", "post"),
        "posts._NEXT": ("post",),
        "posts._OVERDUE": ("post",),
        "storms._CHANNEL": ("destination",),
    },
    "asks whether delivery keeps up, whoever it works for": {
        "pressed_posts.find_pressed_post": ("outbox",),
    },
    "finds out whose an alert is, by its token": {
        "intake_tokens._TOKEN_BY_HASH": ("intake_token",),
        "intake_tokens._TOKEN_BY_ID": ("intake_token",),
    },
}
EXCEPTIONS: Mapping[str, frozenset[str]] = {
    name: frozenset(tables) for statements in _REASONS.values() for name, tables in statements.items()
}
# To be mended: these do not name the organization everywhere. They are the lists of incidents, which read the newest of
# each project from indexes that have the project and not the organization.
STILL_UNBOUND: frozenset[str] = frozenset(
    {"access.find_caller_and_prefetch", "listing._run", "silences._ENDS", "silences.find_ends"}
)
