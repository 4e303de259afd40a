with

days as (

    select * from {{ ref('mart_accident_day') }}

),

final as (

    select
        month_start_date,
        year,
        month,
        count(*) as day_count,
        {{ sum_accident_measures() }}
    from days
    group by month_start_date, year, month

)

select * from final
order by month_start_date
