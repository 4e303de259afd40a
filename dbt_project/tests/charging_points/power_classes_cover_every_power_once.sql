-- The classes meet without a gap or an overlap: each power falls in exactly one. Tried at the bounds, and around them.

with

power_classes as (

    select * from {{ ref('power_classes') }}

),

powers as (

    select unnest([0.001, 7.399, 7.4, 7.401, 21.999, 22, 22.001, 149.999, 150, 150.001, 1000]) as power_kw

),

matches as (

    select
        powers.power_kw,
        count(power_classes.power_class) as class_count
    from powers
    left join power_classes on {{ is_in_power_class('powers.power_kw', 'power_classes') }}
    group by powers.power_kw

)

select *
from matches
where class_count <> 1
