with

final as (

    {{ history_rows(ref('base_cog__departements'), keys=['departement_code']) }}

)

select * from final
order by departement_code, cog_year, valid_from
