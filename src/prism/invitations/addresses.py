"""What is a mail address, and how it is spelled here: in lower case."""

from prism.errors import ValidationFailed


def address(said: str) -> str:
    """The address; raises for what is none. Nobody is asked whether it exists."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  cold start: 20 ms, and few invite anybody

    try:
        # A laboratory's own mail server may well be called `mail.lan`.
        found = validate_email(said, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise ValidationFailed.of(("email", str(error))) from error
    return found.normalized.lower()


def parts(address: str) -> tuple[str, str]:
    """What stands before and after the `@`, the domain in the letters that every server knows."""
    name, _, domain = address.rpartition("@")
    if domain.isascii():
        return name, domain
    from email_validator import validate_email  # noqa: PLC0415  cold start: as above

    found = validate_email(f"x@{domain}", check_deliverability=False, globally_deliverable=False)
    return name, found.ascii_domain or domain
