with

charging_points as (

    select * from {{ ref('fct_charging_point') }}

),

dim_departement as (

    select * from {{ ref('dim_departement') }}

),

power_classes as (

    select * from {{ ref('power_classes') }}

),

by_departement_and_class as (

    select
        departement_code,
        power_class,
        sum(point_count) as charging_point_count,
        count(distinct station_key) as station_count,
        sum(power_kw * point_count) as total_power_kw
    from charging_points
    group by departement_code, power_class

),

final as (

    select
        by_departement_and_class.departement_code,
        coalesce(dim_departement.departement_name, 'Département inconnu') as departement_name,
        by_departement_and_class.power_class,
        power_classes.power_class_label,
        power_classes.power_class_rank,
        by_departement_and_class.charging_point_count::bigint as charging_point_count,
        by_departement_and_class.station_count,
        by_departement_and_class.total_power_kw::decimal(18, 3) as total_power_kw
    from by_departement_and_class
    left join dim_departement on by_departement_and_class.departement_code = dim_departement.departement_code
    inner join power_classes on by_departement_and_class.power_class = power_classes.power_class

)

select * from final
order by departement_code, power_class_rank
