with

source as (

    {{ current_rows(source('fusions', 'communes'), mode='append') }}

),

given as (

    select
        {{ clean_text('depcoma') }} as commune_code,
        {{ clean_text('nomca') }} as commune_name,
        {{ clean_text('depcomn') }} as new_commune_code,
        {{ clean_text('nomcn') }} as new_commune_name,
        {{ clean_text('cheflieu') }} = 'O' as is_seat,
        {{ clean_text('comdlg') }} = 'O' as is_delegated_commune,
        {{ clean_text('date1') }} as given_decreed_on,
        {{ cog_year() }} as list_year,
        {{ lineage() }}
    from source

),

typed as (

    select
        *,
        try_cast(given_decreed_on as date) as decreed_on
    from given

),

final as (

    select
        commune_code,
        commune_name,
        new_commune_code,
        new_commune_name,
        is_seat,
        is_delegated_commune,
        decreed_on,
        list_year,
        {{ invalid_columns({'decreed_on': 'given_decreed_on'}) }} as _invalid_columns,
        {{ lineage() }}
    from typed
    qualify _extraction_date = max(_extraction_date) over (partition by list_year, _resource_id)

)

select * from final
order by new_commune_code, commune_code
