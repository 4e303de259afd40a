"""Which task of a scheduler a run was the work of, and the alerts people were sent."""

import sqlalchemy as sa
from alembic import op

from catalog.schema import UtcDateTime

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("dag_id", "dag_run_id", "task_id", "task_url"):
        op.add_column("runs", sa.Column(name, sa.Text(), nullable=True))
    for name in ("map_index", "try_number", "max_tries", "will_retry"):
        op.add_column("runs", sa.Column(name, sa.Integer(), nullable=True))
    op.create_table(
        "alerts",
        sa.Column(
            "alert_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("notified_at", UtcDateTime(), nullable=True),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("told_over", sa.Text(), nullable=False),
    )
    op.create_index("alerts_by_fingerprint", "alerts", ["fingerprint"])
