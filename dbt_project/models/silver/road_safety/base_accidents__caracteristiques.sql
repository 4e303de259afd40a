{{ config(materialized='ephemeral') }}

with

source as (

    select * from {{ source('accidents', 'caracteristiques') }}

),

cleaned as (

    select
        coalesce({{ identifier('num_acc') }}, {{ identifier('accident_id') }}) as accident_id,
        {{ code('an') }} as year_text,
        {{ code('mois') }} as month_text,
        {{ code('jour') }} as day_text,
        {{ code('hrmn') }} as time_text,
        {{ code('lum') }} as light_code,
        {{ code('dep') }} as departement_text,
        {{ code('com') }} as commune_text,
        {{ code('agg') }} as built_up_area_code,
        {{ code('int') }} as intersection_code,
        {{ code('atm') }} as weather_code,
        {{ code('col') }} as collision_code,
        {{ given('adr') }} as address,
        {{ given('gps') }} as gps_code,
        {{ french_number('lat') }} as latitude_text,
        {{ french_number('long') }} as longitude_text,
        {{ lineage() }},
        _replaced_on,
        -- until 2018 the year has two digits, and time, place and coordinates are written in their own way
        length({{ code('an') }}) <= 2 as is_legacy
    from source

),

spelled as (

    select
        *,
        case when is_legacy then '20' || lpad(year_text, 2, '0') else year_text end as full_year_text,
        case
            when contains(time_text, ':') then time_text
            -- 905 is 09:05, 5 is 00:05
            when length(time_text) <= 4
                then left(lpad(time_text, 4, '0'), 2) || ':' || right(lpad(time_text, 4, '0'), 2)
        end as clock_text,
        case
            when not is_legacy then {{ zero_padded('departement_text', 2) }}
            when departement_text = '201' then '2A'
            when departement_text = '202' then '2B'
            -- overseas the three digits are the code; elsewhere a zero follows it: 590, 10 (010, that is 01)
            when departement_text similar to '9[78][0-9]' then departement_text
            else left({{ zero_padded('departement_text', 3) }}, 2)
        end as departement_code,
        {{ zero_padded('commune_text', 'case when is_legacy then 3 else 5 end') }} as commune_digits,
        try_cast(latitude_text as double) / case when is_legacy then 1e5 else 1 end as latitude_number,
        try_cast(longitude_text as double) / case when is_legacy then 1e5 else 1 end as longitude_number
    from cleaned

),

located as (

    select
        *,
        case
            when not is_legacy then commune_digits
            -- overseas a commune is the third digit of its departement and two more: 971 + 105 is 97105
            when length(departement_code) = 3 and left(commune_digits, 1) = right(departement_code, 1)
                then left(departement_code, 2) || commune_digits
            when length(departement_code) = 3 then departement_code || right(commune_digits, 2)
            else departement_code || commune_digits
        end as insee_code,
        -- 0 and 0 is how the files of before 2019 say "not located"
        coalesce(latitude_number, 0) = 0 and coalesce(longitude_number, 0) = 0 as is_unlocated,
        try_cast(concat_ws('-', full_year_text, month_text, day_text) as date) as written_date
    from spelled

),

typed as (

    select
        *,
        -- a day that no calendar row could match is a mistyped one
        case
            when written_date between '{{ var('first_calendar_day') }}' and '{{ var('last_calendar_day') }}'
                then written_date
        end as accident_date,
        case
            when regexp_full_match(clock_text, '([01]?[0-9]|2[0-3]):[0-5][0-9]') then lpad(clock_text, 5, '0')
        end as accident_time,
        case when regexp_full_match(insee_code, '[0-9][0-9AB][0-9]{3}') then insee_code end as commune_code,
        case when not is_unlocated and abs(latitude_number) <= 90 then latitude_number end as latitude,
        case when not is_unlocated and abs(longitude_number) <= 180 then longitude_number end as longitude,
        coalesce(year_text, month_text, day_text) as date_text,
        case when latitude_number is null or not is_unlocated then latitude_text end as located_latitude_text,
        case when longitude_number is null or not is_unlocated then longitude_text end as located_longitude_text
    from located

),

final as (

    select
        accident_id,
        accident_date,
        accident_time,
        try_cast(left(accident_time, 2) as integer) as accident_hour,
        departement_code,
        commune_code,
        address,
        latitude,
        longitude,
        gps_code,
        light_code,
        built_up_area_code,
        intersection_code,
        weather_code,
        collision_code,
        {{ invalid_columns({
            'accident_date': 'date_text',
            'accident_time': 'time_text',
            'commune_code': 'commune_text',
            'latitude': 'located_latitude_text',
            'longitude': 'located_longitude_text',
        }) }} as _invalid_columns,
        {{ lineage() }},
        _replaced_on
    from typed

)

select * from final
