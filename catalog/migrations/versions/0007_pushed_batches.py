"""What became of pushed batches, and which parts of their log are in bronze."""

import sqlalchemy as sa
from alembic import op

from catalog.schema import UtcDateTime

revision = "0007"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "push_flushes",
        sa.Column("segment", sa.Text(), primary_key=True),
        sa.Column("start_offset", sa.BigInteger(), primary_key=True),
        sa.Column("end_offset", sa.BigInteger(), nullable=False),
        sa.Column("flush_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("planned_at", UtcDateTime(), nullable=False),
    )
    op.create_index("push_flushes_by_status", "push_flushes", ["status"])
    op.create_table(
        "push_batches",
        sa.Column("receipt", sa.Text(), primary_key=True),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("faults", sa.Text(), nullable=True),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=True),
        sa.Column("extraction_date", sa.Date(), nullable=False),
        sa.Column("first_line", sa.BigInteger(), nullable=True),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("duplicate_of", sa.Text(), nullable=True),
        sa.Column("bronze_at", UtcDateTime(), nullable=True),
        sa.Column("curated_at", UtcDateTime(), nullable=True),
        sa.Column("release_id", sa.BigInteger(), nullable=True),
    )
    op.create_index("push_batches_by_status", "push_batches", ["status", "feed"])
    op.create_index("push_batches_by_key", "push_batches", ["key_hash"])
