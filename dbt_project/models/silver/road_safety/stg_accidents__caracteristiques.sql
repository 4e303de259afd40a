with

present as (

    {{ latest_extraction(ref('base_accidents__caracteristiques')) }}

),

final as (

    select *
    from present
    qualify {{ newest_rows("''") }}

)

select * from final
order by accident_id
