with

regions as (

    select * from {{ ref('stg_cog__regions') }}

),

final as (

    select
        region_code,
        region_name,
        prefecture_commune_code,
        cog_year
    from regions
    where region_code is not null
    -- the newest map only: an older one holds regions that were merged
    qualify cog_year = max(cog_year) over ()

)

select * from final
order by region_code
