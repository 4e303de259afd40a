{%- set vehicle_codes = {
    'direction': 'senc', 'vehicle_category': 'catv', 'fixed_obstacle': 'obs', 'mobile_obstacle': 'obsm',
    'initial_impact': 'choc', 'manoeuvre': 'manv', 'motorisation': 'motor',
} -%}
with

vehicles as (

    select
        *,
        -- a vehicle that the file does not number is known by its line
        coalesce({{ vehicle_key() }}, accident_id || '-line' || _source_line::varchar) as vehicle_key
    from {{ ref('stg_accidents__vehicules') }}

),

accidents as (

    select
        accident_id,
        accident_date
    from {{ ref('stg_accidents__caracteristiques') }}

),

-- a vehicle whose accident was not published stays in silver, where a test counts it
final as (

    select
        vehicles.vehicle_key,
        vehicles.accident_id,
        accidents.accident_date,
        vehicles.vehicle_number,
        vehicles.vehicle_id,
        {{ select_baac_labels('vehicles', vehicle_codes) }},
        vehicles.public_transport_occupant_count
    from vehicles
    inner join accidents on vehicles.accident_id = accidents.accident_id
    {{ join_baac_labels('vehicles', vehicle_codes) }}

)

select * from final
order by vehicle_key
