with

final as (

    {{ latest_extraction(ref('base_jours_feries__dates')) }}

)

select * from final
order by holiday_date, holiday_name, _source_file, _source_line
