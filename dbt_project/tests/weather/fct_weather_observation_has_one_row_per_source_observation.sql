-- The observations of silver and of gold are the same: each station and time once, none lost, none made up.

with

expected as (

    select
        weather_station_id,
        observed_at_utc
    from {{ ref('stg_meteo__observations') }}
    where weather_station_id is not null and observed_at_utc is not null
    group by weather_station_id, observed_at_utc

),

actual as (

    select
        weather_station_id,
        observed_at_utc,
        count(*) as row_count
    from {{ ref('fct_weather_observation') }}
    group by weather_station_id, observed_at_utc

)

select
    coalesce(expected.weather_station_id, actual.weather_station_id) as weather_station_id,
    coalesce(expected.observed_at_utc, actual.observed_at_utc) as observed_at_utc,
    actual.row_count
from expected
full join actual
    on
        expected.weather_station_id = actual.weather_station_id
        and expected.observed_at_utc = actual.observed_at_utc
where actual.row_count is distinct from 1 or expected.weather_station_id is null
