"""Who may see what, as the issue's words have it and in the plainest way: in memory, with no thought for speed."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.hardening.rig import ELSEWHERE, HOME, Somebody


@dataclass
class Member:
    """A line of an organization file, and the person whom it means."""

    who: Somebody
    name: str
    role: str = "member"
    teams: set[str] = field(default_factory=set)
    superuser: bool = False
    present: bool = True  # stands in the file

    def line(self) -> str:
        """As the file has it."""
        teams = ", ".join(sorted(self.teams))
        return (
            f"  - {{email: {self.name}@acme.test, name: {self.name.title()} X, slack: {self.who.user_id},"
            f" role: {self.role}, teams: [{teams}], superuser: {str(self.superuser).lower()}}}\n"
        )


@dataclass
class Company:
    """An organization."""

    slug: str
    workspace_id: str
    teams: dict[str, str]  # slug to user group
    projects: dict[str, tuple[set[str], str]]  # slug to teams and channel
    members: dict[str, Member]
    open_membership: bool = False
    incidents: bool = True

    def file(self) -> str:
        """The organization file."""
        flags = f"open_membership: {str(self.open_membership).lower()}, incidents: {str(self.incidents).lower()}"
        lines = [
            f"organization: {{slug: {self.slug}, name: {self.slug}, workspaces: [{self.workspace_id}], {flags}}}\n"
        ]
        lines.append("teams:\n")
        lines += [
            f"  - {{slug: {slug}, name: {slug}, slack_usergroup: {group}}}\n" for slug, group in self.teams.items()
        ]
        lines.append("projects:\n")
        for slug, (teams, channel) in self.projects.items():
            owners = ", ".join(sorted(teams))
            lines.append(f"  - {{slug: {slug}, name: {slug}, teams: [{owners}], channels: [{channel}]}}\n")
        present = [member.line() for member in self.members.values() if member.present]
        return "".join([*lines, *(["members:\n"] if present else []), *present])

    def sees(self, name: str, projects: set[str]) -> bool:
        """Whether a member sees the incidents of these projects."""
        member = self.members.get(name)
        if member is None or not member.present or not self.incidents:
            return False
        if self.open_membership or member.superuser or member.role in ("owner", "manager"):
            return bool(projects)
        return any(self.projects[project][0] & member.teams for project in projects)


@dataclass(frozen=True)
class Told:
    """An incident, or what somebody said of it: a word that stands for its text."""

    company: str
    number: int


def companies() -> dict[str, Company]:
    """Acme and Globex as every walk begins."""
    acme = {
        "ada": Member(Somebody("U0001"), "ada", "owner", {"payments"}),
        "ben": Member(Somebody("U0002"), "ben", "member", {"payments"}),
        "cyn": Member(Somebody("U0003"), "cyn", "admin", {"search"}),
        "dan": Member(Somebody("U0004"), "dan", "manager"),
        "sue": Member(Somebody("U0005"), "sue", "member", {"payments"}, superuser=True),
        "eve": Member(Somebody("U0006"), "eve", "member", present=False),
    }
    globex = {
        "gil": Member(Somebody("U0101", ELSEWHERE), "gil", "owner", {"core"}),
        "hal": Member(Somebody("U0102", ELSEWHERE), "hal", "member", {"core"}, superuser=True),
    }
    return {
        "acme": Company(
            "acme",
            HOME,
            {"payments": "S0001", "search": "S0002"},
            {"checkout": ({"payments"}, "C0001"), "catalogue": ({"search"}, "C0002")},
            acme,
        ),
        "globex": Company("globex", ELSEWHERE, {"core": "S0101"}, {"reactor": ({"core"}, "C0101")}, globex),
    }
