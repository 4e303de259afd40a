with

final as (

    {{ history_rows(ref('base_meteo__observations')) }}

)

select * from final
order by weather_station_id, observed_at_utc, _source_file, _source_line, valid_from
