{{ config(materialized='ephemeral') }}

with

source as (

    select * from {{ source('carburants', 'stations') }}

),

given as (

    select
        {{ clean_text('id') }} as station_id,
        {{ clean_text('latitude') }} as given_latitude,
        {{ clean_text('longitude') }} as given_longitude,
        {{ clean_text('cp') }} as given_postal_code,
        upper({{ clean_text('pop') }}) as road_kind_code,
        {{ clean_text('adresse') }} as address,
        {{ clean_text('ville') }} as town_name,
        {{ clean_text('horaires_automate_24_24') }} as given_is_automated,
        {{ lineage() }},
        _replaced_on
    from source

),

prepared as (

    select
        *,
        {{ degrees('given_latitude') }} as given_degrees_north,
        {{ degrees('given_longitude') }} as given_degrees_east,
        lpad(given_postal_code, 5, '0') as padded_postal_code
    from given

),

typed as (

    select
        *,
        -- a position out of France is none: 0 and 0 where a station gave nothing
        {{ is_in_france('given_degrees_north', 'given_degrees_east') }} as is_located,
        case when regexp_full_match(padded_postal_code, '\d{5}') then padded_postal_code end as postal_code
    from prepared

),

located as (

    select
        *,
        case when is_located then given_degrees_north end as latitude,
        case when is_located then given_degrees_east end as longitude
    from typed

),

final as (

    select
        station_id,
        town_name,
        address,
        postal_code,
        {{ departement_code_of_postal_code('postal_code') }} as departement_code,
        latitude,
        longitude,
        road_kind_code,
        coalesce(given_is_automated = '1', false) as is_automated_24h,
        {{ invalid_columns({
            'postal_code': 'given_postal_code',
            'latitude': 'given_latitude',
            'longitude': 'given_longitude',
        }) }} as _invalid_columns,
        {{ lineage() }},
        _replaced_on
    from located

)

select * from final
