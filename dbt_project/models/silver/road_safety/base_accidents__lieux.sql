{{ config(materialized='ephemeral') }}

with

source as (

    select * from {{ source('accidents', 'lieux') }}

),

cleaned as (

    select
        {{ identifier('num_acc') }} as accident_id,
        {{ code('catr') }} as road_category_code,
        {{ given('voie') }} as road_name,
        {{ code('v1') }} as road_number_index,
        {{ given('v2') }} as road_letter_index,
        {{ code('circ') }} as traffic_regime_code,
        {{ given('nbv') }} as lane_count_text,
        {{ code('vosp') }} as reserved_lane_code,
        {{ code('prof') }} as gradient_code,
        {{ identifier(given('pr')) }} as milestone_code,
        {{ french_number(given('pr1')) }} as milestone_distance_text,
        {{ code('plan') }} as alignment_code,
        {{ french_number(given('lartpc')) }} as central_reservation_text,
        {{ french_number(given('larrout')) }} as carriageway_text,
        {{ code('surf') }} as surface_code,
        {{ code('infra') }} as infrastructure_code,
        {{ code('situ') }} as situation_code,
        {{ french_number(given('vma')) }} as speed_limit_text,
        {{ code('env1') }} as school_nearby_code,
        {{ lineage() }},
        _replaced_on,
        -- widths are decimetres in the files of before 2019, the ones with env1: median 68 in 2018, 6 in 2023
        case when env1 is null then 1 else 10 end as units_per_metre
    from source

),

typed as (

    select
        *,
        try_cast(try_cast(lane_count_text as double) as integer) as lane_count,
        {{ finite_number('milestone_distance_text') }} as milestone_distance_m,
        {{ finite_number('central_reservation_text') }} / units_per_metre as central_reservation_width_m,
        {{ finite_number('carriageway_text') }} / units_per_metre as carriageway_width_m,
        try_cast(try_cast(speed_limit_text as double) as integer) as speed_limit_kmh
    from cleaned

),

final as (

    select
        accident_id,
        road_category_code,
        road_name,
        road_number_index,
        road_letter_index,
        milestone_code,
        milestone_distance_m,
        traffic_regime_code,
        lane_count,
        reserved_lane_code,
        gradient_code,
        alignment_code,
        central_reservation_width_m,
        carriageway_width_m,
        surface_code,
        infrastructure_code,
        situation_code,
        speed_limit_kmh,
        school_nearby_code,
        {{ invalid_columns({
            'lane_count': 'lane_count_text',
            'milestone_distance_m': 'milestone_distance_text',
            'central_reservation_width_m': 'central_reservation_text',
            'carriageway_width_m': 'carriageway_text',
            'speed_limit_kmh': 'speed_limit_text',
        }) }} as _invalid_columns,
        {{ lineage() }},
        _replaced_on
    from typed

)

select * from final
