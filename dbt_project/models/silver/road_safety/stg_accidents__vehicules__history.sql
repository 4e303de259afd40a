with

final as (

    {{ history_rows(ref('base_accidents__vehicules'), keys=['accident_id', 'vehicle_number']) }}

)

select * from final
order by accident_id, vehicle_number, valid_from
