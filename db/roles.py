"""What a connection's role must not be able to do: checked when a process starts, and by the doctor."""

from sqlalchemy import Connection, text


def unsafe(connection: Connection) -> list[str]:
    """Return what is wrong with the role and its settings, a sentence each; none is right."""
    row = connection.execute(ROLE).one()
    found = []
    if row.is_superuser:
        found.append(f"the role {row.name} is a superuser; it could edit history")
    if row.owned:
        found.append(f"the role {row.name} owns tables; it could drop their rules")
    if row.synchronous_commit not in {"on", "remote_apply"}:
        found.append(f"synchronous_commit is {row.synchronous_commit}; an accepted job could be lost")
    return found


ROLE = text("""
    SELECT current_user AS name,
           (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
           EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user) AS owned,
           current_setting('synchronous_commit') AS synchronous_commit
""")
