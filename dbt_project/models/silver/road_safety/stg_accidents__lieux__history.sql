with

final as (

    {{ history_rows(ref('base_accidents__lieux')) }}

)

select * from final
order by accident_id, _source_line, valid_from
