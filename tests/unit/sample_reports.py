"""Delivery reports in the form in which mail servers write them, about the email `<offer@crm.example>`."""

ORIGINAL = "<offer@crm.example>"


def report(
    *recipients: str,
    returned: str = f"Message-ID: {ORIGINAL}\nSubject: Offer\n",
    returned_as: str = "text/rfc822-headers",
    headers: str = "",
    kind: str = 'multipart/report; report-type=delivery-status; boundary="b"',
) -> bytes:
    """A report with these per-recipient blocks. `returned`: the headers it brings back; empty: no third part."""
    third = f"--b\nContent-Type: {returned_as}\n\n{returned}\n" if returned else ""
    blocks = "\n".join(("Reporting-MTA: dns; mx.example\n", *recipients))
    text = (
        f"From: MAILER-DAEMON@mx.example\n{headers}MIME-Version: 1.0\nContent-Type: {kind}\n\n"
        f"--b\nContent-Type: text/plain\n\nSorry.\n--b\nContent-Type: message/delivery-status\n\n{blocks}\n{third}--b--\n"
    )
    return text.replace("\n", "\r\n").encode()


def recipient(address: str = "ada@customer.example", action: str = "failed", **more: str) -> str:
    """The block of one recipient. more: further fields, by their name with `_` for `-`."""
    fields = {"Final-Recipient": f"rfc822; {address}", "Action": action, "Status": "5.1.1"}
    fields |= {name.replace("_", "-"): value for name, value in more.items()}
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


EXCHANGE_ONLINE = b"""\
From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@crm.example>\r
To: dana@crm.example\r
Subject: Undeliverable: Offer\r
In-Reply-To: <offer@crm.example>\r
References: <offer@crm.example>\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status;\r
\tboundary="8b2a1c5e-0000-4d7c-9a57-3f1e8c526f0b"\r
\r
--8b2a1c5e-0000-4d7c-9a57-3f1e8c526f0b\r
Content-Type: multipart/alternative; differences=Content-Type;\r
\tboundary="inner"\r
\r
--inner\r
Content-Type: text/plain; charset="us-ascii"\r
\r
Your message couldn't be delivered.\r
\r
--inner--\r
\r
--8b2a1c5e-0000-4d7c-9a57-3f1e8c526f0b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns;DB9PR01MB0001.prod.example\r
Received-From-MTA: dns;DB9PR01MB0001.prod.example\r
Arrival-Date: Mon, 23 Nov 2026 09:30:12 +0000\r
\r
Original-Recipient: rfc822;ada@customer.example\r
Final-Recipient: rfc822;ada@customer.example\r
Action: failed\r
Status: 5.1.10\r
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not\r
 found by SMTP address lookup\r
X-Display-Name: ada@customer.example\r
\r
\r
--8b2a1c5e-0000-4d7c-9a57-3f1e8c526f0b\r
Content-Type: message/rfc822\r
\r
From: Dana <dana@crm.example>\r
To: ada@customer.example\r
Subject: Offer\r
Message-ID:\r
\t<offer@crm.example>\r
MIME-Version: 1.0\r
Content-Type: text/plain\r
\r
Hello\r
--8b2a1c5e-0000-4d7c-9a57-3f1e8c526f0b--\r
"""

POSTFIX = b"""\
Return-Path: <>
From: MAILER-DAEMON@mx.crm.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: dana@crm.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4F2A1.1764000000/mx.crm.example"
Message-Id: <20261123093014.5C2D3@mx.crm.example>

This is a MIME-encapsulated message.

--4F2A1.1764000000/mx.crm.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--4F2A1.1764000000/mx.crm.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.crm.example
X-Postfix-Queue-ID: 4F2A1
Arrival-Date: Mon, 23 Nov 2026 09:30:12 +0000 (UTC)

Final-Recipient: rfc822; ada@customer.example
Original-Recipient: rfc822;ada@customer.example
Action: failed
Status: 5.2.2
Remote-MTA: dns; mail.customer.example
Diagnostic-Code: smtp; 552 5.2.2 <ada@customer.example>: Mailbox over quota

--4F2A1.1764000000/mx.crm.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers
Content-Transfer-Encoding: 8bit

Return-Path: <dana@crm.example>
Message-ID: <offer@crm.example>
Subject: Offer

--4F2A1.1764000000/mx.crm.example--
"""

GMAIL = b"""\
Content-Type: multipart/report; boundary="000000000000a1b2c3"; report-type=delivery-status
To: dana@crm.example
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
References: <offer@crm.example>
In-Reply-To: <offer@crm.example>
Message-ID: <6923d3.050a0220.1@mx.google.com>

--000000000000a1b2c3
Content-Type: multipart/related; boundary="000000000000d4e5f6"

--000000000000d4e5f6
Content-Type: text/plain; charset="UTF-8"

** Address not found **

--000000000000d4e5f6--
--000000000000a1b2c3
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
Arrival-Date: Mon, 23 Nov 2026 01:30:12 -0800 (PST)
X-Original-Message-ID: <offer@crm.example>

Final-Recipient: rfc822; ada@customer.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.customer.example. (192.0.2.1, the server for the domain.)
Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist. Please try
 550-5.1.1 double-checking the recipient's email address.
Last-Attempt-Date: Mon, 23 Nov 2026 01:30:13 -0800 (PST)

--000000000000a1b2c3
Content-Type: message/rfc822

From: Dana <dana@crm.example>
Message-ID: <offer@crm.example>
Subject: Offer

Hello
--000000000000a1b2c3--
"""
