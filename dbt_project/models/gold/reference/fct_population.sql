with

populations as (

    select * from {{ ref('stg_populations__communes') }}
    where commune_code is not null

),

codes as (

    select * from {{ ref('dim_commune_code') }}

),

final as (

    select
        populations.commune_code,
        populations.reference_year,
        coalesce(codes.commune_key, '00000') as commune_key,
        {{ departement_code_of_commune('populations.commune_code') }} as departement_code,
        populations.municipal_population,
        populations.counted_apart_population,
        populations.total_population,
        populations._resource_id,
        populations._extraction_date,
        populations._source_file,
        populations._source_line
    from populations
    left join codes on populations.commune_code = codes.commune_code

)

select * from final
order by commune_code, reference_year
