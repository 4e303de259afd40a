with

source as (

    {{ current_rows(source('cog', 'historique'), mode='append') }}

),

given as (

    select
        {{ clean_text('dep') }} || lpad({{ clean_text('com') }}, 5 - length({{ clean_text('dep') }})::integer, '0')
            as commune_code,
        {{ clean_text('actual') }} as status_code,
        {{ clean_text('pole') }} as parent_commune_code,
        translate({{ clean_text('artmin') }}, '()', '') as article,
        {{ clean_text('nccenr') }} as bare_name,
        {{ clean_text('dep') }} as departement_code,
        {{ clean_text('reg') }} as region_code,
        {{ cog_year() }} as cog_year,
        {{ lineage() }}
    from source

),

final as (

    select
        commune_code,
        case status_code
            when '1' then 'COM'
            when '2' then 'COMA'
            when '3' then 'FORMER'
            when '4' then 'RECODED'
            when '5' then 'ARM'
            when '6' then 'COMD'
        end as commune_kind,
        case when article like '%''' then article || bare_name else concat_ws(' ', article, bare_name) end
            as commune_name,
        parent_commune_code,
        departement_code,
        region_code,
        cog_year,
        {{ lineage() }}
    from given
    -- 9 is a part of a commune that is shared between cantons: the commune has its own row
    where status_code is distinct from '9'
    qualify _extraction_date = max(_extraction_date) over (partition by cog_year, _resource_id)

)

select * from final
order by commune_code, cog_year
