with

source as (

    {{ current_rows(source('signalements', 'signalements'), mode='append') }}

),

given as (

    select
        {{ clean_text('observed_at') }} as given_observed_at,
        {{ clean_text('longitude') }} as given_longitude,
        {{ clean_text('latitude') }} as given_latitude,
        {{ clean_text('hazard_kind') }} as hazard_kind,
        {{ clean_text('description') }} as description,
        {{ identifier('reporter_siret') }} as reporter_siret,
        {{ lineage() }}
    from source

),

-- A clock that is years wrong tells no time: none is believed before 2020, nor a day after it was received.
typed as (

    select
        *,
        _resource_id || ':' || _source_line as report_key,
        case
            when
                try_cast(given_observed_at as timestamptz) >= timestamptz '2020-01-01 00:00:00+00'
                and try_cast(given_observed_at as timestamptz) < _extraction_date + interval 2 day
                then try_cast(given_observed_at as timestamptz)
        end as observed_at,
        {{ finite_number('given_longitude') }} as longitude,
        {{ finite_number('given_latitude') }} as latitude
    from given

),

final as (

    select
        report_key,
        observed_at,
        longitude,
        latitude,
        hazard_kind,
        description,
        reporter_siret,
        odh_is_siret(reporter_siret) as is_reporter_siret_valid,
        {{ invalid_columns({
            'observed_at': 'given_observed_at',
            'longitude': 'given_longitude',
            'latitude': 'given_latitude',
        }) }} as _invalid_columns,
        {{ lineage() }}
    from typed

)

select * from final
order by observed_at, report_key
