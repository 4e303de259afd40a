"""Which days a feed was looked at whole, and which bronze a release was made from."""

import sqlalchemy as sa
from alembic import op

from catalog.schema import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "listings",
        sa.Column("feed", sa.Text(), primary_key=True),
        sa.Column("extraction_date", sa.Date(), primary_key=True),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("resources", sa.BigInteger(), nullable=False),
        sa.Column("listed_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "release_inputs",
        sa.Column(
            "release_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("releases.release_id"),
            primary_key=True,
        ),
        sa.Column("table_name", sa.Text(), primary_key=True),
        sa.Column("metadata_location", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=True),
    )
