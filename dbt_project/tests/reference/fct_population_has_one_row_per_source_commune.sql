-- Populations of silver and of gold are the same, each once and none lost or doubled by the joins, and the départements
-- add up to the communes.
with

expected as (

    select
        reference_year,
        count(*) as row_count,
        sum(municipal_population) as municipal_population
    from {{ ref('stg_populations__communes') }}
    where commune_code is not null
    group by reference_year

),

facts as (

    select
        reference_year,
        count(*) as row_count,
        sum(municipal_population) as municipal_population
    from {{ ref('fct_population') }}
    group by reference_year

),

departements as (

    select
        reference_year,
        sum(commune_count) as row_count,
        sum(municipal_population) as municipal_population
    from {{ ref('mart_population_departement') }}
    group by reference_year

),

actual as (

    select * from facts
    union all
    select * from departements

)

select
    expected.reference_year,
    expected.row_count as expected_count,
    actual.row_count as actual_count
from expected
full join actual on expected.reference_year = actual.reference_year
where
    expected.row_count is distinct from actual.row_count
    or expected.municipal_population is distinct from actual.municipal_population
