with

final as (

    {{ latest_extraction(ref('base_meteo__observations')) }}

)

select * from final
order by weather_station_id, observed_at_utc, _source_file, _source_line
