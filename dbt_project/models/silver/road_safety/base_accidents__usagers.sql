{{ config(materialized='ephemeral') }}

with

source as (

    select * from {{ source('accidents', 'usagers') }}

),

cleaned as (

    select
        {{ identifier('num_acc') }} as accident_id,
        {{ identifier('id_usager') }} as person_id,
        {{ identifier('id_vehicule') }} as vehicle_id,
        {{ given('num_veh') }} as vehicle_number,
        {{ code('place') }} as seat_code,
        {{ code('catu') }} as person_category_code,
        {{ code('grav') }} as severity_code,
        {{ code('sexe') }} as sex_code,
        {{ french_number(given('an_nais')) }} as birth_year_text,
        {{ code('trajet') }} as trip_purpose_code,
        {{ code('secu') }} as safety_equipment_and_use_code,
        {{ code('secu1') }} as safety_equipment_1_code,
        {{ code('secu2') }} as safety_equipment_2_code,
        {{ code('secu3') }} as safety_equipment_3_code,
        {{ code('locp') }} as pedestrian_location_code,
        {{ code('actp') }} as pedestrian_action_code,
        {{ code('etatp') }} as pedestrian_company_code,
        {{ lineage() }},
        _replaced_on
    from source

),

typed as (

    select
        *,
        try_cast(try_cast(birth_year_text as double) as integer) as birth_year
    from cleaned

),

final as (

    select
        accident_id,
        vehicle_number,
        vehicle_id,
        person_id,
        seat_code,
        person_category_code,
        severity_code,
        sex_code,
        birth_year,
        trip_purpose_code,
        safety_equipment_and_use_code,
        safety_equipment_1_code,
        safety_equipment_2_code,
        safety_equipment_3_code,
        pedestrian_location_code,
        pedestrian_action_code,
        pedestrian_company_code,
        {{ invalid_columns({'birth_year': 'birth_year_text'}) }} as _invalid_columns,
        {{ lineage() }},
        _replaced_on
    from typed

)

select * from final
