with

final as (

    {{ history_rows(ref('base_irve__points_de_charge')) }}

)

select * from final
order by charging_point_itinerance_id, _source_line, valid_from
