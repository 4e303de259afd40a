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

persons as (

    select usagers.severity_code
    from {{ ref('stg_accidents__usagers') }} as usagers
    semi join published on usagers.accident_id = published.accident_id

),

checks as (

    select
        'places' as subject,
        (select a.places from accidents as a) as expected_count,
        count(*) as actual_count
    from {{ ref('stg_accidents__lieux') }} as lieux
    semi join published on lieux.accident_id = published.accident_id
    union all
    select
        'vehicles' as subject,
        (select a.vehicles from accidents as a) as expected_count,
        count(*) as actual_count
    from {{ ref('stg_accidents__vehicules') }} as vehicules
    semi join published on vehicules.accident_id = published.accident_id
    union all
    select
        'persons' as subject,
        (select a.persons from accidents as a) as expected_count,
        count(*) as actual_count
    from persons
    union all
    select
        'killed' as subject,
        (select a.killed from accidents as a) as expected_count,
        count(*) filter (where persons.severity_code = '2') as actual_count
    from persons
    {% for mart in ['mart_accident_day', 'mart_accident_week', 'mart_accident_month', 'mart_accident_departement'] %}
    union all
    select
        '{{ mart }}' as subject,
        (select a.dated from accidents as a) as expected_count,
        coalesce(sum({{ mart }}.accident_count), 0) as actual_count
    from {{ ref(mart) }} as {{ mart }}
    {% endfor %}

)

select *
from checks
where expected_count <> actual_count
