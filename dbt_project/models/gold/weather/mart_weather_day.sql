with

observations as (

    select * from {{ ref('fct_weather_observation') }}

),

stations as (

    select * from {{ ref('dim_weather_station') }}

),

dim_date as (

    select * from {{ ref('dim_date') }}

),

-- Every day from a station's first observation to its last, so that a day without any is seen.
station_days as (

    select
        stations.weather_station_id,
        dim_date.date_day
    from stations
    inner join dim_date
        on
            dim_date.date_day between stations.first_observed_at_utc::date
            and stations.last_observed_at_utc::date

),

observed as (

    select
        weather_station_id,
        observation_date,
        count(*) as observation_count,
        count(temperature_c) as temperature_count,
        min(temperature_c) as min_temperature_c,
        avg(temperature_c)::decimal(5, 2) as mean_temperature_c,
        max(temperature_c) as max_temperature_c,
        avg(humidity_pct)::decimal(5, 2) as mean_humidity_pct,
        avg(sea_level_pressure_hpa)::decimal(7, 2) as mean_sea_level_pressure_hpa,
        avg(wind_speed_m_s)::decimal(5, 2) as mean_wind_speed_m_s,
        max(gust_speed_10min_m_s) as max_gust_speed_m_s,
        max(snow_depth_m) as max_snow_depth_m
    from observations
    group by weather_station_id, observation_date

),

-- What is measured at 00:00 fell the day before: the rain of a day is that of the eight periods that end after its
-- midnight, and at the next one.
rained as (

    select
        weather_station_id,
        (observed_at_utc - interval 3 hours)::date as rain_date,
        sum(precipitation_3h_mm)::decimal(9, 1) as precipitation_mm,
        count(precipitation_3h_mm) as precipitation_period_count
    from observations
    where hour(observed_at_utc) % 3 = 0
    group by weather_station_id, rain_date

),

final as (

    select
        station_days.weather_station_id,
        station_days.date_day as observation_date,
        coalesce(observed.observation_count, 0) as observation_count,
        coalesce(observed.temperature_count, 0) as temperature_count,
        observed.min_temperature_c,
        observed.mean_temperature_c,
        observed.max_temperature_c,
        observed.mean_humidity_pct,
        observed.mean_sea_level_pressure_hpa,
        observed.mean_wind_speed_m_s,
        observed.max_gust_speed_m_s,
        rained.precipitation_mm,
        coalesce(rained.precipitation_period_count, 0) as precipitation_period_count,
        observed.max_snow_depth_m
    from station_days
    left join observed
        on
            station_days.weather_station_id = observed.weather_station_id
            and station_days.date_day = observed.observation_date
    left join rained
        on
            station_days.weather_station_id = rained.weather_station_id
            and station_days.date_day = rained.rain_date

)

select * from final
order by weather_station_id, observation_date
