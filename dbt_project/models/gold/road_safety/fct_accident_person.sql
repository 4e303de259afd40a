{%- set person_codes = {
    'person_category': 'catu', 'severity': 'grav', 'sex': 'sexe', 'trip_purpose': 'trajet',
    'safety_equipment_1': 'secu', 'safety_equipment_2': 'secu', 'safety_equipment_3': 'secu',
    'pedestrian_location': 'locp', 'pedestrian_action': 'actp', 'pedestrian_company': 'etatp',
} -%}
with

persons as (

    select
        *,
        {{ vehicle_key() }} as reported_vehicle_key,
        -- only the files since 2021 number the persons; in the others the order of the file does
        row_number() over (
            partition by accident_id
            order by vehicle_number nulls last, seat_code nulls last, _source_line
        ) as person_rank
    from {{ ref('stg_accidents__usagers') }}

),

accidents as (

    select
        accident_id,
        accident_date
    from {{ ref('stg_accidents__caracteristiques') }}

),

vehicles as (

    select * from {{ ref('fct_accident_vehicle') }}

),

-- a person whose accident was not published stays in silver, where a test counts it
final as (

    select
        persons.accident_id || '-' || coalesce(persons.person_id, lpad(persons.person_rank::varchar, 3, '0'))
            as person_key,
        persons.accident_id,
        accidents.accident_date,
        vehicles.vehicle_key,
        persons.vehicle_number,
        persons.person_id,
        persons.seat_code,
        persons.birth_year,
        case
            when persons.birth_year <= year(accidents.accident_date)
                then year(accidents.accident_date)::integer - persons.birth_year
        end as age_years,
        {{ select_baac_labels('persons', person_codes) }},
        -- until 2018 two digits: an equipment and its use (1 yes, 2 no, 3 unknown); since 2019 only what was used
        case
            when persons.safety_equipment_and_use_code similar to '[0-9][123]'
                then case right(persons.safety_equipment_and_use_code, 1) when '1' then true when '2' then false end
            when
                coalesce(persons.safety_equipment_1_code, '0') between '1' and '7'
                or coalesce(persons.safety_equipment_2_code, '0') between '1' and '7'
                or coalesce(persons.safety_equipment_3_code, '0') between '1' and '7'
                then true
            when persons.safety_equipment_1_code = '0' then false
        end as used_safety_equipment
    from persons
    inner join accidents on persons.accident_id = accidents.accident_id
    left join vehicles on persons.reported_vehicle_key = vehicles.vehicle_key
    {{ join_baac_labels('persons', person_codes) }}

)

select * from final
order by person_key
