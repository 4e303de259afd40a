with

present as (

    {{ latest_extraction(ref('base_accidents__usagers')) }}

),

final as (

    select *
    from present
    qualify {{ newest_rows('person_id') }}

)

select * from final
order by accident_id, vehicle_number, _source_line
