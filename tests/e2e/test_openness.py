"""Who may call what: everybody may ask whether the app is alive; the CRM's API wants the function key, always."""
