"""`auth.*`, `users.*`, `usergroups.*`, `bots.*`, `team.*`, and `apps.connections.open`."""

from sandbox.api import access
from sandbox.api.arguments import Arguments
from sandbox.api.conversations import listed
from sandbox.errors import SlackError
from sandbox.platform import Platform
from sandbox.records import Json, User


def api_test(platform: Platform, arguments: Arguments) -> Json:
    del platform
    error = arguments.text("error")
    args = {name: value for name, value in arguments.given.items() if name != "token"}
    if error is not None:
        raise SlackError(error, args=args)
    return {"args": args}


def auth_test(platform: Platform, arguments: Arguments) -> Json:
    del arguments
    workspace, app = platform.workspace, platform.app
    answer = {
        "url": f"https://{workspace.domain}.slack.com/",
        "team": workspace.name,
        "user": workspace.users[app.bot_user_id].name,
        "team_id": workspace.team_id,
        "user_id": app.bot_user_id,
        "bot_id": app.bot_id,
        "is_enterprise_install": False,
    }
    if platform.org_wide and workspace.enterprise:
        enterprise = workspace.enterprise
        answer |= {
            "url": f"https://{workspace.domain}.enterprise.slack.com/",
            "team": enterprise["name"],
            "team_id": enterprise["id"],
            "is_enterprise_install": True,
        }
    if workspace.enterprise:
        answer["enterprise_id"] = workspace.enterprise["id"]
    return answer


def connections_open(platform: Platform, arguments: Arguments) -> Json:
    del arguments
    host = platform.base_url.removeprefix("http")
    return {"url": f"ws{host}/link/?{platform.sockets.ticket()}"}


def _render(platform: Platform, user: User, *, with_locale: bool = False) -> Json:
    return user.render(
        with_email="users:read.email" in platform.app.scopes,
        home=platform.workspace.team_id,
        now=platform.clock.utc(),
        with_locale=with_locale,
        enterprise=platform.workspace.enterprise,
    )


def user_info(platform: Platform, arguments: Arguments) -> Json:
    user = platform.workspace.user(arguments.required("user", "user_not_found"))
    return {"user": _render(platform, user, with_locale=arguments.flag("include_locale"))}


def user_list(platform: Platform, arguments: Arguments) -> Json:
    at_home = [user for user in platform.workspace.users.values() if user.team_id == platform.workspace.team_id]
    page, cursor = arguments.page(at_home, arguments.limit(len(at_home) or 1, 1000))
    return {
        "members": [_render(platform, user) for user in page],
        "cache_ts": int(platform.clock.now()),
        "response_metadata": {"next_cursor": cursor},
    }


def user_conversations(platform: Platform, arguments: Arguments) -> Json:
    user = platform.workspace.user(arguments.text("user") or platform.app.bot_user_id)
    theirs = [channel for channel in platform.workspace.channels.values() if user.id in channel.members]
    answer = listed(platform, arguments, "users.conversations", theirs)
    for channel in answer["channels"]:
        channel.pop("is_member", None)
        channel.pop("num_members", None)
    return answer


def lookup_by_email(platform: Platform, arguments: Arguments) -> Json:
    email = arguments.required("email", "users_not_found").lower()
    for user in platform.workspace.users.values():
        at_home = user.team_id == platform.workspace.team_id
        if at_home and not user.deleted and not user.is_bot and user.email and user.email.lower() == email:
            return {"user": _render(platform, user)}
    raise SlackError("users_not_found")


def usergroup_list(platform: Platform, arguments: Arguments) -> Json:
    groups = [
        group.render(
            platform.workspace.team_id,
            with_users=arguments.flag("include_users"),
            creator=platform.app.bot_user_id,
        )
        for group in platform.workspace.usergroups.values()
        if group.enabled or arguments.flag("include_disabled")
    ]
    return {"usergroups": groups}


def usergroup_users(platform: Platform, arguments: Arguments) -> Json:
    group = platform.workspace.usergroups.get(arguments.required("usergroup", "no_such_subteam"))
    if group is None or not (group.enabled or arguments.flag("include_disabled")):
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def bot_info(platform: Platform, arguments: Arguments) -> Json:
    app = platform.app
    if arguments.text("bot") not in (None, app.bot_id):
        raise SlackError("bot_not_found")
    profile = app.profile(platform.workspace.team_id, access.bot(platform).updated)
    # For some apps Slack returns only the bot.
    shown = [key for key in ("id", "deleted", "name", "updated", "app_id", "user_id", "icons") if profile[key] != ""]
    return {"bot": {key: profile[key] for key in shown}}


def team_info(platform: Platform, arguments: Arguments) -> Json:
    workspace = platform.workspace
    team_id = arguments.text("team") or workspace.team_id
    name, domain = workspace.name, workspace.domain
    if team_id != workspace.team_id:
        if team_id not in {user.team_id for user in workspace.users.values()}:
            raise SlackError("team_not_found")
        name, domain = f"Company {team_id}", team_id.lower()
    return {
        "team": {
            "id": team_id,
            "name": name,
            "url": f"https://{domain}.slack.com/",
            "domain": domain,
            "email_domain": "",
            "icon": {"image_default": True},
            "avatar_base_url": "https://avatars.test/",
            "is_verified": False,
        }
    }


METHODS = {
    "api.test": api_test,
    "auth.test": auth_test,
    "apps.connections.open": connections_open,
    "users.info": user_info,
    "users.list": user_list,
    "users.conversations": user_conversations,
    "users.lookupByEmail": lookup_by_email,
    "usergroups.list": usergroup_list,
    "usergroups.users.list": usergroup_users,
    "bots.info": bot_info,
    "team.info": team_info,
}
