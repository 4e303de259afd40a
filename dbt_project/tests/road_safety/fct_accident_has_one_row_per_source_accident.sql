-- The accidents of silver and of gold are the same, each once: a join with places, vehicles or persons that fanned out
-- or dropped one would show here.
with

expected as (

    select
        accident_id,
        1 as row_count
    from {{ ref('stg_accidents__caracteristiques') }}
    where accident_id is not null

),

actual as (

    select
        accident_id,
        count(*) as row_count
    from {{ ref('fct_accident') }}
    group by accident_id

)

select
    coalesce(expected.accident_id, actual.accident_id) as accident_id,
    expected.row_count as expected_count,
    actual.row_count as actual_count
from expected
full join actual on expected.accident_id = actual.accident_id
where expected.row_count is distinct from actual.row_count
