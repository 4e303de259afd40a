with

populations as (

    select * from {{ ref('fct_population') }}

),

departements as (

    select * from {{ ref('dim_departement') }}

),

summed as (

    select
        departement_code,
        reference_year,
        count(*) as commune_count,
        sum(municipal_population)::bigint as municipal_population,
        sum(counted_apart_population)::bigint as counted_apart_population,
        sum(total_population)::bigint as total_population
    from populations
    group by departement_code, reference_year

),

final as (

    select
        summed.departement_code,
        summed.reference_year,
        departements.departement_name,
        departements.region_code,
        departements.region_name,
        summed.commune_count,
        summed.municipal_population,
        summed.counted_apart_population,
        summed.total_population
    from summed
    left join departements on summed.departement_code = departements.departement_code

)

select * from final
order by departement_code, reference_year
