with

present as (

    {{ latest_extraction(ref('base_cog__departements')) }}

),

final as (

    select *
    from present
    qualify row_number() over (
        partition by cog_year, departement_code
        order by _extraction_date desc, _resource_id desc, _source_line desc
    ) = 1

)

select * from final
order by departement_code, cog_year
