"""Rejects of every stage, changes of every kind, and how an extraction knew that it had changed."""

import sqlalchemy as sa
from alembic import op

from catalog.schema import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("extractions", sa.Column("evidence", sa.Text(), nullable=True))
    op.add_column("rejects", sa.Column("stage", sa.Text(), nullable=False, server_default="decode"))
    op.add_column("rejects", sa.Column("column_name", sa.Text(), nullable=True))
    op.create_index("loads_by_feed", "loads", ["feed", "extraction_date"])
    # the kind of change enters the primary key, which SQLite cannot alter
    op.rename_table("schema_changes", "schema_changes_before")
    op.create_table(
        "schema_changes",
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("extraction_date", sa.Date(), nullable=False),
        sa.Column("source_member", sa.Text(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("detected_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "table_name", "resource_id", "extraction_date", "source_member", "column_name", "change"
        ),
    )
    kept = "table_name, resource_id, extraction_date, source_member, column_name, change, feed, class, detected_at"
    op.execute(f"insert into schema_changes ({kept}) select {kept} from schema_changes_before")
    op.drop_table("schema_changes_before")
