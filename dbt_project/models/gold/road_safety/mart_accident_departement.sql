with

accidents as (

    select
        *,
        1 as accident_count,
        (killed_count > 0)::integer as fatal_accident_count
    from {{ ref('fct_accident') }}
    where accident_date is not null

),

departements as (

    select * from {{ ref('dim_departement') }}

),

yearly as (

    select
        accident_year,
        coalesce(departement_code, '00') as departement_code,
        {{ sum_accident_measures() }}
    from accidents
    group by accident_year, coalesce(departement_code, '00')

),

final as (

    select
        yearly.accident_year,
        yearly.departement_code,
        departements.departement_name,
        departements.region_code,
        departements.region_name,
        {{ select_accident_measures('yearly') }},
        previous.accident_count as previous_year_accident_count,
        previous.killed_count as previous_year_killed_count,
        {{ growth('yearly.accident_count', 'previous.accident_count') }} as accident_growth_ratio,
        {{ growth('yearly.killed_count', 'previous.killed_count') }} as killed_growth_ratio
    from yearly
    left join yearly as previous
        on
            yearly.departement_code = previous.departement_code
            and yearly.accident_year = previous.accident_year + 1
    left join departements on yearly.departement_code = departements.departement_code

)

select * from final
order by accident_year, departement_code
