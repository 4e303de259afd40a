with

holidays as (

    select * from {{ ref('stg_jours_feries__dates') }}

),

-- When several files name the same day, the newest extraction speaks for it.
current_holidays as (

    select *
    from holidays
    where holiday_date is not null
    qualify dense_rank() over (
        partition by holiday_date
        order by _extraction_date desc, _resource_id desc, _source_file desc
    ) = 1

),

-- Two holidays can fall on one day (Ascension and 1 May in 2008), each in its own zones.
holiday_zones as (

    select
        holiday_date,
        holiday_name,
        unnest(string_split(zones, '|')) as zone
    from current_holidays

),

holiday_days as (

    select
        holiday_date,
        bool_or(zone = 'Métropole') as is_holiday,
        string_agg(distinct holiday_name, '; ' order by holiday_name) filter (where zone = 'Métropole') as holiday_name,
        string_agg(distinct holiday_name, '; ' order by holiday_name) as holiday_name_anywhere,
        string_agg(distinct zone, '|' order by zone) as holiday_zones
    from holiday_zones
    group by holiday_date

),

covered as (

    select
        date_trunc('year', min(holiday_date))::date as first_day,
        (date_trunc('year', max(holiday_date)) + interval 1 year - interval 1 day)::date as last_day
    from current_holidays

),

day_lists as (

    select
        generate_series(
            least(date '{{ var('first_calendar_day') }}', first_day),
            greatest(date '{{ var('last_calendar_day') }}', last_day),
            interval 1 day
        ) as list_of_days,
        first_day,
        last_day
    from covered

),

days as (

    select
        unnest(list_of_days)::date as date_day,
        first_day,
        last_day
    from day_lists

),

final as (

    select
        days.date_day,
        year(days.date_day)::integer as year,
        quarter(days.date_day)::integer as quarter,
        month(days.date_day)::integer as month,
        [
            'janvier', 'février', 'mars', 'avril', 'mai', 'juin',
            'juillet', 'août', 'septembre', 'octobre', 'novembre', 'décembre'
        ][month(days.date_day)] as month_name,
        date_trunc('month', days.date_day)::date as month_start_date,
        isoyear(days.date_day)::integer as iso_year,
        week(days.date_day)::integer as iso_week,
        date_trunc('week', days.date_day)::date as week_start_date,
        day(days.date_day)::integer as day_of_month,
        dayofyear(days.date_day)::integer as day_of_year,
        isodow(days.date_day)::integer as weekday,
        ['lundi', 'mardi', 'mercredi', 'jeudi', 'vendredi', 'samedi', 'dimanche'][isodow(days.date_day)]
            as weekday_name,
        isodow(days.date_day) >= 6 as is_weekend,
        -- unknown, not false, in the years the holidays file does not tell
        case
            when days.date_day between days.first_day and days.last_day
                then coalesce(holiday_days.is_holiday, false)
        end as is_holiday,
        holiday_days.holiday_name,
        holiday_days.holiday_name_anywhere,
        holiday_days.holiday_zones
    from days
    left join holiday_days on days.date_day = holiday_days.holiday_date

)

select * from final
order by date_day
