with

days as (

    select * from {{ ref('mart_accident_day') }}

),

final as (

    select
        week_start_date,
        iso_year,
        iso_week,
        count(*) as day_count,
        {{ sum_accident_measures() }}
    from days
    group by week_start_date, iso_year, iso_week

)

select * from final
order by week_start_date
