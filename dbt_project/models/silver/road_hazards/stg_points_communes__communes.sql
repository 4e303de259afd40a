with

source as (

    {{ current_rows(source('points_communes', 'communes'), mode='append') }}

),

-- a spreadsheet took the zeros at the head of the code
given as (

    select
        {{ zero_padded(clean_text('code_commune_insee'), 5) }} as given_commune_code,
        {{ french_number('latitude') }} as given_latitude,
        {{ french_number('longitude') }} as given_longitude,
        {{ lineage() }}
    from source

),

typed as (

    select
        *,
        case
            when regexp_full_match(upper(given_commune_code), '(\d{2}|2[AB])\d{3}') then upper(given_commune_code)
        end as commune_code,
        {{ finite_number('given_latitude') }} as read_latitude,
        {{ finite_number('given_longitude') }} as read_longitude
    from given

),

final as (

    select
        commune_code,
        case when {{ is_in_france('read_latitude', 'read_longitude') }} then read_latitude end as latitude,
        case when {{ is_in_france('read_latitude', 'read_longitude') }} then read_longitude end as longitude,
        {{ invalid_columns({
            'commune_code': 'given_commune_code',
            'read_latitude': 'given_latitude',
            'read_longitude': 'given_longitude',
        }) }} as _invalid_columns,
        {{ lineage() }}
    from typed
    -- the newest file speaks for the whole list
    qualify _extraction_date = max(_extraction_date) over (partition by _resource_id)

)

select * from final
order by commune_code, _source_line
