with

stations as (

    select * from {{ ref('stg_carburants__stations') }}

),

dim_commune as (

    select * from {{ ref('dim_commune') }}

),

dim_commune_code as (

    select * from {{ ref('dim_commune_code') }}

),

dim_departement as (

    select * from {{ ref('dim_departement') }}

),

-- Names of every year and of parts, for stations keep old ones; a part may bear the code of the commune it leads, so
-- no dimension, with one name a code, holds them all.
commune_names as (

    select
        commune_code,
        commune_name,
        commune_kind = 'COM' and cog_year = max(cog_year) over () as is_whole
    from {{ ref('stg_cog__communes') }}
    where commune_kind in ('COM', 'COMD', 'COMA')

),

-- The file names a town and a postal code, and no commune: the one of that name in the postal code's département,
-- whole communes before those that are, or were, a part of one.
named_communes as (

    select
        dim_commune.departement_code,
        dim_commune_code.commune_key as commune_code,
        {{ town_key('commune_names.commune_name') }} as town_key,
        commune_names.is_whole
    from commune_names
    inner join dim_commune_code on commune_names.commune_code = dim_commune_code.commune_code
    inner join dim_commune on dim_commune_code.commune_key = dim_commune.commune_code

),

communes_by_name as (

    select
        departement_code,
        town_key,
        count(distinct commune_code) filter (where is_whole) as whole_count,
        min(commune_code) filter (where is_whole) as whole_code,
        count(distinct commune_code) as commune_count,
        min(commune_code) as commune_code
    from named_communes
    where town_key is not null
    group by departement_code, town_key

),

-- a name that two communes bear tells neither
towns as (

    select
        departement_code,
        town_key,
        case
            when whole_count = 1 then whole_code
            when whole_count = 0 and commune_count = 1 then commune_code
        end as commune_code
    from communes_by_name

),

listed as (

    select
        *,
        {{ town_key('town_name') }} as town_key,
        _extraction_date = max(_extraction_date) over () as is_listed
    from stations
    where station_id is not null

),

final as (

    select
        listed.station_id,
        listed.town_name,
        listed.address,
        listed.postal_code,
        coalesce(towns.commune_code, '00000') as commune_key,
        dim_departement.departement_code,
        listed.latitude,
        listed.longitude,
        listed.road_kind_code,
        case listed.road_kind_code when 'A' then 'autoroute' when 'R' then 'route' end as road_kind,
        listed.is_automated_24h,
        listed._extraction_date as last_listed_on,
        listed.is_listed
    from listed
    left join towns
        on listed.departement_code = towns.departement_code and listed.town_key = towns.town_key
    left join dim_departement on listed.departement_code = dim_departement.departement_code

)

select * from final
order by station_id
