"""Acme, the company of the demo: who works there, what they look after, where they talk."""

from __future__ import annotations

from dataclasses import dataclass

from bot.organization.file import parse
from sandbox import Person, Sandbox
from sandbox.records import Channel

SLUG = "acme"
WORKSPACE = "T0001"

ORGANIZATION = """
organization: {slug: acme, name: Acme, workspaces: [T0001]}
teams:
  - {slug: payments, name: Payments, slack_usergroup: S0001}
  - {slug: search, name: Search, slack_usergroup: S0002}
  - {slug: platform, name: Platform, slack_usergroup: S0003}
projects:
  - {slug: checkout, name: Checkout, teams: [payments], channels: [C0001]}
  - {slug: billing, name: Billing, teams: [payments], channels: [C0001]}
  - {slug: catalogue, name: Catalogue, teams: [search], channels: [C0002]}
  - {slug: edge, name: Edge, teams: [platform], channels: [C0003]}
members:
  - {email: ada@acme.test, name: Ada Obi, slack: U0001, role: owner, teams: [payments]}
  - {email: ben@acme.test, name: Ben Tal, slack: U0002, role: admin, teams: [payments]}
  - {email: cyn@acme.test, name: Cyn Roe, slack: U0003, role: member, teams: [search]}
  - {email: dan@acme.test, name: Dan Wu, slack: U0004, role: member, teams: [platform]}
"""


@dataclass(frozen=True, slots=True)
class Company:
    """The people and places of the workspace."""

    ada: Person  # owner, of Payments
    ben: Person  # admin, of Payments
    cyn: Person  # member, of Search
    dan: Person  # member, of Platform
    eve: Person  # an auditor from outside: in the workspace, but no member of the organization
    checkout: Channel
    catalogue: Channel
    infrastructure: Channel
    general: Channel

    @property
    def people(self) -> tuple[Person, ...]:
        return self.ada, self.ben, self.cyn, self.dan, self.eve

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self.checkout, self.catalogue, self.infrastructure, self.general


def create_company(slack: Sandbox) -> Company:
    """Puts the company's people, channels and user groups into a workspace."""
    titles = _build_titles()

    def person(slack_id: str, name: str, email: str, tz: str) -> Person:
        return slack.person(slack_id, name, email, tz=tz, title=titles.get(email, "Not a member of Acme"))

    ada = person("U0001", "Ada Obi", "ada@acme.test", "Europe/Berlin")
    ben = person("U0002", "Ben Tal", "ben@acme.test", "America/New_York")
    cyn = person("U0003", "Cyn Roe", "cyn@acme.test", "Asia/Kolkata")
    dan = person("U0004", "Dan Wu", "dan@acme.test", "Europe/London")
    eve = person("U0005", "Eve Lind", "eve@audit.test", "Europe/Stockholm")
    slack.usergroup("S0001", "payments", "Payments", [ada, ben])
    slack.usergroup("S0002", "search", "Search", [cyn])
    slack.usergroup("S0003", "platform", "Platform", [dan])
    return Company(
        ada=ada,
        ben=ben,
        cyn=cyn,
        dan=dan,
        eve=eve,
        checkout=slack.channel("C0001", "checkout"),
        catalogue=slack.channel("C0002", "catalogue"),
        infrastructure=slack.channel("C0003", "infrastructure"),
        general=slack.channel("C0004", "general"),
    )


def _build_titles() -> dict[str, str]:
    """What stands beside each member's name, by e-mail: role and teams, as the organization file has them."""
    file = parse(ORGANIZATION, "the demo's organization")
    teams = {team.slug: team.name for team in file.teams}
    return {
        member.email: " · ".join([member.role.name.capitalize(), *(teams[slug] for slug in member.teams)])
        for member in file.members
    }
