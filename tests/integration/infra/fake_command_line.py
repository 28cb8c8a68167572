"""
What the tools of fake_cloud.py have in common: how they read a command line, what they keep, and how they say no.
"""

from typing import Any

TENANT = "11111111-0000-4000-8000-000000000001"
SUBSCRIPTION = "22222222-0000-4000-8000-000000000002"
IDENTITY = "33333333-0000-4000-8000-000000000003"
OPERATOR = "44444444-0000-4000-8000-000000000004"

State = dict[str, Any]
Options = dict[str, list[str]]


class Refused(Exception):
    """The tool says no."""


FLAGS = {"--wait", "--force", "--preview", "--silent", "--fail", "--python", "--show-error"}


def parsed(arguments: list[str]) -> tuple[list[str], Options]:
    """Words before and values behind each option; `-H x` is an option as well."""
    words: list[str] = []
    options: Options = {}
    last = ""
    for argument in arguments:
        if argument.startswith("-") and len(argument) > 1:
            last = argument
            options.setdefault(argument, [])
        elif last and last not in FLAGS:
            options[last].append(argument)
        else:
            words.append(argument)
    return words, options


def check(options: Options, must: str, may: str) -> None:
    """Refuse an option that is not known, is missing, or has no value."""
    known = set(must.split()) | set(may.split())
    if unknown := options.keys() - known:
        raise Refused(f"unrecognized arguments: {' '.join(sorted(unknown))}")
    if missing := set(must.split()) - options.keys():
        raise Refused(f"the following arguments are required: {' '.join(sorted(missing))}")
    if empty := [name for name, values in options.items() if name not in FLAGS and not any(values)]:
        raise Refused(f"expected a value: {' '.join(empty)}")
