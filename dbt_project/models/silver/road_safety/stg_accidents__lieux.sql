with

present as (

    {{ latest_extraction(ref('base_accidents__lieux')) }}

),

final as (

    select *
    from present
    qualify {{ newest_rows() }}

)

select * from final
order by accident_id, _source_line
