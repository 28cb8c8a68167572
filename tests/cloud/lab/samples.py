"""Files to try the attachment rule with, one click each: two that sync, and one for each reason that does not."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests import files
from tests.cloud.controls import Control
from tests.cloud.lab.refusal import Refusal

Fate = Literal["syncs", "too_large", "type_not_allowed", "content_mismatch"]

_BEYOND_THE_LIMIT_BYTES = 3 * 1024 * 1024 + 1


@dataclass(frozen=True)
class File:
    """A file on its way somewhere, decoded."""

    name: str
    content_type: str
    content: bytes

    @property
    def base64(self) -> str:
        """The content as JSON carries it."""
        return base64.b64encode(self.content).decode()


@dataclass(frozen=True)
class Sample:
    """A file made on the spot. `says` is what a person reads beside it."""

    sample_id: str
    name: str
    content_type: str
    says: str
    fate: Fate
    make: Callable[[], bytes]

    def file(self) -> File:
        """The file itself."""
        return File(self.name, self.content_type, self.make())


SAMPLES = (
    Sample("pdf", "offer.pdf", "application/pdf", "a small PDF", "syncs", files.pdf),
    Sample("picture", "plan.png", "image/png", "a picture", "syncs", files.png),
    Sample(
        "too_large",
        "site-survey.pdf",
        "application/pdf",
        "one byte too large",
        "too_large",
        lambda: files.pdf(_BEYOND_THE_LIMIT_BYTES),
    ),
    Sample(
        "program",
        "viewer.exe",
        "application/octet-stream",
        "a program",
        "type_not_allowed",
        files.windows_executable,
    ),
    Sample(
        "disguised",
        "invoice.pdf",
        "application/pdf",
        "a program that calls itself PDF",
        "content_mismatch",
        files.windows_executable,
    ),
)
_BY_ID = {sample.sample_id: sample for sample in SAMPLES}


class GivenFile(Control):
    """A file as the page sends it: a sample by its id, or one of the person's own."""

    sample: str | None = None
    name: str = ""
    content_type: str = ""
    content_base64: str = ""

    def file(self) -> File:
        """The file, decoded; raises 400 for a sample that does not exist and for what is not base64."""
        if self.sample is not None:
            if self.sample not in _BY_ID:
                raise Refusal(400, f"There is no sample {self.sample!r}; there are {', '.join(_BY_ID)}.")
            return _BY_ID[self.sample].file()
        try:
            content = base64.b64decode(self.content_base64, validate=True)
        except binascii.Error:
            raise Refusal(400, f"content_base64 of {self.name!r} is not base64.") from None
        return File(self.name, self.content_type or "application/octet-stream", content)
