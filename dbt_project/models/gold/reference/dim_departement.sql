with

departements as (

    select * from {{ ref('stg_cog__departements') }}

),

regions as (

    select * from {{ ref('dim_region') }}

),

newest as (

    select *
    from departements
    where departement_code is not null
    qualify cog_year = max(cog_year) over ()

),

final as (

    select
        newest.departement_code,
        newest.departement_name,
        regions.region_code,
        regions.region_name,
        newest.prefecture_commune_code,
        newest.cog_year
    from newest
    left join regions on newest.region_code = regions.region_code

)

select * from final
order by departement_code
