with

fuels as (

    select * from {{ ref('fuels') }}

),

prices as (

    select * from {{ ref('stg_carburants__prix') }}

),

-- A fuel that came after the seed is no less sold: it goes by the name the newest file gives it.
new_fuels as (

    select
        prices.fuel_code,
        coalesce(prices.fuel_name, prices.fuel_code) as fuel_name,
        coalesce(prices.fuel_name, prices.fuel_code) as fuel_label
    from prices
    anti join fuels on prices.fuel_code = fuels.fuel_code
    where prices.fuel_code is not null
    qualify row_number() over (
        partition by prices.fuel_code
        order by prices._extraction_date desc, prices._source_line asc
    ) = 1

),

final as (

    select
        fuel_code,
        fuel_name,
        fuel_label,
        true as is_in_published_list
    from fuels
    union all
    select
        fuel_code,
        fuel_name,
        fuel_label,
        false as is_in_published_list
    from new_fuels

)

select * from final
order by fuel_code
