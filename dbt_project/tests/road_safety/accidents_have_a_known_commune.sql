-- Accidents whose commune is not in the COG: overseas collectivities, missing or mistyped codes. They keep their code
-- and point to the unknown member; a growing count says the COG is out of date.
{{ config(severity='warn') }}

select
    accident_id,
    commune_code
from {{ ref('fct_accident') }}
where commune_key = '00000'
