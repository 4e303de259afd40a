with

final as (

    {{ history_rows(ref('base_accidents__caracteristiques'), keys=['accident_id']) }}

)

select * from final
order by accident_id, valid_from
