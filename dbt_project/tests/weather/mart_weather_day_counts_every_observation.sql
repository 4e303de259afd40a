-- The days of the mart hold every observation once; and every millimetre, but what was measured at a station's first
-- midnight, which fell on a day that is not told.

with

days as (

    select
        coalesce(sum(observation_count), 0) as observation_count,
        coalesce(sum(precipitation_mm), 0) as precipitation_mm
    from {{ ref('mart_weather_day') }}

),

observations as (

    select
        count(*) as observation_count,
        coalesce(
            sum(fct.precipitation_3h_mm) filter (
                where
                hour(fct.observed_at_utc) % 3 = 0
                and (fct.observed_at_utc - interval 3 hours)::date >= stations.first_observed_at_utc::date
            ),
            0
        ) as precipitation_mm
    from {{ ref('fct_weather_observation') }} as fct
    inner join {{ ref('dim_weather_station') }} as stations on fct.weather_station_id = stations.weather_station_id

)

select
    days.observation_count,
    observations.observation_count as fact_observation_count,
    days.precipitation_mm,
    observations.precipitation_mm as fact_precipitation_mm
from days
cross join observations
where
    days.observation_count <> observations.observation_count
    or days.precipitation_mm <> observations.precipitation_mm
