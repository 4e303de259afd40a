-- The three marts count the same points, which are the fact's.

with

facts as (

    select coalesce(sum(point_count), 0) as charging_point_count
    from {{ ref('fct_charging_point') }}

),

marts as (

    select
        'departement' as mart,
        coalesce(sum(charging_point_count), 0) as charging_point_count
    from {{ ref('mart_charging_point_departement') }}
    union all
    select
        'power_class' as mart,
        coalesce(sum(charging_point_count), 0) as charging_point_count
    from {{ ref('mart_charging_point_power_class') }}
    union all
    select
        'departement_power_class' as mart,
        coalesce(sum(charging_point_count), 0) as charging_point_count
    from {{ ref('mart_charging_point_departement_power_class') }}

)

select
    marts.mart,
    marts.charging_point_count,
    facts.charging_point_count as fact_charging_point_count
from marts
cross join facts
where marts.charging_point_count <> facts.charging_point_count
