with

prices as (

    select * from {{ ref('fct_fuel_price') }}
    where price_eur_per_litre is not null

),

dim_fuel as (

    select * from {{ ref('dim_fuel') }}

),

dim_date as (

    select * from {{ ref('dim_date') }}

),

changes as (

    {{ price_changes() }}

),

by_day as (

    select
        fuel_code,
        price_date,
        {{ fuel_price_measures() }}
    from changes
    group by fuel_code, price_date

),

final as (

    select
        by_day.fuel_code,
        dim_fuel.fuel_name,
        by_day.price_date,
        dim_date.weekday,
        dim_date.is_holiday,
        by_day.station_count,
        by_day.updated_station_count,
        by_day.mean_price_eur_per_litre,
        by_day.median_price_eur_per_litre,
        by_day.min_price_eur_per_litre,
        by_day.max_price_eur_per_litre,
        by_day.compared_station_count,
        by_day.raised_station_count,
        by_day.lowered_station_count,
        by_day.mean_change_eur_per_litre
    from by_day
    inner join dim_fuel on by_day.fuel_code = dim_fuel.fuel_code
    left join dim_date on by_day.price_date = dim_date.date_day

)

select * from final
order by fuel_code, price_date
