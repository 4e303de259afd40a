with

observations as (

    select * from {{ ref('stg_meteo__observations') }}

),

-- A month published again tells its observations a second time: the newest file speaks, its later line between equals.
deduplicated as (

    select *
    from observations
    where weather_station_id is not null and observed_at_utc is not null
    qualify row_number() over (
        partition by weather_station_id, observed_at_utc
        order by _extraction_date desc, _resource_id desc, _source_member desc nulls last, _source_line desc
    ) = 1

),

final as (

    select
        weather_station_id,
        observed_at_utc,
        observed_at_utc::date as observation_date,
        temperature_c,
        dew_point_c,
        humidity_pct,
        min_temperature_12h_c,
        max_temperature_12h_c,
        sea_level_pressure_hpa,
        station_pressure_hpa,
        pressure_change_3h_hpa,
        pressure_change_24h_hpa,
        wind_direction_deg,
        wind_speed_m_s,
        gust_speed_10min_m_s,
        gust_speed_period_m_s,
        gust_period_minutes,
        precipitation_1h_mm,
        precipitation_3h_mm,
        precipitation_6h_mm,
        precipitation_12h_mm,
        precipitation_24h_mm,
        snow_depth_m,
        visibility_m,
        cloud_cover_pct,
        is_sky_obscured,
        cloud_base_height_m,
        present_weather_code,
        ground_state_code,
        trace_columns,
        _resource_id,
        _extraction_date,
        _source_file,
        _source_member,
        _source_line
    from deduplicated

)

select * from final
order by weather_station_id, observed_at_utc
