"""Checks mail addresses, which are stored in lower case."""

from prism.errors import ValidationFailed


def address(text: str) -> str:
    """The address in lower case; raises if it is invalid. The mailbox may not exist."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  cold start: 20 ms, and few invite anybody

    try:
        # Local names such as `mail.lan` are allowed.
        email = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise ValidationFailed.of(("email", str(error))) from error
    return email.normalized.lower()


def parts(address: str) -> tuple[str, str]:
    """The parts before and after the `@`; the domain in ASCII."""
    name, _, domain = address.rpartition("@")
    if domain.isascii():
        return name, domain
    from email_validator import validate_email  # noqa: PLC0415  cold start: as above

    email = validate_email(f"x@{domain}", check_deliverability=False, globally_deliverable=False)
    return name, email.ascii_domain or domain
