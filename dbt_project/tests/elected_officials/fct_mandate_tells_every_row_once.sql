-- Every row of the files' history that names somebody is in one mandate, and the mandates of today are those of the
-- newest files, each once: neither the grouping nor a join lost or doubled one.
with

told as (

    {{ told_mandates() }}

),

names as (

    select * from {{ ref('dim_official_name') }}

),

expected as (

    select
        told.office,
        count(*) as told_count,
        count(distinct concat_ws('|', names.official_key, told.district_code)) filter (where told.is_current)
            as current_count
    from told
    left join names on told.official_name_key = names.official_name_key
    group by told.office

),

actual as (

    select
        office,
        sum(told_count) as told_count,
        count(*) filter (where is_current) as current_count
    from {{ ref('fct_mandate') }}
    group by office

)

select
    expected.office,
    expected.told_count as expected_count,
    actual.told_count as actual_count
from expected
full join actual on expected.office = actual.office
where
    expected.told_count is distinct from actual.told_count
    or expected.current_count is distinct from actual.current_count
