{#- Two reports tell of one hazard within so many metres and minutes; a commune further away is not where it is. -#}
{%- set metres, minutes, commune_metres = 50, 15, 30000 -%}

with

reports as (

    select * from {{ ref('stg_signalements__signalements') }}

),

commune_points as (

    select * from {{ ref('dim_commune_point') }}

),

dim_commune as (

    select * from {{ ref('dim_commune') }}

),

located as (

    select
        *,
        floor(epoch(observed_at) / 60 / {{ minutes }})::bigint as slot
    from reports
    where observed_at is not null and longitude is not null and latitude is not null

),

-- A report repeats an earlier one of its kind, seen at most so many minutes before and so many metres away, that one
-- being a repetition or not: reports of one hazard follow one another. Of two seen at once the first received counts.
slots as (

    select
        *,
        unnest([slot, slot + 1]) as near_slot
    from located

),

repetitions as (

    select
        later.report_key,
        earlier.report_key as earlier_key
    from located as later
    inner join slots as earlier
        on
            later.hazard_kind = earlier.hazard_kind
            and later.slot = earlier.near_slot
            and abs(later.latitude - earlier.latitude) < 0.001
    where
        (earlier.observed_at, earlier.report_key) < (later.observed_at, later.report_key)
        and later.observed_at <= earlier.observed_at + interval {{ minutes }} minute
        and {{ distance_m('earlier.latitude', 'earlier.longitude', 'later.latitude', 'later.longitude') }}
        <= {{ metres }}

),

repeated as (

    select
        earlier_key as report_key,
        count(*) as repetition_count
    from repetitions
    group by earlier_key

),

hazards as (

    select
        located.*,
        coalesce(repeated.repetition_count, 0) as repetition_count
    from located
    left join repeated on located.report_key = repeated.report_key
    where located.report_key not in (select repetitions.report_key from repetitions)

),

-- All positions and all points in one call: the tree is made once (catalog/enrichment.py).
listed as (

    select
        list(report_key order by report_key) as keys,
        list(longitude order by report_key) as longitudes,
        list(latitude order by report_key) as latitudes
    from hazards

),

listed_points as (

    select
        list(commune_key order by point_code) as communes,
        list(longitude order by point_code) as longitudes,
        list(latitude order by point_code) as latitudes
    from commune_points

),

nearest as (

    select
        unnest(listed.keys) as report_key,
        unnest(  -- noqa: AL03
            odh_nearest_point(
                listed.longitudes, listed.latitudes, listed_points.longitudes, listed_points.latitudes
            ),
            recursive := true
        ),
        listed_points.communes
    from listed
    cross join listed_points

),

placed as (

    select
        report_key,
        case when distance_m <= {{ commune_metres }} then communes[place + 1] end as commune_key,
        case when distance_m <= {{ commune_metres }} then distance_m end as commune_distance_m
    from nearest

),

final as (

    select
        hazards.report_key as hazard_key,
        hazards.observed_at,
        hazards.observed_at::date as observed_on,
        hazards.hazard_kind,
        hazards.longitude,
        hazards.latitude,
        coalesce(placed.commune_key, '00000') as commune_key,
        placed.commune_distance_m,
        coalesce(dim_commune.departement_code, '00') as departement_code,
        hazards.reporter_siret,
        hazards.is_reporter_siret_valid,
        hazards.repetition_count,
        hazards._resource_id,
        hazards._extraction_date,
        hazards._source_line
    from hazards
    left join placed on hazards.report_key = placed.report_key
    left join dim_commune on placed.commune_key = dim_commune.commune_code

)

select * from final
order by observed_at, hazard_key
