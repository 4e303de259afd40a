with

final as (

    {{ history_rows(ref('base_elus__conseillers_departementaux')) }}

)

select * from final
order by district_code, last_name, first_name, valid_from
