with

final as (

    {{ history_rows(ref('base_jours_feries__dates')) }}

)

select * from final
order by holiday_date, holiday_name, _source_file, _source_line, valid_from
