{{ config(materialized='ephemeral') }}

with

source as (

    select * from {{ source('jours_feries', 'dates') }}

),

cleaned as (

    select
        {{ clean_text('date') }} as date_text,
        {{ clean_text('nom_jour_ferie') }} as holiday_name,
        {{ clean_text('zones') }} as zones,
        {{ lineage() }},
        _replaced_on
    from source

),

typed as (

    select
        *,
        try_cast(date_text as date) as holiday_date
    from cleaned

),

final as (

    select
        holiday_date,
        holiday_name,
        zones,
        {{ invalid_columns({'holiday_date': 'date_text'}) }} as _invalid_columns,
        {{ lineage() }},
        _replaced_on
    from typed

)

select * from final
