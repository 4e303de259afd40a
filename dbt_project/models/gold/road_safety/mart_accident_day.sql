with

accidents as (

    select
        *,
        1 as accident_count,
        (killed_count > 0)::integer as fatal_accident_count
    from {{ ref('fct_accident') }}
    where accident_date is not null

),

calendar as (

    select * from {{ ref('dim_date') }}

),

-- Days without an accident count as zero, between the first and the last that the files of a year tell.
observed_periods as (

    select
        accident_year,
        min(accident_date) as first_day,
        max(accident_date) as last_day
    from accidents
    group by accident_year

),

observed_days as (

    select calendar.*
    from calendar
    inner join observed_periods
        on
            calendar.year = observed_periods.accident_year
            and calendar.date_day between observed_periods.first_day and observed_periods.last_day

),

daily as (

    select
        accident_date,
        {{ sum_accident_measures() }}
    from accidents
    group by accident_date

),

final as (

    select
        observed_days.date_day,
        observed_days.year,
        observed_days.month,
        observed_days.month_start_date,
        observed_days.iso_year,
        observed_days.iso_week,
        observed_days.week_start_date,
        observed_days.weekday,
        observed_days.weekday_name,
        observed_days.is_weekend,
        observed_days.is_holiday,
        {{ select_accident_measures('daily') }}
    from observed_days
    left join daily on observed_days.date_day = daily.accident_date

)

select * from final
order by date_day
