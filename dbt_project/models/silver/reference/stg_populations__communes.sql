with

source as (

    {{ current_rows(source('populations', 'communes'), mode='append') }}

),

-- `com` is the commune's code in one year and its name in another, which then splits the code over two columns.
given as (

    select
        case
            when codcom is null then {{ clean_text('com') }}
            else left({{ clean_text('coddep') }}, 2) || lpad({{ clean_text('codcom') }}, 3, '0')
        end as given_commune_code,
        case when codcom is not null then {{ clean_text('com') }} end as commune_name,
        coalesce({{ clean_text('coddep') }}, {{ clean_text('dep') }}) as departement_code,
        coalesce({{ clean_text('codreg') }}, {{ clean_text('reg') }}) as region_code,
        {{ clean_text('codarr') }} as arrondissement_code,
        nullif({{ clean_text('codcan') }}, 'NA') as canton_code,
        {{ french_number('pmun') }} as given_municipal_population,
        {{ french_number('pcap') }} as given_counted_apart_population,
        {{ french_number('ptot') }} as given_total_population,
        {{ population_year() }} as reference_year,
        {{ lineage() }}
    from source

),

typed as (

    select
        *,
        case
            when regexp_full_match(upper(given_commune_code), '(\d{2}|2[AB])\d{3}') then upper(given_commune_code)
        end as commune_code,
        try_cast(given_municipal_population as bigint) as municipal_population,
        try_cast(given_counted_apart_population as bigint) as counted_apart_population,
        try_cast(given_total_population as bigint) as total_population
    from given

),

final as (

    select
        commune_code,
        reference_year,
        commune_name,
        departement_code,
        region_code,
        arrondissement_code,
        canton_code,
        municipal_population,
        counted_apart_population,
        total_population,
        {{ invalid_columns({
            'commune_code': 'given_commune_code',
            'municipal_population': 'given_municipal_population',
            'counted_apart_population': 'given_counted_apart_population',
            'total_population': 'given_total_population',
        }) }} as _invalid_columns,
        {{ lineage() }}
    from typed
    -- a year's file published again speaks for the whole year, and a commune told twice in it counts once
    qualify
        _extraction_date = max(_extraction_date) over (partition by reference_year, _resource_id)
        and row_number() over (
            partition by reference_year, coalesce(commune_code, _resource_id || _source_line)
            order by _extraction_date desc, _resource_id desc, _source_line desc
        ) = 1

)

select * from final
order by commune_code, reference_year
