"""The payloads that are sent to the app when a person types a command, presses, chooses, submits or closes, with
the same keys as Slack's. Pure except for the trigger and the response URL that most of them issue.
"""

from sandbox.blocks import STATEFUL, Control, controls, initial_state
from sandbox.platform import Platform
from sandbox.records import Channel, Json, Message, User
from sandbox.views import View


def _team(platform: Platform, team_id: str) -> Json | None:
    """The `team` of a payload; for a person from another company, their own team.

    None where the app is installed in a whole Enterprise organization.
    """
    workspace = platform.workspace
    if platform.org_wide:
        return None
    if team_id != workspace.team_id:
        return {"id": team_id, "domain": team_id.lower()}
    team = {"id": team_id, "domain": workspace.domain}
    if workspace.enterprise:
        team |= {"enterprise_id": workspace.enterprise["id"], "enterprise_name": workspace.enterprise["name"]}
    return team


def _actor(user: User) -> Json:
    return {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id}


def channel_name(channel: Channel) -> str:
    """The name of a conversation in a payload: private channels and direct messages are not named."""
    if channel.is_im:
        return "directmessage"
    return "privategroup" if channel.private else channel.name


def _common(platform: Platform) -> Json:
    return {"api_app_id": platform.app.app_id, "token": platform.app.verification_token}


def command(platform: Platform, user: User, channel: Channel, name: str, text: str) -> Json:
    """A slash command. `is_enterprise_install` is a string here, as is every value in a form."""
    enterprise = platform.workspace.enterprise
    of_enterprise = {"enterprise_id": enterprise["id"], "enterprise_name": enterprise["name"]} if enterprise else {}
    return {
        "token": platform.app.verification_token,
        "team_id": platform.workspace.team_id,
        "team_domain": platform.workspace.domain,
        **of_enterprise,
        "channel_id": channel.id,
        "channel_name": channel_name(channel),
        "user_id": user.id,
        "user_name": user.name,
        "command": name,
        "text": text,
        "api_app_id": platform.app.app_id,
        "is_enterprise_install": "true" if platform.org_wide else "false",
        "response_url": platform.response_urls.issue("commands", user, channel),
        "trigger_id": platform.triggers.issue(user.id),
    }


def _action(platform: Platform, control: Control, value: Json) -> Json:
    """One entry of `actions`: the element's own keys, the chosen value, and the time."""
    element = control.element
    action: Json = {"type": element["type"], "action_id": control.action_id, "block_id": control.block_id}
    for key in ("text", "value", "style", "url", "placeholder", "confirm", "min_query_length"):
        if key in element and not (key == "value" and key in value):
            action[key] = element[key]
    action |= {key: initial for key, initial in element.items() if key.startswith("initial_")}
    action |= {key: chosen for key, chosen in value.items() if key != "type"}
    action["action_ts"] = platform.workspace.next_ts()
    return action


def action_in_message(platform: Platform, user: User, message: Message, control: Control, value: Json) -> Json:
    """`block_actions` from a message. An ephemeral message is identified only by its time stamp, and never included."""
    channel = platform.workspace.channels[message.channel_id]
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    if message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    state = initial_state(message.body.get("blocks", []))
    if control.type in STATEFUL:
        state.setdefault(control.block_id, {})[control.action_id] = {"type": control.type, **value}
    payload: Json = {
        "type": "block_actions",
        "user": _actor(user),
        **_common(platform),
        "container": container,
        "trigger_id": platform.triggers.issue(user.id),
        "team": _team(platform, platform.workspace.team_id),
        "enterprise": platform.workspace.enterprise,
        "is_enterprise_install": platform.org_wide,
        "channel": {"id": channel.id, "name": channel_name(channel)},
    }
    if message.ephemeral_to is None:
        payload["message"] = message.render()
    return payload | {
        "state": {"values": state},
        "response_url": platform.response_urls.issue("actions", user, channel, message),
        "actions": [_action(platform, control, value)],
    }


def action_in_view(platform: Platform, user: User, view: View, control: Control, value: Json) -> Json:
    """`block_actions` from a form or the Home tab."""
    return {
        "type": "block_actions",
        "user": _actor(user),
        **_common(platform),
        "container": {"type": "view", "view_id": view.id},
        "trigger_id": platform.triggers.issue(user.id, view.id),
        "team": _team(platform, user.team_id),
        "enterprise": platform.workspace.enterprise,
        "is_enterprise_install": platform.org_wide,
        "view": platform.views.render(view),
        "actions": [_action(platform, control, value)],
    }


def view_submission(platform: Platform, user: User, view: View) -> Json:
    """`view_submission`."""
    return {
        "type": "view_submission",
        "team": _team(platform, user.team_id),
        "user": _actor(user),
        **_common(platform),
        "trigger_id": platform.triggers.issue(user.id, view.id),
        "view": platform.views.render(view),
        "response_urls": _response_urls(platform, user, view),
        "is_enterprise_install": platform.org_wide,
        "enterprise": platform.workspace.enterprise,
    }


def _response_urls(platform: Platform, user: User, view: View) -> list[Json]:
    """A response URL for each conversation chosen in a field that requests one."""
    urls = []
    for control in controls(view.blocks):
        if not control.element.get("response_url_enabled"):
            continue
        key = STATEFUL[control.type][0]
        channel = platform.workspace.channels.get(view.values[control.block_id][control.action_id][key] or "")
        if channel is not None:
            url = platform.response_urls.issue("app", user, channel)
            place = {"block_id": control.block_id, "action_id": control.action_id}
            urls.append({**place, "channel_id": channel.id, "response_url": url})
    return urls


def view_closed(platform: Platform, user: User, view: View, *, cleared: bool) -> Json:
    """`view_closed`; `cleared` says whether the whole stack was closed at once."""
    return {
        "type": "view_closed",
        "team": _team(platform, user.team_id),
        "user": _actor(user),
        **_common(platform),
        "view": platform.views.render(view),
        "is_cleared": cleared,
        "is_enterprise_install": platform.org_wide,
        "enterprise": platform.workspace.enterprise,
    }


def shortcut(platform: Platform, user: User, callback_id: str) -> Json:
    """A global `shortcut`."""
    return {
        "type": "shortcut",
        "token": platform.app.verification_token,
        "action_ts": platform.workspace.next_ts(),
        "team": _team(platform, user.team_id),
        "user": {"id": user.id, "username": user.name, "team_id": user.team_id},
        "is_enterprise_install": platform.org_wide,
        "enterprise": platform.workspace.enterprise,
        "callback_id": callback_id,
        "trigger_id": platform.triggers.issue(user.id),
    }


def message_action(platform: Platform, user: User, message: Message, callback_id: str) -> Json:
    """A message shortcut (`message_action`)."""
    channel = platform.workspace.channels[message.channel_id]
    return {
        "type": "message_action",
        "token": platform.app.verification_token,
        "action_ts": platform.workspace.next_ts(),
        "team": _team(platform, platform.workspace.team_id),
        "user": {"id": user.id, "team_id": user.team_id, "name": user.name},
        "channel": {"id": channel.id, "name": channel_name(channel)},
        "is_enterprise_install": platform.org_wide,
        "enterprise": platform.workspace.enterprise,
        "callback_id": callback_id,
        "trigger_id": platform.triggers.issue(user.id),
        "response_url": platform.response_urls.issue("app", user, channel, message),
        "message_ts": message.ts,
        "message": message.render(),
    }


def suggestion(platform: Platform, user: User, where: Message | View, control: Control, typed: str) -> Json:
    """`block_suggestion`: the options of an external select, for what was typed so far."""
    payload: Json = {
        "type": "block_suggestion",
        "user": _actor(user),
        **_common(platform),
        "action_id": control.action_id,
        "block_id": control.block_id,
        "value": typed,
        "team": _team(platform, user.team_id),
        "enterprise": platform.workspace.enterprise,
        "is_enterprise_install": platform.org_wide,
    }
    if isinstance(where, View):
        return payload | {
            "container": {"type": "view", "view_id": where.id},
            "view": platform.views.render(where),
        }
    channel = platform.workspace.channels[where.channel_id]
    container: Json = {
        "type": "message",
        "message_ts": where.ts,
        "channel_id": channel.id,
        "is_ephemeral": where.ephemeral_to is not None,
    }
    return payload | {"container": container, "channel": {"id": channel.id, "name": channel_name(channel)}}
