{{ config(materialized='ephemeral') }}

with

source as (

    select * from {{ source('accidents', 'vehicules') }}

),

cleaned as (

    select
        {{ identifier('num_acc') }} as accident_id,
        {{ identifier('id_vehicule') }} as vehicle_id,
        {{ given('num_veh') }} as vehicle_number,
        {{ code('senc') }} as direction_code,
        {{ code('catv') }} as vehicle_category_code,
        {{ code('obs') }} as fixed_obstacle_code,
        {{ code('obsm') }} as mobile_obstacle_code,
        {{ code('choc') }} as initial_impact_code,
        {{ code('manv') }} as manoeuvre_code,
        {{ code('motor') }} as motorisation_code,
        {{ french_number(given('occutc')) }} as occupants_text,
        {{ lineage() }},
        _replaced_on
    from source

),

typed as (

    select
        *,
        try_cast(try_cast(occupants_text as double) as integer) as public_transport_occupant_count
    from cleaned

),

final as (

    select
        accident_id,
        vehicle_number,
        vehicle_id,
        direction_code,
        vehicle_category_code,
        fixed_obstacle_code,
        mobile_obstacle_code,
        initial_impact_code,
        manoeuvre_code,
        motorisation_code,
        public_transport_occupant_count,
        {{ invalid_columns({'public_transport_occupant_count': 'occupants_text'}) }} as _invalid_columns,
        {{ lineage() }},
        _replaced_on
    from typed

)

select * from final
