"""Microsoft Graph's mail, subscriptions and notifications, emulated: see app.py."""

from tests.cloud.graph.app import GraphEmulator

__all__ = ["GraphEmulator"]
