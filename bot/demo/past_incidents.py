"""The incidents of Acme in the two weeks before the demo begins, as data. `history` writes them to the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from storage.values import Status

# A line for each incident: how long ago, project, team, severity, environment, source (nothing: a person declared it),
# title. Below it what was done, so long after its beginning: by whom (nothing: by the alert), what, with which words.
# `says` is the description of the alert, `runbook` the address of one.
TWO_WEEKS = """
13d 20h 10m | checkout | payments | warning | production | alertmanager | Card payments are slow in Spain
  0m   |     | says     | The 95th percentile of payment-gateway is 6.1 s in region eu-south. Threshold: 2 s.
  4m   | ben | seen
  11m  | ben | comment  | One acquirer answers in six seconds. Sending Spanish traffic to the other one.
  52m  |     | resolved
13d 2h 30m | edge | platform | none | staging | grafana | Nightly backup of staging took five hours
  340m | dan | seen
  355m | dan | resolved | It shares the disk with the load test. Moved by two hours.
12d 22h 5m | catalogue | search | warning | production | alertmanager | Product pages miss their pictures
  6m   | cyn | seen
  9m   | cyn | comment  | The image proxy lost its certificate bundle with yesterday's release.
  21m  | cyn | resolved | Bundle restored; the check now runs before each release.
12d 4h 45m | billing | payments | none | production | | A customer was charged twice for one order
  18m  | ada | seen
  25m  | ada | comment  | Refunded. The second click came four seconds after the first; we drop those from now on.
  190m | ben | resolved | Deployed, and no second case in the logs.
11d 19h 40m | edge | platform | critical | production | alertmanager | DNS answers with SERVFAIL for acme.test
  0m   |     | says     | 38% of the queries from outside fail, from all regions. Both name servers answer.
  0m   |     | runbook  | https://runbooks.acme.test/dns
  1m   | dan | seen
  3m   | dan | comment  | The signing key expired an hour ago. Signing again by hand.
  7m   | ada | seen
  12m  |     | warning
  31m  |     | resolved
  75m  | dan | comment  | The rotation job had failed for a week, quietly. It raises an alert now.
11d 6h 20m | checkout | payments | warning | production | alertmanager | Checkout queue holds 900 orders
  8m   | ben | seen
  33m  |     | resolved
10d 21h 15m | catalogue | search | warning | production | grafana | Search answers slowly for long queries
  14m  | cyn | seen
  48m  | cyn | comment  | Queries over 80 characters skip the cache. Capping them at 64.
  95m  | cyn | resolved
10d 3h 5m | edge | platform | none | staging | grafana | Disk of build-3 is 90% full
  120m | dan | resolved | Old images removed.
9d 18h 50m | billing | payments | critical | production | alertmanager | No invoice was sent since midnight
  0m   |     | says     | invoice-mailer has sent 0 mails in 9 hours. Usual for this hour: 1,300.
  5m   | ada | seen
  7m   | ada | comment  | The mail provider refuses our key. Asking for a new one.
  15m  | ben | seen
  41m  | ben | comment  | New key is in. 1,412 invoices are on their way.
  63m  |     | resolved
9d 2h 15m | checkout | payments | warning | production | alertmanager | Vouchers are refused in the app
  10m  | ben | seen
  26m  | ben | resolved | A rule had lost its time zone.
8d 20h 35m | edge | platform | warning | production | alertmanager | Packet loss between eu-west and eu-north
  9m   | dan | seen
  44m  |     | resolved
8d 5h 10m | catalogue | search | none | production | | Old prices in the newsletter
  30m  | cyn | seen
  150m | cyn | resolved | The export ran before the import. Swapped.
7d 19h 25m | checkout | payments | critical | production | alertmanager | Sign-in fails for every tenth customer
  0m   |     | says     | session-store drops one connection in ten since 14:02 UTC. Release 4268 began at 14:00.
  2m   | ben | seen
  4m   | ben | comment  | It began with release 4268. Rolling back.
  9m   | ada | seen
  16m  |     | resolved
7d 1h 40m | edge | platform | warning | production | grafana | Memory of edge-2 grows by 1% an hour
  22m  | dan | seen
  400m | dan | resolved | A leak in the access log. Patched upstream, we run the fork until then.
6d 21h | checkout | payments | critical | production | alertmanager | Card payments declined for one in five orders
  0m   |     | says     | 19.6% of card payments are declined with "issuer unavailable". Usual: 2.1%.
  0m   |     | runbook  | https://runbooks.acme.test/acquirers
  3m   | ben | seen
  6m   | ben | comment  | Our acquirer reports trouble with 3-D Secure. Following their status page.
  19m  | ada | seen
  24m  | ada | comment  | Support has a text for customers. Failing over to the second acquirer.
  31m  |     | warning
  58m  | ben | resolved | Rates are normal on the second acquirer; back to the first tomorrow.
6d 3h | catalogue | search | warning | production | alertmanager | Search index is 40 minutes behind
  12m  | cyn | seen
  40m  | cyn | comment  | The nightly import held a lock. Letting it finish.
  75m  |     | resolved
5d 8h | edge | platform | warning | production | alertmanager | Certificate of static.acme.test expires in 7 days
  55m  | dan | seen
  240m | dan | resolved | Renewed. The renewal job runs as the right user again.
4d 15h | billing | payments | none | production | | Invoices of March carry the old VAT number
  20m  | ada | seen
  33m  | ben | seen
  35m  | ben | comment  | 214 invoices. I can re-send them once the template is right.
  310m | ben | resolved | Template fixed, all 214 sent again.
3d 5h | edge | platform | critical | production | alertmanager | Half of the traffic in eu-west answers 503
  0m   |     | says     | lb-eu-west has 4 of 8 backends out of rotation since the rollout at 11:40 UTC.
  2m   | dan | seen
  5m   | dan | comment  | A bad rollout of the load balancers. Rolling back.
  9m   |     | warning
  14m  |     | resolved
  90m  | dan | comment  | The rollout now waits for the health of the first region.
2d 16h 30m | checkout | payments | warning | production | alertmanager | Apple Pay button is missing in Safari
  13m  | ben | seen
  38m  | ben | resolved | The domain check had expired.
2d 2h | catalogue | search | warning | production | alertmanager | Suggestions are slower than 800 ms
  0m   |     | says     | The 95th percentile of suggest is 870 ms, on shard 3 it is 2.4 s.
  31m  | cyn | seen
  47m  | cyn | comment  | One shard had lost its cache after a restart; warming it.
1d 4h | checkout | payments | warning | production | alertmanager | Refunds wait longer than an hour
  0m   |     | says     | 61 refunds are queued, the oldest for 64 minutes.
  25m  | ben | seen
6h | edge | platform | none | staging | grafana | Log disk of edge-7 is 82% full
"""

_SEVERITIES = {"none": Status.OPEN, "warning": Status.WARNING, "critical": Status.CRITICAL}
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was done, so long after the incident began."""

    after: timedelta
    who: str  # the part of their address before the @; "" for the alert itself
    does: str  # seen, comment, warning, resolved
    text: str = ""


@dataclass(frozen=True, slots=True)
class PastIncident:
    """One incident of the two weeks."""

    ago: timedelta
    project: str
    team: str
    status: Status
    environment: str
    source: str  # "" where a person declared it
    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def parse_duration(text: str) -> timedelta:
    """A duration as the tables of the demo write it: `6d 20h 41m`."""
    return timedelta(**{_UNITS[part[-1]]: int(part[:-1]) for part in text.split()})


def parse_past_incidents() -> list[PastIncident]:
    """The incidents of the two weeks, oldest first."""
    return list(_parse(TWO_WEEKS))


def _parse(table: str) -> Iterator[PastIncident]:
    past: PastIncident | None = None
    for line in table.strip().splitlines():
        parts = [part.strip() for part in line.split("|")]
        if not line.startswith(" "):
            if past:
                yield past
            ago, project, team, severity, environment, source, title = parts
            past = PastIncident(parse_duration(ago), project, team, _SEVERITIES[severity], environment, source, title)
            continue
        assert past
        after, who, does, text = (*parts, "")[:4]
        if does == "says":
            past.facts.append(("Description", text))
        elif does == "runbook":
            past.links.append(("Runbook", text))
        else:
            past.entries.append(Entry(parse_duration(after), who, does, text))
    if past:
        yield past
