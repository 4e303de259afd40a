with

days as (

    select * from {{ ref('mart_accident_day') }}

),

periods as (

    select
        'year' as period_kind,
        make_date(year, 1, 1) as period_start_date,
        count(*) as day_count,
        {{ sum_accident_measures() }}
    from days
    group by year
    union all
    select
        'month' as period_kind,
        month_start_date as period_start_date,
        count(*) as day_count,
        {{ sum_accident_measures() }}
    from days
    group by month_start_date

),

final as (

    select
        periods.period_kind,
        periods.period_start_date,
        year(periods.period_start_date)::integer as year,
        case when periods.period_kind = 'month' then month(periods.period_start_date)::integer end as month,
        periods.day_count,
        previous.day_count as previous_year_day_count,
        periods.accident_count,
        previous.accident_count as previous_year_accident_count,
        periods.accident_count - previous.accident_count as accident_count_change,
        {{ growth('periods.accident_count', 'previous.accident_count') }} as accident_growth_ratio,
        periods.killed_count,
        previous.killed_count as previous_year_killed_count,
        periods.killed_count - previous.killed_count as killed_count_change,
        {{ growth('periods.killed_count', 'previous.killed_count') }} as killed_growth_ratio,
        periods.casualty_count,
        previous.casualty_count as previous_year_casualty_count,
        periods.casualty_count - previous.casualty_count as casualty_count_change,
        {{ growth('periods.casualty_count', 'previous.casualty_count') }} as casualty_growth_ratio
    from periods
    left join periods as previous
        on
            periods.period_kind = previous.period_kind
            and periods.period_start_date = (previous.period_start_date + interval 1 year)::date

)

select * from final
order by period_kind, period_start_date
