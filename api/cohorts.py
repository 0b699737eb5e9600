"""The cohort at the door: asked where somebody comes in, and never again for as long as their access token is good."""

from api.errors import NotAdmitted
from domain.cohorts import Cohort, parse_members
from settings import Settings, SettingsError


def configured(config: Settings) -> Cohort:
    """Return who is served here.

    Raises:
        SettingsError: COHORT_MEMBERS cannot be read.

    """
    try:
        members = parse_members(config.cohort_members)
    except ValueError as error:
        raise SettingsError(f"COHORT_MEMBERS: {error}") from error
    return Cohort(key=config.index_key.encode(), percent=config.cohort_percent, members=members)


def require(cohort: Cohort, email: str) -> None:
    """Let pass who is served here.

    Raises:
        NotAdmitted: somebody else.

    """
    if not cohort.admits(email):
        raise NotAdmitted
