"""`oauth.v2.access`, `auth.revoke`, `auth.teams.list`."""

import secrets

from sandbox.api.arguments import Arguments
from sandbox.errors import SlackError
from sandbox.oauth import Token
from sandbox.platform import Platform
from sandbox.records import Json


def oauth_access(platform: Platform, arguments: Arguments) -> Json:
    oauth = platform.oauth
    if arguments.text("client_id") != oauth.client_id:
        raise SlackError("invalid_client_id")
    if not secrets.compare_digest(arguments.text("client_secret") or "", oauth.client_secret):
        raise SlackError("bad_client_secret")
    if arguments.text("grant_type") == "refresh_token":
        return oauth.refresh(arguments.text("refresh_token") or "")
    return oauth.redeem(arguments.text("code") or "", arguments.text("redirect_uri"))


def _token(platform: Platform, arguments: Arguments) -> Token:
    found = platform.oauth.find(str(arguments.given["token"]))
    assert found is not None, "the token was checked before"
    return found


def auth_revoke(platform: Platform, arguments: Arguments) -> Json:
    if arguments.flag("test"):
        return {"revoked": False}
    platform.oauth.revoke(_token(platform, arguments))
    return {"revoked": True}


def teams_list(platform: Platform, arguments: Arguments) -> Json:
    teams = _token(platform, arguments).installation.workspaces
    page, cursor = arguments.page(teams, arguments.limit(100, 1000))
    return {
        "teams": [{"id": one.workspace.team_id, "name": one.workspace.name} for one in page],
        "response_metadata": {"next_cursor": cursor},
    }


METHODS = {
    "oauth.v2.access": oauth_access,
    "auth.revoke": auth_revoke,
    "auth.teams.list": teams_list,
}
