-- Stations whose town is no commune's name in their département: hamlets, two names in one, commune names of before
-- the oldest COG. They point to the unknown member; a growing count says that names are written in a new way.
{{ config(severity='warn') }}

select
    station_id,
    postal_code,
    town_name
from {{ ref('dim_station') }}
where commune_key = '00000'
