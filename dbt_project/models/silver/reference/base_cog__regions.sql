{{ config(materialized='ephemeral') }}

with

source as (

    select * from {{ source('cog', 'regions') }}

),

renamed as (

    select
        {{ clean_text('reg') }} as region_code,
        {{ clean_text('libelle') }} as region_name,
        {{ clean_text('cheflieu') }} as prefecture_commune_code,
        {{ clean_text('tncc') }} as name_kind_code,
        {{ clean_text('ncc') }} as upper_case_name,
        {{ clean_text('nccenr') }} as bare_name,
        {{ cog_year() }} as cog_year,
        {{ lineage() }},
        _replaced_on
    from source

)

select * from renamed
