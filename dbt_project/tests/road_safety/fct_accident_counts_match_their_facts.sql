-- Sums over accidents equal the rows of silver that belong to an accident, counted with no join that could multiply
-- them; and the marts of every grain add up to the same.
with

published as (

    select accident_id from {{ ref('stg_accidents__caracteristiques') }}

),

accidents as (

    select
        coalesce(sum(place_count), 0) as places,
        coalesce(sum(vehicle_count), 0) as vehicles,
        coalesce(sum(person_count), 0) as persons,
        coalesce(sum(killed_count), 0) as killed,
        count(accident_date) as dated
    from {{ ref('fct_accident') }}

),

checks as (

    select
        'places' as subject,
        (select places from accidents) as in_accidents,
        count(*) as in_source
    from {{ ref('stg_accidents__lieux') }}
    where accident_id in (select accident_id from published)
    union all
    select
        'vehicles' as subject,
        (select vehicles from accidents) as in_accidents,
        count(*) as in_source
    from {{ ref('stg_accidents__vehicules') }}
    where accident_id in (select accident_id from published)
    union all
    select
        'persons' as subject,
        (select persons from accidents) as in_accidents,
        count(*) as in_source
    from {{ ref('stg_accidents__usagers') }}
    where accident_id in (select accident_id from published)
    union all
    select
        'killed' as subject,
        (select killed from accidents) as in_accidents,
        count(*) filter (where severity_code = '2') as in_source
    from {{ ref('stg_accidents__usagers') }}
    where accident_id in (select accident_id from published)
    {%- for mart in ['mart_accident_day', 'mart_accident_week', 'mart_accident_month', 'mart_accident_departement'] %}
    union all
    select
        '{{ mart }}' as subject,
        (select dated from accidents) as in_accidents,
        coalesce(sum(accident_count), 0) as in_source
    from {{ ref(mart) }}
    {%- endfor %}

)

select *
from checks
where in_accidents <> in_source
