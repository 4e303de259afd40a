with

charging_points as (

    select * from {{ ref('fct_charging_point') }}

),

dim_departement as (

    select * from {{ ref('dim_departement') }}

),

populations as (

    select *
    from {{ ref('mart_population_departement') }}
    qualify row_number() over (partition by departement_code order by reference_year desc) = 1

),

-- One row per point: a station listed as a whole weighs as many as it declares.
points as (

    select
        departement_code,
        station_key,
        operator_key,
        power_kw,
        unnest(range(point_count)) as point_number
    from charging_points

),

by_departement as (

    select
        departement_code,
        count(*) as charging_point_count,
        count(distinct station_key) as station_count,
        count(distinct operator_key) filter (where operator_key <> 'unknown') as operator_count,
        count(power_kw) as charging_point_with_power_count,
        sum(power_kw) as total_power_kw,
        avg(power_kw) as mean_power_kw,
        median(power_kw) as median_power_kw
    from points
    group by departement_code

),

final as (

    select
        by_departement.departement_code,
        coalesce(dim_departement.departement_name, 'Département inconnu') as departement_name,
        dim_departement.region_code,
        dim_departement.region_name,
        by_departement.charging_point_count,
        by_departement.station_count,
        by_departement.operator_count,
        by_departement.charging_point_with_power_count,
        by_departement.total_power_kw::decimal(18, 3) as total_power_kw,
        by_departement.mean_power_kw::double as mean_power_kw,
        by_departement.median_power_kw::double as median_power_kw,
        populations.reference_year as population_reference_year,
        populations.municipal_population,
        {{ per_100000('by_departement.charging_point_count', 'populations.municipal_population') }}
            as charging_point_per_100000_inhabitants
    from by_departement
    left join populations on by_departement.departement_code = populations.departement_code
    left join dim_departement on by_departement.departement_code = dim_departement.departement_code

)

select * from final
order by departement_code
