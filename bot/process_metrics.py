"""All metrics of a process of `serve`, in one registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from bot.alertmanager.metrics import AlertmanagerMetrics
from bot.calls.metrics import CallMetrics
from bot.delivery.metrics import DeliveryMetrics
from bot.digests.metrics import DigestMetrics
from bot.metrics import Metrics
from bot.saturation import Saturation


class ProcessMetrics:
    """The metrics of each part. Those of the intake are made with its HTTP application, in the same registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Metrics(self.registry)
        self.delivery = DeliveryMetrics(self.registry)
        self.digests = DigestMetrics(self.registry)
        self.calls = CallMetrics(self.registry)
        self.alertmanager = AlertmanagerMetrics(self.registry)
        self.saturation = Saturation(self.registry)
