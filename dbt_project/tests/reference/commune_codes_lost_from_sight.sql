-- Codes of older lists of which none tells what became of them: a list of mergers would, as the feed
-- `fusions` brings them.
{{ config(severity='warn') }}

select
    commune_code,
    commune_name,
    cog_year
from {{ ref('dim_commune_code') }}
where commune_relation = 'lost'
