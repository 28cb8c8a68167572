"""The functions of the app as the Functions host indexes them, with settings that lead nowhere."""

import sys
from typing import Any

import pytest

from tests.unit.test_settings import GOOD


def binding_types() -> set[str]:
    """The kinds of all triggers and bindings: httpTrigger, queue, queueTrigger, …"""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in GOOD.items():
            patch.setenv(name, value)
        patch.delitem(sys.modules, "function_app", raising=False)
        import function_app

        functions: list[Any] = function_app.app.get_functions()
        types = {str(binding.type) for function in functions for binding in function.get_bindings()}
    sys.modules.pop("function_app", None)
    return types
