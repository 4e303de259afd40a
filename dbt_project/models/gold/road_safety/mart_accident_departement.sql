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

populations as (

    select * from {{ ref('mart_population_departement') }}

),

yearly as (

    select
        accident_year,
        coalesce(departement_code, '00') as departement_code,
        {{ sum_accident_measures() }}
    from accidents
    group by accident_year, coalesce(departement_code, '00')

),

yearly_populations as (

    select
        yearly.accident_year,
        yearly.departement_code,
        populations.reference_year as population_reference_year,
        populations.municipal_population
    from yearly
    inner join populations on yearly.departement_code = populations.departement_code
    qualify {{
        nearest_population(
            ['yearly.accident_year', 'yearly.departement_code'], 'yearly.accident_year', 'populations.reference_year'
        )
    }}

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
        {{ growth('yearly.killed_count', 'previous.killed_count') }} as killed_growth_ratio,
        yearly_populations.population_reference_year,
        yearly_populations.municipal_population,
        {{ per_100000('yearly.accident_count', 'yearly_populations.municipal_population') }}
            as accident_per_100000_inhabitants,
        {{ per_100000('yearly.killed_count', 'yearly_populations.municipal_population') }}
            as killed_per_100000_inhabitants
    from yearly
    left join yearly as previous
        on
            yearly.departement_code = previous.departement_code
            and yearly.accident_year = previous.accident_year + 1
    left join yearly_populations
        on
            yearly.accident_year = yearly_populations.accident_year
            and yearly.departement_code = yearly_populations.departement_code
    left join departements on yearly.departement_code = departements.departement_code

)

select * from final
order by accident_year, departement_code
