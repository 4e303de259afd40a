with

final as (

    {{ history_rows(ref('base_elus__deputes')) }}

)

select * from final
order by district_code, last_name, first_name, valid_from
