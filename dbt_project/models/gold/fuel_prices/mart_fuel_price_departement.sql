with

prices as (

    select * from {{ ref('fct_fuel_price') }}
    where price_eur_per_litre is not null

),

dim_station as (

    select * from {{ ref('dim_station') }}

),

dim_departement as (

    select * from {{ ref('dim_departement') }}

),

changes as (

    {{ price_changes() }}

),

located as (

    select
        changes.*,
        coalesce(dim_station.departement_code, '00') as departement_code
    from changes
    left join dim_station on changes.station_id = dim_station.station_id

),

by_departement as (

    select
        departement_code,
        fuel_code,
        price_date,
        {{ fuel_price_measures() }}
    from located
    group by departement_code, fuel_code, price_date

),

final as (

    select
        by_departement.departement_code,
        coalesce(dim_departement.departement_name, 'Département inconnu') as departement_name,
        dim_departement.region_code,
        dim_departement.region_name,
        by_departement.fuel_code,
        by_departement.price_date,
        by_departement.station_count,
        by_departement.updated_station_count,
        by_departement.mean_price_eur_per_litre,
        by_departement.median_price_eur_per_litre,
        by_departement.min_price_eur_per_litre,
        by_departement.max_price_eur_per_litre,
        by_departement.compared_station_count,
        by_departement.raised_station_count,
        by_departement.lowered_station_count,
        by_departement.mean_change_eur_per_litre
    from by_departement
    left join dim_departement on by_departement.departement_code = dim_departement.departement_code

)

select * from final
order by departement_code, fuel_code, price_date
