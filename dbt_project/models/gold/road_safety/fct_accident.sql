{%- set accident_codes = {
    'light': 'lum', 'built_up_area': 'agg', 'intersection': 'int', 'weather': 'atm', 'collision': 'col',
} -%}
{%- set place_codes = {
    'road_category': 'catr', 'traffic_regime': 'circ', 'reserved_lane': 'vosp', 'gradient': 'prof',
    'alignment': 'plan', 'surface': 'surf', 'infrastructure': 'infra', 'situation': 'situ',
} -%}
with

accidents as (

    select * from {{ ref('stg_accidents__caracteristiques') }}
    where accident_id is not null

),

places as (

    select * from {{ ref('stg_accidents__lieux') }}

),

vehicles as (

    select * from {{ ref('fct_accident_vehicle') }}

),

persons as (

    select * from {{ ref('fct_accident_person') }}

),

commune_codes as (

    select * from {{ ref('dim_commune_code') }}

),

departements as (

    select * from {{ ref('dim_departement') }}

),

-- One row an accident, whatever its number of places: the first published is the road the police name first.
main_places as (

    select
        *,
        count(*) over (partition by accident_id) as place_count
    from places
    qualify row_number() over (partition by accident_id order by _source_line, road_category_code, road_name) = 1

),

vehicle_counts as (

    select
        accident_id,
        count(*) as vehicle_count
    from vehicles
    group by accident_id

),

person_counts as (

    select
        accident_id,
        count(*) as person_count,
        count(*) filter (where severity_code = '2') as killed_count,
        count(*) filter (where severity_code = '3') as hospitalised_count,
        count(*) filter (where severity_code = '4') as slightly_injured_count,
        count(*) filter (where severity_code = '1') as unharmed_count,
        count(*) filter (where severity_code in ('2', '3', '4')) as casualty_count
    from persons
    group by accident_id

),

final as (

    select
        accidents.accident_id,
        accidents.accident_date,
        year(accidents.accident_date)::integer as accident_year,
        accidents.accident_time,
        accidents.accident_hour,
        coalesce(commune_codes.commune_key, '00000') as commune_key,
        accidents.commune_code,
        departements.departement_code as departement_key,
        accidents.departement_code,
        accidents.address,
        accidents.latitude,
        accidents.longitude,
        {{ select_baac_labels('accidents', accident_codes) }},
        {{ select_baac_labels('main_places', place_codes) }},
        main_places.road_name,
        main_places.lane_count,
        main_places.speed_limit_kmh,
        coalesce(main_places.place_count, 0)::bigint as place_count,
        coalesce(vehicle_counts.vehicle_count, 0)::bigint as vehicle_count,
        coalesce(person_counts.person_count, 0)::bigint as person_count,
        coalesce(person_counts.killed_count, 0)::bigint as killed_count,
        coalesce(person_counts.hospitalised_count, 0)::bigint as hospitalised_count,
        coalesce(person_counts.slightly_injured_count, 0)::bigint as slightly_injured_count,
        coalesce(person_counts.unharmed_count, 0)::bigint as unharmed_count,
        coalesce(person_counts.casualty_count, 0)::bigint as casualty_count
    from accidents
    left join main_places on accidents.accident_id = main_places.accident_id
    left join vehicle_counts on accidents.accident_id = vehicle_counts.accident_id
    left join person_counts on accidents.accident_id = person_counts.accident_id
    left join commune_codes on accidents.commune_code = commune_codes.commune_code
    left join departements on accidents.departement_code = departements.departement_code
    {{ join_baac_labels('accidents', accident_codes) }}
    {{ join_baac_labels('main_places', place_codes) }}

)

select * from final
order by accident_id
