-- Every declaration is behind exactly one charging point: none is lost, none counted twice.

with

declarations as (

    select count(*) as declaration_count
    from {{ ref('stg_irve__points_de_charge') }}

),

charging_points as (

    select coalesce(sum(declaration_count), 0) as declaration_count
    from {{ ref('fct_charging_point') }}

)

select
    declarations.declaration_count,
    charging_points.declaration_count as kept_declaration_count
from declarations
cross join charging_points
where declarations.declaration_count <> charging_points.declaration_count
