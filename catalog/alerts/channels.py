"""The ways to people: mail by SMTP, and a webhook that Slack, Mattermost and Matrix bridges such as Tchap's take."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import urlsplit

import requests

from catalog.alerts.message import NAME
from catalog.errors import TransientError
from catalog.settings import Settings

TIMEOUT_SECONDS = 15.0
Tell = Callable[[str, str], None]  # subject, text


class NotTold(TransientError):
    """A channel is away; what it was to be told is kept for the next time."""


def channels(settings: Settings) -> Iterator[tuple[str, Tell]]:
    """The channels that are set up, by name."""
    if settings.alert_mail_to:
        yield "mail", lambda subject, text: send_mail(settings, subject, text)
    if settings.alert_webhook_url:
        yield "webhook", lambda subject, text: post(settings, subject, text)


def send_mail(settings: Settings, subject: str, text: str) -> None:
    """Send one mail to all who are to know.

    Raises:
        NotTold: the server is away, or refuses.
    """
    mail = EmailMessage()
    mail["Subject"], mail["From"] = subject, settings.alert_mail_from
    mail["To"], mail["Date"], mail["Message-ID"] = settings.alert_mail_to, formatdate(), make_msgid(domain="odh")
    mail.set_content(text)
    try:
        with _connect(settings) as server:
            if settings.alert_smtp_user and settings.alert_smtp_password:
                server.login(settings.alert_smtp_user, settings.alert_smtp_password.get_secret_value())
            server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        place = f"{settings.alert_smtp_host}:{settings.alert_smtp_port}"
        raise NotTold(f"No mail could be sent by {place}: {error}. Check ODH_ALERT_SMTP_HOST and its like.") from error


def _connect(settings: Settings) -> smtplib.SMTP:
    place = (settings.alert_smtp_host, settings.alert_smtp_port)
    if settings.alert_smtp_security == "tls":
        return smtplib.SMTP_SSL(*place, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
    server = smtplib.SMTP(*place, timeout=TIMEOUT_SECONDS)
    if settings.alert_smtp_security == "starttls":
        server.starttls(context=ssl.create_default_context())
    return server


def post(settings: Settings, subject: str, text: str) -> None:
    """Post one message; the address is a secret and is never told.

    Raises:
        NotTold: the server is away, or refuses.
    """
    url = settings.alert_webhook_url.get_secret_value() if settings.alert_webhook_url else ""
    content = {"username": NAME, "text": f"{subject}\n\n{text}"}
    host = urlsplit(url).hostname
    try:
        answer = requests.post(url, json=content, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise NotTold(f"The webhook at {host} is away ({type(error).__name__}). Check ODH_ALERT_WEBHOOK_URL.") from None
    if answer.status_code >= 300:
        raise NotTold(f"The webhook at {host} answered {answer.status_code}. Check ODH_ALERT_WEBHOOK_URL.")
