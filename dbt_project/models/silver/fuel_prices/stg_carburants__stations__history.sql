with

final as (

    {{ history_rows(ref('base_carburants__stations'), keys=['station_id'], mode='upsert') }}

)

select * from final
order by station_id, valid_from
