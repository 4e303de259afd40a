-- Each day has the stations and fuels that the snapshot that speaks for it lists, each once: none lost, none made up.

with

days as (

    select
        price_date,
        max(snapshot_date) as snapshot_date,
        count(*) as row_count,
        count(distinct station_id || ' ' || fuel_code) as price_count
    from {{ ref('fct_fuel_price') }}
    group by price_date

),

snapshots as (

    select
        _extraction_date as snapshot_date,
        count(distinct station_id || ' ' || fuel_code) as listed_count
    from {{ ref('stg_carburants__prix') }}
    where station_id is not null and fuel_code is not null
    group by _extraction_date

)

select
    snapshots.snapshot_date,
    snapshots.listed_count,
    days.price_date,
    days.row_count,
    days.price_count
from snapshots
full join days on snapshots.snapshot_date = days.snapshot_date
where
    days.row_count is distinct from snapshots.listed_count
    or days.price_count is distinct from snapshots.listed_count
