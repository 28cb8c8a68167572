"""
What passes between the app and Graph.

    middleware.py   `Traffic`: every call goes through here, is logged, and may be disturbed
    faults.py       failures that a test asks for
    limits.py       Graph's documented limits on one app's use of one mailbox
"""

from tests.cloud.graph.traffic.faults import Fault
from tests.cloud.graph.traffic.middleware import JSON_CONTENT_TYPE, MAILBOX, Traffic

__all__ = ["JSON_CONTENT_TYPE", "MAILBOX", "Fault", "Traffic"]
