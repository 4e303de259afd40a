with

-- Every extraction: each tells the prices in force when it was made, and no file keeps the ones before.
source as (

    {{ current_rows(source('carburants', 'prix'), mode='append') }}

),

given as (

    select
        {{ clean_text('pdv_id') }} as station_id,
        {{ code('id') }} as fuel_code,
        {{ clean_text('nom') }} as fuel_name,
        {{ clean_text('maj') }} as given_updated_at,
        {{ clean_text('valeur') }} as given_price,
        {{ lineage() }}
    from source

),

typed as (

    select
        *,
        try_cast(given_updated_at as timestamp) as updated_at,
        case
            when try_cast({{ french_number('given_price') }} as decimal(6, 3)) > 0
                then try_cast({{ french_number('given_price') }} as decimal(6, 3))
        end as price_eur_per_litre
    from given

),

final as (

    select
        station_id,
        fuel_code,
        fuel_name,
        price_eur_per_litre,
        updated_at,
        {{ invalid_columns({'updated_at': 'given_updated_at', 'price_eur_per_litre': 'given_price'}) }}
            as _invalid_columns,
        {{ lineage() }}
    from typed

)

select * from final
order by _extraction_date, station_id, fuel_code, _source_file, _source_line
