{{ config(materialized='ephemeral') }}
{%- set kelvins = {
    'temperature_c': 't',
    'dew_point_c': 'td',
    'wet_bulb_temperature_c': 'tw',
    'min_temperature_12h_c': 'tn12',
    'min_temperature_24h_c': 'tn24',
    'max_temperature_12h_c': 'tx12',
    'max_temperature_24h_c': 'tx24',
    'min_ground_temperature_12h_c': 'tminsol',
} -%}
{%- set pascals = {
    'sea_level_pressure_hpa': 'pmer',
    'station_pressure_hpa': 'pres',
    'barometric_level_hpa': 'niv_bar',
    'pressure_change_3h_hpa': 'tend',
    'pressure_change_24h_hpa': 'tend24',
} -%}
{%- set speeds = {
    'wind_speed_m_s': 'ff',
    'gust_speed_10min_m_s': 'raf10',
    'gust_speed_period_m_s': 'rafper',
} -%}
{%- set rains = {
    'precipitation_1h_mm': 'rr1',
    'precipitation_3h_mm': 'rr3',
    'precipitation_6h_mm': 'rr6',
    'precipitation_12h_mm': 'rr12',
    'precipitation_24h_mm': 'rr24',
} -%}
{%- set snows = {
    'snow_depth_m': 'ht_neige',
    'fresh_snow_depth_m': 'ssfrai',
} -%}
{%- set integers = {
    'wind_direction_deg': 'dd',
    'humidity_pct': 'u',
    'visibility_m': 'vv',
    'low_cloud_octas': 'nbas',
    'cloud_base_height_m': 'hbas',
    'geopotential_m2_s2': 'geop',
    'gust_period_minutes': 'per',
    'fresh_snow_period_tenths_of_hour': 'perssfrai',
    'cloud_layer_1_octas': 'nnuage1',
    'cloud_layer_1_height_m': 'hnuage1',
    'cloud_layer_2_octas': 'nnuage2',
    'cloud_layer_2_height_m': 'hnuage2',
    'cloud_layer_3_octas': 'nnuage3',
    'cloud_layer_3_height_m': 'hnuage3',
    'cloud_layer_4_octas': 'nnuage4',
    'cloud_layer_4_height_m': 'hnuage4',
} -%}
{%- set codes = {
    'pressure_tendency_code': 'cod_tend',
    'present_weather_code': 'ww',
    'past_weather_1_code': 'w1',
    'past_weather_2_code': 'w2',
    'low_cloud_code': 'cl',
    'middle_cloud_code': 'cm',
    'high_cloud_code': 'ch',
    'wet_bulb_method_code': 'sw',
    'ground_state_code': 'etat_sol',
    'special_phenomenon_1_code': 'phenspe1',
    'special_phenomenon_2_code': 'phenspe2',
    'special_phenomenon_3_code': 'phenspe3',
    'special_phenomenon_4_code': 'phenspe4',
    'cloud_layer_1_code': 'ctype1',
    'cloud_layer_2_code': 'ctype2',
    'cloud_layer_3_code': 'ctype3',
    'cloud_layer_4_code': 'ctype4',
} -%}
{%- set measures = {} -%}
{%- for kind in (kelvins, pascals, speeds, rains, snows, integers) %}{% do measures.update(kind) %}{% endfor -%}

with

source as (

    select * from {{ source('meteo', 'observations') }}

),

given as (

    select
        {{ clean_text('numer_sta') }} as given_station_id,
        {{ clean_text('date') }} as given_observed_at,
        {{ synop_text('n') }} as given_cloud_cover_pct,
        {%- for name, column in measures.items() %}
        {{ synop_text(column) }} as given_{{ name }},
        {%- endfor %}
        {%- for name, column in codes.items() %}
        {{ synop_text(column) }} as {{ name }},
        {%- endfor %}
        {{ lineage() }},
        _replaced_on
    from source

),

typed as (

    select
        *,
        {{ zero_padded('given_station_id', 5) }} as weather_station_id,
        try_strptime(given_observed_at, '%Y%m%d%H%M%S') as observed_at_utc,
        {%- for name in kelvins %}
        {{ celsius('given_' ~ name) }} as {{ name }},
        {%- endfor %}
        {%- for name in pascals %}
        {{ hectopascals('given_' ~ name) }} as {{ name }},
        {%- endfor %}
        {%- for name in speeds %}
        try_cast(given_{{ name }} as decimal(5, 1)) as {{ name }},
        {%- endfor %}
        {%- for name in rains %}
        {{ not_below_zero('given_' ~ name, 1) }} as {{ name }},
        {%- endfor %}
        {%- for name in snows %}
        {{ not_below_zero('given_' ~ name, 2) }} as {{ name }},
        {%- endfor %}
        {%- for name in integers %}
        try_cast(given_{{ name }} as integer) as {{ name }},
        {%- endfor %}
        try_cast(given_cloud_cover_pct as integer) as cloud_cover
    from given

),

final as (

    select
        weather_station_id,
        observed_at_utc,
        {%- for name in (kelvins, pascals, speeds, rains, snows) | map('list') | sum(start=[]) %}
        {{ name }},
        {%- endfor %}
        -- 101 is no share of the sky: fog or snow hides it
        case when cloud_cover <= 100 then cloud_cover end as cloud_cover_pct,
        cloud_cover > 100 as is_sky_obscured,
        {%- for name in integers %}
        {% if '_period_' in name %}abs({{ name }}) as {% endif %}{{ name }},
        {%- endfor %}
        {%- for name in codes %}
        {{ name }},
        {%- endfor %}
        {{ traces({
            'precipitation_1h_mm': 'given_precipitation_1h_mm',
            'precipitation_3h_mm': 'given_precipitation_3h_mm',
            'precipitation_6h_mm': 'given_precipitation_6h_mm',
            'precipitation_12h_mm': 'given_precipitation_12h_mm',
            'precipitation_24h_mm': 'given_precipitation_24h_mm',
            'snow_depth_m': 'given_snow_depth_m',
            'fresh_snow_depth_m': 'given_fresh_snow_depth_m',
        }) }} as trace_columns,
        {% set typed_from = {'observed_at_utc': 'given_observed_at', 'cloud_cover': 'given_cloud_cover_pct'} -%}
        {%- for name in measures %}{% do typed_from.update({name: 'given_' ~ name}) %}{% endfor -%}
        {{ invalid_columns(typed_from) }} as _invalid_columns,
        {{ lineage() }},
        _replaced_on
    from typed

)

select * from final
