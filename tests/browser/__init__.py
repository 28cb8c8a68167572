"""
Tests in a real browser: headless Chromium, driven by Playwright.

    chromium.py    starts the browser
    visit.py       one person in front of the page: what they do, what the browser complained of
    audit.py       axe, screenshots, sideways scrolling
    person.py      a user of the CRM on the local cloud, and their way through Microsoft's pages
    crm.py         a small CRM of another site that embeds the page, as a real one would
    stand_in.py    serves the page with an API that says whatever a test wants
    views.py       what that API says: every state of a connection

Tests named `test_page_*` look at the page alone, with the stand-in; the others run it on the local cloud.
"""
