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
        "calls.lock_due_steps": ("call_step",),
        "digest_fires.lease_fires": ("digest_fire",),
        "digest_fires.lock_due_digests": ("digest",),
        "digest_fires.settle_posted_fires": ("digest_fire",),
        "expansion._TAKE_OF_ALERTS": ("outbox",),
        "expansion._TAKE_OF_PEOPLE": ("outbox",),
        "handoffs.lapse_next": ("handoff_item",),
        "intake.delete_silent_alerts": ("alert_memory",),
        "join_requests.list_organizations_with_old": ("join_request",),
        "leases._NEXT_ANYWHERE": ("destination",),
        "leases.find_first_due": ("destination",),
        "leases.lease_destinations": ("destination",),
        "leases.list_workspaces": ("workspace",),
        "workspaces.list_disconnected": ("workspace",),
        "moving.list_moves": ("organization_move",),
        "owner_reminders.lock_due": ("owner_reminder",),
        "pacing._PAUSED": ("workspace",),
        "personal_digests.lock_due": ("personal_digest",),
        "retention.list_retentions": ("organization",),
        "silence_holding.lock_unfinished_end": ("silence",),
        "silence_holding.lock_unfinished_hold": ("silence",),
        "silences.lock_blind_silences": ("silence",),
        "silences.lock_due_silences": ("silence",),
        "storms.lock_calm": ("destination", "storm"),
    },
    "serves conversations that delivery has leased, or whose rows the transaction has locked, whoever's they are": {
        "destinations._LOCK_DESTINATIONS": ("destination",),
        "destinations.lock_destination": ("destination",),
        "home_workspaces.move_destination": ("destination",),
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
    "serves the operator, who works with all organizations": {
        "backlog.find_backlog": (
            "call_step",
            "digest",
            "digest_fire",
            "outbox",
            "post",
            "silence",
            "storm",
        ),
        "delivery_failures.list_failed_destinations": ("destination",),
        "doctor.count_tokens_by_source": ("intake_token",),
        "doctor.get_channels": ("project_channel",),
        "doctor.get_encrypted_secrets": ("intake_token",),
        "doctor.group_workspaces": ("workspace",),
        "doctor.list_refused_tokens": ("intake_token",),
        "installations.list_sealed_secrets": ("intake_token",),
        "installations.replace_sealed_secret": ("intake_token",),
        "posts.count_failed_since": ("post",),
        "posts.count_waiting": ("post",),
        "restoration.count_open_incidents": ("incident",),
        "restoration.drop_unexpanded_changes": ("outbox",),
        "restoration.end_unrendered_fires": ("digest_fire",),
        "restoration.find_known_messages": ("post",),
        "restoration.find_moment": ("incident_activity", "organization", "outbox", "post"),
        "restoration.list_pending_digests": ("digest",),
        "restoration.search_unsent_posts": ("post",),
        "restoration.skip_numbers": ("organization",),
        "moving.find_shared_installation": ("workspace",),
        "retention.list_holds": ("incident", "organization"),
        "tokens.get_organization_slugs": ("organization",),
    },
    "gives a workspace to an organization, which ends what others have there": {
        "workspaces.connect_workspace": ("workspace_request",),
        "workspaces.delete_abandoned": ("post", "thread_reply"),
    },
    # docs/database.md has what it would cost to name it: half as many pages again, or three times as many.
    "reads projects' incidents, or who has seen one, in an index that has all but the organization": {
        "access.find_caller_and_prefetch": ("incident_project", "incident_seen"),
        "digest_contents.count_by_day": ("incident_project",),
        "digest_contents.get_open_page": ("incident_project",),
        "listing._find_as_planner_chooses": ("incident_project", "incident_seen"),
        "listing._run": ("incident_project", "incident_seen"),
    },
    "asks whether delivery keeps up, whoever it works for": {
        "pressed_posts.find_pressed_post": ("outbox",),
    },
    "finds out whose a request or an alert is": {
        "cells.find_workspace": ("workspace", "organization_move"),
        "cells.is_connected": ("workspace",),
        "cells.has_organizations": ("organization",),
        "intake_tokens._TOKEN_BY_HASH": ("intake_token",),
        "intake_tokens._TOKEN_BY_ID": ("intake_token",),
        "cells.find_token": ("intake_token",),
        "tokens.filter_valid_tokens": ("intake_token",),
    },
}
EXCEPTIONS: Mapping[str, frozenset[str]] = {
    name: frozenset(tables) for statements in _REASONS.values() for name, tables in statements.items()
}
