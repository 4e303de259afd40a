"""Servers that asked to be left alone, and until when."""

import sqlalchemy as sa
from alembic import op

from catalog.schema import UtcDateTime

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rests",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("until", UtcDateTime(), nullable=False),
    )
