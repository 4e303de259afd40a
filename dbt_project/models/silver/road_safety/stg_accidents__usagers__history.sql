with

final as (

    {{ history_rows(ref('base_accidents__usagers'), keys=['accident_id', 'person_id']) }}

)

select * from final
order by accident_id, vehicle_number, _source_line, valid_from
