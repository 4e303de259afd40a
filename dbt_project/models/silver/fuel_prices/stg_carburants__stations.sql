with

-- A station that the newest file lists no more stays as it was last listed, for its past prices are still told.
final as (

    {{ current_rows(ref('base_carburants__stations'), mode='upsert', keys=['station_id']) }}

)

select * from final
order by station_id, _source_line
