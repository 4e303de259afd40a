with

points as (

    select * from {{ ref('stg_points_communes__communes') }}

),

commune_codes as (

    select * from {{ ref('dim_commune_code') }}

),

-- A commune stands once for each of its postal codes, at one place; one merged since keeps its own, under its code.
placed as (

    select
        commune_code,
        avg(latitude) as latitude,
        avg(longitude) as longitude
    from points
    where commune_code is not null and latitude is not null and longitude is not null
    group by commune_code

),

final as (

    select
        placed.commune_code as point_code,
        commune_codes.commune_key,
        placed.latitude,
        placed.longitude
    from placed
    inner join commune_codes on placed.commune_code = commune_codes.commune_code

)

select * from final
order by point_code
