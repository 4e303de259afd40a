with

declarations as (

    select * from {{ ref('stg_irve__points_de_charge') }}

),

dim_departement as (

    select * from {{ ref('dim_departement') }}

),

commune_codes as (

    select * from {{ ref('dim_commune_code') }}

),

power_classes as (

    select * from {{ ref('power_classes') }}

),

-- Local identifiers are unique for their declarant only, so they carry its key.
declared as (

    select
        *,
        {{ name_key('operator_name') }} as operator_name_key,
        coalesce(amenageur_siren, {{ name_key('operator_name') }}, {{ name_key('producer_source') }}, 'unknown')
            as declarant_key
    from declarations

),

station_keyed as (

    select
        *,
        case
            when station_itinerance_id is not null then station_itinerance_id
            when station_local_id is not null then concat_ws(':', 'local', declarant_key, station_local_id)
            else concat_ws(':', 'row', _resource_id, _source_member, _source_line)
        end as station_key
    from declared

),

-- Files before 2018 list stations, whose rows have no point identifier: the row itself is then the best one.
keyed as (

    select
        *,
        case
            when charging_point_itinerance_id is not null then 'itinerance'
            when charging_point_local_id is not null then 'local'
            else 'row'
        end as identifier_kind,
        case
            when charging_point_itinerance_id is not null then charging_point_itinerance_id
            when charging_point_local_id is not null
                then concat_ws(':', 'local', declarant_key, charging_point_local_id)
            when station_key like 'row:%' then station_key
            else concat_ws(':', station_key, _resource_id, _source_member, _source_line)
        end as charging_point_key
    from station_keyed

),

-- The newest declaration speaks for the point; lineage decides between equals, the later line winning.
deduplicated as (

    select
        *,
        count(*) over (partition by charging_point_key) as declaration_count
    from keyed
    qualify
        row_number() over (
            partition by charging_point_key
            order by
                updated_on desc nulls last,
                producer_modified_at desc nulls last,
                _extraction_date desc,
                _resource_id asc,
                _source_member asc,
                _source_line desc
        ) = 1

),

final as (

    select
        deduplicated.charging_point_key,
        deduplicated.identifier_kind,
        deduplicated.schema_version,
        deduplicated.station_key,
        deduplicated.station_name,
        coalesce(deduplicated.operator_name_key, 'unknown') as operator_key,
        deduplicated.amenageur_name,
        deduplicated.amenageur_siren,
        deduplicated.is_amenageur_siren_valid,
        deduplicated.enseigne_name,
        coalesce(dim_departement.departement_code, '00') as departement_code,
        coalesce(commune_codes.commune_key, '00000') as commune_key,
        deduplicated.commune_code,
        deduplicated.address,
        deduplicated.latitude,
        deduplicated.longitude,
        deduplicated.siting,
        deduplicated.power_kw,
        coalesce(power_classes.power_class, 'unknown') as power_class,
        -- A station listed as a whole stands for the points it declares, one at least.
        case
            when deduplicated.schema_version = '2014' then greatest(coalesce(deduplicated.station_point_count, 1), 1)
            else 1
        end as point_count,
        deduplicated.has_type_ef,
        deduplicated.has_type_2,
        deduplicated.has_combo_ccs,
        deduplicated.has_chademo,
        deduplicated.has_other_connector,
        deduplicated.is_free,
        deduplicated.has_bank_card_payment,
        deduplicated.access_condition,
        deduplicated.is_bookable,
        deduplicated.opening_hours,
        deduplicated.pmr_accessibility,
        deduplicated.is_two_wheeler_station,
        deduplicated.grid_connection,
        deduplicated.commissioned_on,
        deduplicated.updated_on,
        deduplicated.declaration_count,
        deduplicated._resource_id,
        deduplicated._extraction_date,
        deduplicated._source_file,
        deduplicated._source_member,
        deduplicated._source_line
    from deduplicated
    left join dim_departement on deduplicated.departement_code = dim_departement.departement_code
    left join commune_codes on deduplicated.commune_code = commune_codes.commune_code
    left join power_classes on {{ is_in_power_class('deduplicated.power_kw', 'power_classes') }}

)

select * from final
order by charging_point_key
