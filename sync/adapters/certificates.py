"""The certificates of `NOTIFICATION_CERTIFICATES`, read once when one is first needed (domain/certificate.py)."""

from datetime import datetime
from functools import cached_property

from sync.domain import certificate
from sync.domain.certificate import Certificate
from sync.domain.errors import OperatorAlarm


class NotificationCertificates:
    """`pem`: the certificates and their private keys, newest first."""

    def __init__(self, pem: str) -> None:
        self._pem = pem

    @property
    def newest(self) -> Certificate:
        """The one that Graph is to encrypt for; raises OperatorAlarm where none can be read."""
        return self._read[0]

    def named(self, certificate_id: str) -> Certificate | None:
        """The one that Graph says it encrypted for; None: that is not there any more. Raises OperatorAlarm."""
        return next((one for one in self._read if one.certificate_id == certificate_id), None)

    @property
    def ends_at(self) -> datetime:
        """Until when the newest is good; raises OperatorAlarm."""
        return self.newest.ends_at

    @cached_property
    def _read(self) -> tuple[Certificate, ...]:
        try:
            return certificate.read(self._pem)
        except ValueError as error:
            raise OperatorAlarm(f"NOTIFICATION_CERTIFICATES can't be used: {error}.") from None
