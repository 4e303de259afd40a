with

accidents as (

    select * from {{ ref('fct_accident') }}
    where accident_date is not null

),

days as (

    select * from {{ ref('mart_accident_day') }}

),

-- every accident once per way of grouping it
grouped_accidents as (

    select
        accident_year,
        accident_date,
        casualty_count,
        unnest(['all', 'departement', 'hour', 'weekday']) as group_kind,
        unnest([
            'all',
            coalesce(departement_code, '00'),
            lpad(accident_hour::varchar, 2, '0'),
            isodow(accident_date)::varchar
        ]) as group_code
    from accidents

),

groups as (

    select
        accident_year,
        group_kind,
        group_code
    from grouped_accidents
    where group_code is not null
    group by accident_year, group_kind, group_code

),

accidents_per_group_and_day as (

    select
        accident_date,
        group_kind,
        group_code,
        count(*) as accident_count
    from grouped_accidents
    group by accident_date, group_kind, group_code

),

-- a day without an accident is a zero of the distribution, not a missing day; a weekday has its own days only
samples as (

    select
        groups.accident_year,
        groups.group_kind,
        groups.group_code,
        'accidents_per_day' as measure,
        coalesce(accidents_per_group_and_day.accident_count, 0)::double as sample
    from groups
    inner join days
        on
            groups.accident_year = days.year
            and (groups.group_kind <> 'weekday' or groups.group_code = days.weekday::varchar)
    left join accidents_per_group_and_day
        on
            days.date_day = accidents_per_group_and_day.accident_date
            and groups.group_kind = accidents_per_group_and_day.group_kind
            and groups.group_code = accidents_per_group_and_day.group_code
    union all
    select
        accident_year,
        group_kind,
        group_code,
        'casualties_per_accident' as measure,
        casualty_count::double as sample
    from grouped_accidents
    where group_code is not null

),

-- rounded: the last digits of a standard deviation depend on the order the rows came in
final as (

    select
        accident_year,
        group_kind,
        group_code,
        measure,
        count(*) as sample_count,
        round(avg(sample), 6) as mean,
        round(stddev_samp(sample), 6) as standard_deviation,
        min(sample) as minimum,
        quantile_cont(sample, 0.25) as first_quartile,
        quantile_cont(sample, 0.5) as median,
        quantile_cont(sample, 0.75) as third_quartile,
        max(sample) as maximum
    from samples
    group by accident_year, group_kind, group_code, measure

)

select * from final
order by accident_year, group_kind, group_code, measure
