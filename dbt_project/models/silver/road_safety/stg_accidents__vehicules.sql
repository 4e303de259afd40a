with

present as (

    {{ latest_extraction(ref('base_accidents__vehicules')) }}

),

final as (

    select *
    from present
    qualify {{ newest_rows('coalesce(vehicle_number, vehicle_id)') }}

)

select * from final
order by accident_id, vehicle_number
