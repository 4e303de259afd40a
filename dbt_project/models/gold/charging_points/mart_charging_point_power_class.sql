with

charging_points as (

    select * from {{ ref('fct_charging_point') }}

),

power_classes as (

    select * from {{ ref('power_classes') }}

),

by_power_class as (

    select
        power_class,
        sum(point_count) as charging_point_count,
        count(distinct station_key) as station_count,
        count(distinct departement_code) filter (where departement_code <> '00') as departement_count,
        sum(power_kw * point_count) as total_power_kw
    from charging_points
    group by power_class

),

final as (

    select
        by_power_class.power_class,
        power_classes.power_class_label,
        power_classes.power_class_rank,
        by_power_class.charging_point_count::bigint as charging_point_count,
        by_power_class.station_count,
        by_power_class.departement_count,
        by_power_class.total_power_kw::decimal(18, 3) as total_power_kw,
        by_power_class.charging_point_count / sum(by_power_class.charging_point_count) over () as charging_point_share
    from by_power_class
    inner join power_classes on by_power_class.power_class = power_classes.power_class

)

select * from final
order by power_class_rank
