"""An app that cannot be imported, for test_functions_host.py."""

raise RuntimeError("nobody configured the flux capacitor")
