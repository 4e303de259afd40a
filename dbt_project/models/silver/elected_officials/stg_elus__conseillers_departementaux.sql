with

history as (

    select * from {{ ref('stg_elus__conseillers_departementaux__history') }}

),

final as (

    select
        {{ mandate_columns() }},
        {{ lineage() }}
    from history
    where is_current

)

select * from final
order by district_code, last_name, first_name
