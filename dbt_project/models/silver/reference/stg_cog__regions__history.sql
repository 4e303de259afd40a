with

final as (

    {{ history_rows(ref('base_cog__regions'), keys=['region_code']) }}

)

select * from final
order by region_code, cog_year, valid_from
