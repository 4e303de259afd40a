with

source as (

    {{ latest_extraction(source('cog', 'departements')) }}

),

renamed as (

    select
        {{ clean_text('dep') }} as departement_code,
        {{ clean_text('libelle') }} as departement_name,
        {{ clean_text('reg') }} as region_code,
        {{ clean_text('cheflieu') }} as prefecture_commune_code,
        {{ clean_text('tncc') }} as name_kind_code,
        {{ clean_text('ncc') }} as upper_case_name,
        {{ clean_text('nccenr') }} as bare_name,
        {{ cog_year() }} as cog_year,
        {{ lineage() }}
    from source

),

final as (

    select *
    from renamed
    qualify row_number() over (
        partition by cog_year, departement_code
        order by _extraction_date desc, _resource_id desc, _source_line desc
    ) = 1

)

select * from final
order by departement_code, cog_year
