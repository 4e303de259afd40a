with

source as (

    {{ current_rows(source('cog', 'communes'), mode='append') }}

),

renamed as (

    select
        {{ clean_text('com') }} as commune_code,
        upper({{ clean_text('typecom') }}) as commune_kind,
        {{ clean_text('libelle') }} as commune_name,
        {{ clean_text('dep') }} as departement_code,
        {{ clean_text('reg') }} as region_code,
        {{ clean_text('ctcd') }} as collectivite_code,
        {{ clean_text('arr') }} as arrondissement_code,
        {{ clean_text('can') }} as canton_code,
        {{ clean_text('comparent') }} as parent_commune_code,
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
    -- a year's list published again speaks for the whole year, and one list a year is kept: codes are merged away
    qualify
        _extraction_date = max(_extraction_date) over (partition by cog_year, _resource_id)
        and row_number() over (
            partition by cog_year, commune_kind, commune_code
            order by _extraction_date desc, _resource_id desc, _source_line desc
        ) = 1

)

select * from final
order by commune_code, cog_year, commune_kind
