with

observations as (

    select * from {{ ref('fct_weather_observation') }}

),

final as (

    select
        weather_station_id,
        left(weather_station_id, 2) as wmo_block_code,
        min(observed_at_utc) as first_observed_at_utc,
        max(observed_at_utc) as last_observed_at_utc,
        count(*) as observation_count,
        count(temperature_c) as temperature_count,
        count(sea_level_pressure_hpa) as sea_level_pressure_count,
        count(precipitation_3h_mm) as precipitation_3h_count
    from observations
    group by weather_station_id

)

select * from final
order by weather_station_id
